"""COCO's JSON: polygons, run-length encodings, or boxes alone, as of Caltech Camera Traps.

The format is described at https://cocodataset.org/#format-data.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lookright.data.annotations.annotated import Annotated
from lookright.data.annotations.entries import (
    NoAreaError,
    annotated,
    box,
    field,
    named,
    numbers,
    polygon,
    size_of,
)
from lookright.data.annotations.rle import read_runs
from lookright.data.annotations.shapes import Bitmap, Shape
from lookright.data.images import PIXELS
from lookright.untrusted import content, parsed

WHAT: Final = "annotations of COCO"

Entry = Mapping[str, Any]
Id = int | str


def read_coco(path: Path) -> Iterator[Annotated]:
    """The images that a JSON file of COCO lists, in its order, each with its shapes.

    A shape is the segmentation, or else the box; crowds (`iscrowd`) are shapes like others. Labels
    are the names of categories, or their numbers where the file names none. Annotations of images
    that the file does not list are `unread`.

    Raises:
        UserError: the file is not one of COCO.
    """
    yield from of_coco(named(path, WHAT, lambda file: parsed(content(file))), path)


def of_coco(whole: Any, path: Path) -> Iterator[Annotated]:
    """`read_coco`, of what the file holds."""
    (images, lost_images), (entries, lost), labels = named(path, WHAT, lambda _: _parts(whole))
    for key, image in images.items():
        try:
            yield _image(image[-1], entries.pop(key, []), labels)
        except ValueError as error:
            lost_images.append(f"image {key!r}: {error}")
    lost += [f"{len(of)} annotations of image {key!r}, not listed" for key, of in entries.items()]
    if lost_images or lost:
        yield Annotated("", None, (), unread=(*lost_images, *lost))


def _parts(
    whole: Any,
) -> tuple[tuple[dict[Id, list[Entry]], list[str]], tuple[dict[Id, list[Entry]], list[str]], Any]:
    images = _grouped(field(whole, "images", list), "id")
    if twice := [key for key, of in images[0].items() if len(of) > 1]:
        raise ValueError(f"several of its images have the id {twice[0]!r}")
    called = (image.get("file_name") for of in images[0].values() for image in of)
    names = Counter(name for name in called if isinstance(name, str))
    if same := [name for name, count in names.items() if count > 1]:
        raise ValueError(
            f"several of its images are called {same[0]!r}: name each by its path from the folder "
            "of images"
        )
    entries = _grouped(field(whole, "annotations", list), "image_id")
    named = field(whole, "categories", list) if "categories" in whole else []
    labels = {_id(category, "id"): field(category, "name", str) for category in named}
    return images, entries, labels


def _grouped(entries: list[Any], key: str) -> tuple[dict[Id, list[Entry]], list[str]]:
    """The entries by an id in them, and what is wrong with those that have none."""
    found: dict[Id, list[Entry]] = {}
    lost = []
    for number, entry in enumerate(entries, 1):
        try:
            found.setdefault(_id(entry, key), []).append(entry)
        except ValueError as error:
            lost.append(f"entry {number}: {error}")
    return found, lost


def _id(entry: Any, key: str) -> Id:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    return value if isinstance(value, str) else field(entry, key, int)


def _image(image: Entry, entries: list[Entry], labels: Mapping[Id, str]) -> Annotated:
    size = size_of(image.get("height"), image.get("width")) or _encoded_size(entries)

    def shape(entry: Entry) -> Shape:
        category = _id(entry, "category_id")
        return _shape(entry, labels.get(category, str(category)), size)

    return annotated(_name(image), size, entries, shape)


def _name(image: Entry) -> str:
    """The image's file; LVIS has only its address."""
    if "file_name" not in image and "coco_url" in image:
        return PurePosixPath(field(image, "coco_url", str)).name
    return field(image, "file_name", str)


def _encoded_size(entries: list[Entry]) -> tuple[int, int] | None:
    """The size of an image by its first run-length encoding."""
    for entry in entries:
        match entry.get("segmentation"):
            case {"size": [height, width]}:
                return size_of(height, width)
    return None


def _shape(entry: Entry, label: str, size: tuple[int, int] | None) -> Shape:
    match entry.get("segmentation"):
        case {"counts": counts, "size": [height, width]}:
            if size is None or size_of(height, width) != size or height * width > PIXELS:
                raise ValueError("its encoding is not of the size of the image")
            return Bitmap(label, read_runs(counts, *size), *size)
        case [[*_], *_] as parts:
            outlines = [numbers(part) for part in parts]
            if any(len(outline) % 2 for outline in outlines):
                raise ValueError("an outline has an x without a y")
            if "bbox" not in entry or any(len(outline) >= 6 for outline in outlines):
                return polygon(label, outlines)
        case None | []:
            pass
        case _:
            raise ValueError("its segmentation is neither outlines nor a run-length encoding")
    if entry.get("bbox") in (None, []):
        raise NoAreaError("a label of a whole image")
    edges = numbers(entry["bbox"])
    if len(edges) != 4:
        raise ValueError(f"expected four numbers of a box, got {len(edges)}")
    left, top, width, height = edges
    return box(label, left, top, left + width, top + height)
