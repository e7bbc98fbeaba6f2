"""Annotations as a folder of masks, at the paths of the images."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from lookright.data.annotations.annotated import Annotated, plain
from lookright.data.annotations.mask_file import Annotations, update
from lookright.data.annotations.matching import matched
from lookright.data.images import read_bytes
from lookright.data.layout import Subfolders, below, find_images
from lookright.errors import UserError, did_you_mean, some
from lookright.files import WRITING, as_path, forget_unfinished, inside
from lookright.locks import locked
from lookright.progress import counting, in_threads

Labels = Mapping[str, Collection[str]] | Literal["own", "all"]

_EXAMPLES: Final = {
    "written": "masks were written",
    "kept": "masks were there already",
    "without_shape": "annotated images have no shape of their labels, and so no mask",
    "without_annotation": "images have no annotation, and so no mask",
    "strays": "annotations are of images that are not there",
    "unread": "annotations cannot be read, and their images have no mask",
}


@dataclass(frozen=True)
class Outcome:
    """What became of images and annotations.

    Args:
        written: images whose masks were written.
        kept: images whose masks were there already, drawn from the same shapes.
        without_shape: annotated images without a shape of the labels wanted; they have no mask.
        without_annotation: images that no annotation is of; they have no mask.
        strays: names in annotations that no image has.
        unread: what cannot be read, with the names of the images, which have no mask.
        passed_over: how many entries of each kind have no area.
    """

    written: tuple[str, ...]
    kept: tuple[str, ...]
    without_shape: tuple[str, ...]
    without_annotation: tuple[str, ...]
    strays: tuple[str, ...]
    unread: tuple[str, ...]
    passed_over: Mapping[str, int]

    def lines(self) -> list[str]:
        """A line for each of these that there is, with an example."""
        lines = [
            f"{len(names)} {words}, such as {names[0]}"
            for kind, words in _EXAMPLES.items()
            if (names := getattr(self, kind))
        ]
        return lines + [f"{n} entries have no area: {what}" for what, n in self.passed_over.items()]


def write_masks(
    annotated: Iterable[Annotated],
    images: Path | str,
    out: Path | str,
    labels: Labels = "own",
    progress: bool = True,
    subfolders: Subfolders | None = None,
) -> Outcome:
    """Write the mask of each annotated image below `images` to the same path below `out`, as PNG.

    The image of an annotation is found by `matching.matched`, and its mask written by
    `mask_file.update`. A second call goes on where one was stopped.

    Args:
        annotated: as the readers of this room give it.
        images: a folder <domain>/<class>/* or <class>/*.
        out: the folder of the masks.
        labels: draw the shapes whose label is the name of the image's class ("own"), "all" shapes,
            or those with the labels listed for a class; one that is not listed has its own. Case,
            spaces, "_" and "-" make no difference.
        progress: show bars on stderr.
        subfolders: as in `layout.find_images`.

    Raises:
        UserError: the images cannot be found or told apart; a mask is there that was not drawn from
            annotations; no shape has a label that is wanted; and the errors of the readers.
    """
    images, out = as_path(images), as_path(out)
    if images.resolve() == out.resolve():
        raise UserError(f"Expected another folder for masks than '{images}', that of the images.")
    with counting(f"Listing {images.name}", progress):
        tree = find_images(images, [out], "domains", subfolders).tree
    classes = {
        below(images, path): name
        for of in tree.values()
        for name, paths in of.items()
        for path in paths
    }
    by_name: dict[str, list[Annotated]] = {}
    with counting("Reading annotations", progress) as told:
        for each in annotated:
            by_name.setdefault(each.image, []).append(each)
            told(1)
    unread = [why for each in by_name.pop("", ()) for why in each.unread]
    unread += [f"'{name}': {why}" for name, of in by_name.items() for a in of for why in a.unread]
    passed_over = Counter(why for of in by_name.values() for a in of for why in a.passed_over)
    names = matched(by_name, classes, lambda several: _are_copies(images, several))
    _check_targets(names)
    wanted = _wanted(labels, classes, names, by_name)
    tasks = [
        Annotations(
            images / image,
            inside(out, _mask_of(image)),
            by_name[name],
            wanted[image],
            out / WRITING,
        )
        for image, name in names.items()
    ]
    with locked(out):
        done = in_threads(update, tasks, "Drawing masks" if progress else None)
        forget_unfinished(out)
    by_end: dict[str, list[str]] = {}
    for image, end in zip(names, done, strict=True):
        by_end.setdefault(end.what, []).append(image)
        unread += [f"'{image}': {end.why}"] if end.why else []
    return Outcome(
        **{kind: tuple(by_end.get(kind, ())) for kind in ("written", "kept", "without_shape")},
        without_annotation=tuple(image for image in classes if image not in names),
        strays=tuple(sorted(by_name.keys() - set(names.values()))),
        unread=tuple(unread),
        passed_over=passed_over,
    )


def _mask_of(image: str) -> Path:
    return Path(image).with_suffix(".png")


def _are_copies(root: Path, images: Collection[str]) -> bool:
    return len({hashlib.sha256(read_bytes(root / image)).digest() for image in images}) == 1


def _check_targets(images: Iterable[str]) -> None:
    """Refuse images whose masks would have the same path."""
    seen: dict[Path, str] = {}
    for image in images:
        if (other := seen.setdefault(_mask_of(image), image)) != image:
            raise UserError(
                f"Expected images of different names; the mask of both '{other}' and '{image}' "
                f"would be '{_mask_of(image)}': rename one."
            )


def _wanted(
    labels: Labels,
    classes: Mapping[str, str],
    names: Mapping[str, str],
    by_name: Mapping[str, list[Annotated]],
) -> dict[str, frozenset[str] | None]:
    """The labels to draw in each image, plain; None for all of them."""
    if labels == "all":
        return dict.fromkeys(classes)
    if isinstance(labels, str) and labels != "own":
        raise UserError(f"Expected labels own, all, or those of each class; got '{labels}'.")
    listed = {} if isinstance(labels, str) else dict(labels)
    known = {*classes.values()}
    if alone := [name for name, of in listed.items() if isinstance(of, str)]:
        raise UserError(f"Expected a list of labels for class '{alone[0]}'; got one text.")
    for name in listed.keys() - known:
        raise UserError(
            f"Expected classes of the images, {some(sorted(known))}, got '{name}'."
            f"{did_you_mean(name, known)}"
        )
    found = {shape.label for of in by_name.values() for each in of for shape in each.shapes}
    plain_found = {plain(label) for label in found}
    for name, of in listed.items():
        for label in of:
            if plain(label) not in plain_found:
                warnings.warn(
                    f"No annotation has the label '{label}' of class '{name}'."
                    f"{did_you_mean(label, found)}",
                    stacklevel=3,
                )
    of_class = {name: frozenset(map(plain, listed.get(name, [name]))) for name in known}
    if names and found and not any(of_class[classes[image]] & plain_found for image in names):
        raise UserError(
            f"Expected shapes labelled with the classes of the images, {some(sorted(known))}; the "
            f"labels are {some(sorted(found))}: say which labels belong to each class."
        )
    return {image: of_class[name] for image, name in classes.items()}
