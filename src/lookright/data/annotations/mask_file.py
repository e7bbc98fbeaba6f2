"""The mask of one image, drawn from its annotations and kept up to date."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from lookright.data.annotations.annotated import Annotated, plain
from lookright.data.annotations.shapes import Shape, draw
from lookright.data.images import shown_size, stored_size, turned
from lookright.errors import UserError
from lookright.files import regular, write_atomically, writing

_MARK: Final = "lookright annotations"
"""The entry of a mask's PNG with a hash of what it was drawn from."""

_PALETTE: Final = (*(0, 0, 0), *(255, 255, 255), *(224, 224, 192))
"""Background, object, and what is ignored, in the colour of VOC's borders."""


@dataclass(frozen=True)
class Annotations:
    """An image, the path of its mask, its annotations, and the labels to draw; None for all.

    staging: the folder in which the mask is written before it is put in place.
    """

    image: Path
    mask: Path
    annotated: Sequence[Annotated]
    labels: Collection[str] | None
    staging: Path | None = None


@dataclass(frozen=True)
class End:
    """What became of a mask, and why it could not be drawn."""

    what: Literal["written", "kept", "without_shape", "unread"]
    why: str = ""


@dataclass(frozen=True)
class _Layer:
    """Shapes in the pixels (height, width) of an image, to be turned by an EXIF orientation."""

    size: tuple[int, int]
    orientation: int
    shapes: tuple[Shape, ...]
    ignored: tuple[Shape, ...]


def update(task: Annotations) -> End:
    """Write the mask, unless it is there already, drawn from the same shapes.

    A mask is 255 on the object and 0 elsewhere, and as large as its image is shown, with the EXIF
    orientation applied; with ignored pixels it is a palette of black, white and VOC's border.
    Annotations of the size of the image as it is stored are turned with it; those of a size in the
    same proportion are resized. There is no mask, and one drawn from annotations before is removed,
    if no shape is to be drawn, or if something in the annotations cannot be read.

    Raises:
        UserError: a file is at the mask's path that was not drawn from annotations.
    """
    before = _mark_of(task.mask)
    if any(each.unread for each in task.annotated):
        return _without(task.mask, End("unread"))
    try:
        layers = _layers(task)
        mark = _mark(layers)
        if before == mark:
            return End("kept")
        mask = _drawn(layers)
    except UserError as error:
        return _without(task.mask, End("unread", str(error)))
    if mask is None:
        return _without(task.mask, End("without_shape"))
    about = PngImagePlugin.PngInfo()
    about.add_text(_MARK, mark)
    png = BytesIO()
    mask.save(png, "PNG", pnginfo=about)
    write_atomically(task.mask, png.getvalue(), within=task.staging)
    return End("written")


def _layers(task: Annotations) -> list[_Layer]:
    """The shapes to draw, in the sizes that the annotations are for."""
    (width, height), orientation = stored_size(task.image)
    stored, shown = (height, width), shown_size((width, height), orientation)[::-1]
    layers = []
    for each in task.annotated:
        if each.fits(*shown):
            size, turn = shown, 1
        elif each.fits(*stored):
            size, turn = stored, orientation
        else:
            raise UserError(
                f"its height and width are {shown}, but its annotations are of {each.size}"
            )
        of = each.resized(*size)
        shapes = tuple(
            shape for shape in of.shapes if task.labels is None or plain(shape.label) in task.labels
        )
        layers.append(_Layer(size, turn, shapes, of.ignored))
    return layers


def _mark(layers: Iterable[_Layer]) -> str:
    """A hash of all that the layers draw."""
    digest = hashlib.sha256()
    for layer in layers:
        digest.update(repr((layer.size, layer.orientation, len(layer.shapes))).encode())
        for value in (part for of in (*layer.shapes, *layer.ignored) for part in astuple(of)):
            for part in value if isinstance(value, tuple) else (value,):
                digest.update(part.tobytes() if isinstance(part, np.ndarray) else b"")
                digest.update(f"{getattr(part, 'shape', part)!r};".encode())
    return digest.hexdigest()


def _drawn(layers: Iterable[_Layer]) -> Image.Image | None:
    """The mask of all of the layers; None if nothing of it is in the image."""
    masks: list[NDArray[np.bool_]] = []
    voids: list[NDArray[np.bool_]] = []
    for layer in layers:
        for shapes, planes in ((layer.shapes, masks), (layer.ignored, voids)):
            plane = Image.fromarray(draw(shapes, *layer.size))
            planes.append(np.array(turned(plane, layer.orientation)) > 0)
    inside, void = np.any(masks, 0), np.any(voids, 0)
    if not inside.any():
        return None
    if not (void & ~inside).any():
        return Image.fromarray(inside.view(np.uint8) * np.uint8(255))
    mask = Image.fromarray(np.where(inside, np.uint8(1), void.view(np.uint8) * np.uint8(2)), "P")
    mask.putpalette(_PALETTE)
    return mask


def _mark_of(mask: Path) -> str | None:
    """What the mask that is there was drawn from; None if there is none.

    Raises:
        UserError: it was not drawn from annotations.
    """
    if not mask.exists():
        return None
    try:
        with Image.open(regular(mask), formats=("PNG",)) as image:
            if mark := image.info.get(_MARK):
                return str(mark)
    except (OSError, ValueError, SyntaxError):
        pass
    raise UserError(
        f"Expected no file at '{mask}', or a mask that was drawn from annotations; it is another "
        "one: name another folder, or remove it."
    )


def _without(mask: Path, end: End) -> End:
    """Remove the mask, if it is there."""
    with writing(mask, "remove"):
        mask.unlink(missing_ok=True)
    return end
