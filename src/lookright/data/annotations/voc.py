"""PASCAL VOC: boxes in XML, and the PNG files of SegmentationClass and SegmentationObject."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from lookright.data.annotations.annotated import Annotated
from lookright.data.annotations.entries import (
    annotated,
    box,
    each_file,
    each_xml,
    number,
    size_of,
    text_of,
)
from lookright.data.annotations.shapes import Bitmap, Shape
from lookright.data.images import read_stored

CLASSES: Final = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
"""VOC's classes by their numbers in SegmentationClass."""

BORDER: Final = 255
"""Pixels between an object and the rest, of which VOC does not say what they show."""

Numbers = NDArray[np.uint8]


def read_voc(path: Path) -> Iterator[Annotated]:
    """The boxes of an XML file of VOC, or of all such files below a folder.

    A box holds the pixels from its first to its last coordinates, counted from 1. Difficult and
    truncated objects are objects; their parts, such as heads, are left out.

    Raises:
        UserError: the file is not one of VOC, or the folder has none.
    """
    return each_xml(path, "boxes of PASCAL VOC", of_voc)


def of_voc(root: Element, path: Path) -> Annotated:
    """The boxes that an XML file holds; raises ValueError if they are not VOC's."""
    if root.tag != "annotation":
        raise ValueError(f"its outermost element is '{root.tag}', not 'annotation'")
    image = (root.findtext("filename") or "").strip() or path.stem
    size = size_of(root.findtext("size/height"), root.findtext("size/width"))
    return annotated(image, size, root.findall("object"), _shape)


def _shape(entry: Element) -> Shape:
    left, top, right, bottom = (
        number(entry.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")
    )
    return box(text_of(entry, "name"), left - 1, top - 1, right, bottom)


def read_voc_segmentation(path: Path, classes: Sequence[str] = CLASSES) -> Iterator[Annotated]:
    """The segmentation of a PNG file in SegmentationClass or SegmentationObject, or of all in it.

    There is a shape for each class, or for each object, whose class is then the one that
    SegmentationClass beside it has there. Borders are `ignored`.

    classes: the names of the classes, by their numbers.

    Raises:
        UserError: the file is not one of VOC, or the folder has none.
    """
    yield from each_file(
        path, ".png", "segmentations of PASCAL VOC", lambda file: _segmented(file, classes)
    )


def _segmented(path: Path, classes: Sequence[str]) -> Annotated:
    drawn = _numbers(path)
    beside = path.parent.with_name("SegmentationClass") / path.name
    of_objects = path.parent.name == "SegmentationObject"
    if of_objects and not beside.is_file():
        raise ValueError(f"the classes of its objects are missing: there is no '{beside}'")
    labels = _numbers(beside) if of_objects else drawn
    if labels.shape != drawn.shape:
        raise ValueError(f"'{beside}' has another size")

    def shape(value: int) -> Shape:
        inside = drawn == value
        label = int(np.bincount(labels[inside]).argmax())
        if label >= len(classes):
            raise ValueError(f"there is no class {label} among the {len(classes)} of VOC")
        return _window(classes[label], inside)

    values = [value for value in np.unique(drawn).tolist() if value not in (0, BORDER)]
    border = drawn == BORDER
    ignored = (_window("border", border),) if border.any() else ()
    return annotated(path.stem, drawn.shape, values, shape, ignored)


def _numbers(path: Path) -> Numbers:
    image = read_stored(path)
    if image.mode not in ("P", "L"):
        raise ValueError(
            f"expected one number for each pixel, got colours (mode {image.mode}): use VOC's own "
            "files, whose colours are a palette"
        )
    return np.array(image)


def _window(label: str, inside: NDArray[np.bool_]) -> Bitmap:
    """A bitmap of the pixels (H, W), of which at least one is inside, without what is round it."""
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    top, left = int(rows[0]), int(columns[0])
    pixels = inside[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    return Bitmap.of(label, pixels, left, top)
