"""Where the objects are in VLCS's domain VOC2007, from the annotations of PASCAL VOC 2007.

DomainBed's VLCS.tar.gz holds the files of VOC under random names; those of the smaller vlcs.tar.gz
were resized as well. So an image is found by its bytes, or else by what it shows: at a small size
it must be nearly equal to one image of VOC with an object of its class, and to no other.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lookright.data.annotations import Annotated, read_voc, read_voc_segmentation
from lookright.data.archives import members
from lookright.data.images import Encoded, UnreadableImageError, read_bytes, read_image
from lookright.data.listing import Lister
from lookright.data.sets.published import Annotations
from lookright.errors import UserError

_DOMAIN: Final = "VOC2007"
_XML: Final = "Annotations"
_PNG: Final = "SegmentationClass"

_SIDE: Final = 32
_NEAR: Final = 4.0
"""Grey levels by which the pixels of the same photograph differ at most, on average, at _SIDE."""


def open_voc2007(files: Sequence[Path]) -> Annotations | None:
    """VOC2007's annotations, or None without files."""
    return VOC2007(files) if files else None


class VOC2007(Annotations):
    """Outlines where VOC has them, else boxes.

    Raises:
        UserError: the files are not VOC's archive, with photographs and boxes.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._names: dict[str, str] = {}
        self._small: dict[str, NDArray[np.float32]] = {}
        self._count: Counter[str] = Counter()
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            for name in (_XML, _PNG):
                (folder / name).mkdir()
            for file in files:
                self._take(file, folder)
            self._boxes = _by_name(read_voc(folder / _XML)) if _any(folder / _XML) else {}
            self._outlines = (
                _by_name(read_voc_segmentation(folder / _PNG)) if _any(folder / _PNG) else {}
            )
        if not self._boxes.keys() & self._small.keys():
            raise UserError(
                f"Expected VOCtrainval_06-Nov-2007.tar, with JPEGImages and Annotations, at "
                f"'{files[0]}'; it has not both: name another, or leave out --annotations."
            )

    def annotated(self, images: Path) -> Iterator[Annotated]:
        for image in Lister().below(images / _DOMAIN):
            label = image.parent.name
            try:
                picture = read_image(image)
            except UnreadableImageError:
                self._count["lost"] += 1
                continue
            name = self._names.get(_hash(read_bytes(image)))
            how = "by their bytes"
            if name is None:
                name, how = self._alike(image, label), "by what they show"
            self._count[how if name else "lost"] += 1
            if name is None:
                continue
            of = self._outlines.get(name)
            if of is None or label not in _labels(of):
                of = self._boxes.get(name)
            if of is None:
                continue
            self._count["outlined"] += of is self._outlines.get(name)
            path = image.relative_to(images).as_posix()
            yield replace(of.resized(picture.height, picture.width), image=path)

    def notes(self) -> list[str]:
        count = self._count
        return [
            f"Of {_DOMAIN}, VOC's archive has {count['by their bytes']:,} images by their bytes "
            f"and {count['by what they show']:,} by what they show; {count['lost']:,} were not "
            f"found in it and have no mask. {count['outlined']:,} have outlines, the others boxes."
        ]

    def _take(self, file: Path, folder: Path) -> None:
        """Remember the photographs of an archive, and unpack its annotations."""
        for member in members(file):
            kind, name = member.path.parent.name, member.path.stem
            if (kind, member.path.suffix) in ((_XML, ".xml"), (_PNG, ".png")):
                (folder / kind / member.path.name).write_bytes(member.read())
            elif (kind, member.path.suffix) == ("JPEGImages", ".jpg"):
                photo = Encoded(str(member.path), member.read())
                self._names[_hash(photo.content)] = name
                self._small[name] = _small(photo)

    def _alike(self, image: Path, label: str) -> str | None:
        """The one photograph of VOC, with an object of the class, that the image shows."""
        names = [name for name, of in self._boxes.items() if label in _labels(of)]
        names = [name for name in names if name in self._small]
        if not names:
            return None
        shown = _small(image)
        apart = [float(np.abs(self._small[name] - shown).mean()) for name in names]
        nearest, *others = sorted(apart)
        if nearest > _NEAR or (others and others[0] < 2 * _NEAR):
            return None
        return names[apart.index(nearest)]


def _any(folder: Path) -> bool:
    return next(folder.iterdir(), None) is not None


def _by_name(found: Iterator[Annotated]) -> Mapping[str, Annotated]:
    return {PurePosixPath(each.image).stem: each for each in found}


def _labels(annotated: Annotated) -> set[str]:
    return {shape.label for shape in annotated.shapes}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _small(image: Path | Encoded) -> NDArray[np.float32]:
    """The image at _SIDE x _SIDE, flat."""
    return np.asarray(read_image(image).resize((_SIDE, _SIDE)), np.float32).reshape(-1)
