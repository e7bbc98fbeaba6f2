"""`lookright data`: check or prepare a data set that papers use, or make masks from annotations."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Final, Literal

from lookright.console import say, show
from lookright.data.annotations import read_annotations, write_masks
from lookright.data.annotations.write import Labels
from lookright.data.layout import Subfolders
from lookright.data.sets import (
    IMAGES,
    MASKS,
    Contents,
    compare_contents,
    counts_table,
    find,
    mistakes,
    published_set,
    remarks,
)
from lookright.data.sets import prepare as prepare_set
from lookright.errors import UserError

Action = Literal["check", "prepare", "masks"]

_NAMES: Final[dict[Action, str]] = {
    "check": "NAME DIR",
    "prepare": "NAME ARCHIVE DIR",
    "masks": "ANNOTATIONS IMAGES DIR",
}


def data(
    action: Action,
    names: list[str],
    annotations: list[Path] | None = None,
    labels: dict[str, list[str]] | Literal["own", "all"] = "own",
    subfolders: Subfolders | None = None,
    listed: int = 10,
) -> None:
    """Check or prepare a data set that papers use, or make masks from annotations.

    lookright data check NAME DIR: compare a folder, however deep the domains lie in it, with what
    is published about the set. It says which domains and classes are missing or extra, which counts
    differ, which files cannot be read, and which are the same in several domains (a leak) or twice
    in one. If anything makes it another set than the published one, the exit code is 1.

    lookright data prepare NAME ARCHIVE DIR: lay out the official archive, which you have
    downloaded, as DIR/images/<domain>/<class>/*, and masks, where there are annotations, as
    DIR/masks/<domain>/<class>/*.png. If it is stopped, the same command continues. ARCHIVE may also
    be a folder into which you have unpacked it.

    lookright data masks ANNOTATIONS IMAGES DIR: draw the annotations of any images (COCO or LabelMe
    JSON, YOLO, VOC) as masks in DIR, at the paths of the images. If none can be drawn, the exit
    code is 1.

    NAME is vlcs, pacs, office_home or terra_incognita.

    Args:
        action: what to do.
        names: what it is done with; see above.
        annotations: for prepare, files that say where the images belong or where the objects are:
            for terra_incognita eccv_18_annotations.tar.gz, for vlcs VOCtrainval_06-Nov-2007.tar.
        labels: for masks, what is drawn: "own", what is labelled with the class of the image;
            "all"; or, as {dog: [puppy, hound]}, the labels that belong to a class.
        subfolders: for masks, take or skip the images in folders within those of the classes.
        listed: how many of a kind are named at most, such as files that are the same; 0 names all.
    """
    if annotations and action != "prepare":
        raise UserError("--annotations is for lookright data prepare: leave it out.")
    if (labels, subfolders) != ("own", None) and action != "masks":
        raise UserError("--labels and --subfolders are for lookright data masks: leave them out.")
    match action, names:
        case "check", [name, folder]:
            _check(name, folder, listed)
        case "prepare", [name, archive, folder]:
            _prepare(name, archive, folder, annotations or [], listed)
        case "masks", [annotated, images, folder]:
            _draw(annotated, images, folder, labels, subfolders)
        case _:
            raise UserError(
                f"Expected lookright data {action} {_NAMES[action]}; got {len(names)} names after "
                f"{action}: {' '.join(names)}."
            )


def _check(name: str, folder: str, listed: int) -> None:
    bar = sys.stderr.isatty()
    found = find(published_set(name), folder, bar)
    contents = compare_contents(found, bar)
    show(counts_table(found))
    for remark in remarks(found, contents, listed):
        say(remark)
    if wrong := mistakes(found, contents, listed):
        said = "".join(f" {line}." for line in wrong)
        raise UserError(f"{found.root} is not {found.published.title} as published.{said}")
    say(f"{found.published.title}, as published.")


def _prepare(
    name: str, archive: str, folder: str, annotations: Sequence[Path], listed: int
) -> None:
    bar = sys.stderr.isatty()
    published = published_set(name)
    prepared = prepare_set(published, archive, folder, annotations, bar)
    found = find(published, prepared.folder / IMAGES, bar)
    show(counts_table(found))
    if passed := prepared.passed_over:
        say(f"{len(passed):,} images of the archive are not of the set, such as {passed[0]}.")
    for each in [*prepared.notes, *mistakes(found, Contents(), listed)]:
        say(each)
    images = quote(str(prepared.folder / IMAGES))
    masks = f" --masks {quote(str(prepared.folder / MASKS))}" if prepared.masks else ""
    say(f"Prepared {prepared.images:,} images and {prepared.masks:,} masks in {prepared.folder}.")
    say(f"Check them: lookright data check {name} {quote(str(prepared.folder))}")
    say(f"Train on them: lookright train --data {images}{masks}")


def _draw(
    annotations: str, images: str, folder: str, labels: Labels, subfolders: Subfolders | None
) -> None:
    bar = sys.stderr.isatty()
    drawn = write_masks(read_annotations(annotations), images, folder, labels, bar, subfolders)
    if not (drawn.written or drawn.kept):
        raise UserError(
            f"Expected annotations of objects in the images of '{images}'; '{annotations}' gives "
            f"no mask: {'; '.join(drawn.lines())}. Name the annotations of these images, or say "
            "with --labels what is drawn."
        )
    for line in drawn.lines():
        say(line)
    say(f"Train with them: lookright train --data {quote(images)} --masks {quote(folder)}")
