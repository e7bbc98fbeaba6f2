"""Labelme's JSON, and the XML of LabelMe, the older tool on the web."""

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from lookright.data.annotations.annotated import Annotated
from lookright.data.annotations.entries import (
    LARGEST_OF_IMAGE,
    NoAreaError,
    annotated,
    box,
    each_file,
    each_xml,
    field,
    number,
    numbers,
    polygon,
    shortened,
    size_of,
    text_of,
)
from lookright.data.annotations.shapes import Bitmap, Shape
from lookright.data.images import Encoded, UnreadableImageError, read_stored
from lookright.untrusted import content, parsed

_ROUND = 0.01
"""How far the sides of the polygon of a circle may be inside of it, in pixels."""


def read_labelme(path: Path) -> Iterator[Annotated]:
    """The image of a JSON file of Labelme, or those of all such files below a folder.

    Polygons, rectangles, circles and masks are shapes; points and lines have no area. The image
    that a file may hold itself is not read.

    Raises:
        UserError: the file is not one of Labelme, or the folder has none.
    """

    def read(file: Path) -> Annotated:
        return of_labelme(parsed(content(file, LARGEST_OF_IMAGE)), file)

    yield from each_file(path, ".json", "annotations of Labelme", read)


def of_labelme(whole: Any, path: Path) -> Annotated:
    """The annotations that a JSON file holds; raises ValueError if they are not Labelme's."""
    entries = field(whole, "shapes", list)
    size = size_of(whole.get("imageHeight"), whole.get("imageWidth"))
    image = whole.get("imagePath") or path.stem
    if not isinstance(image, str):
        raise ValueError(f"expected 'imagePath' as text, got {shortened(image)}")
    return annotated(image, size, entries, _shape)


def _shape(entry: Mapping[str, Any]) -> Shape:
    label = field(entry, "label", str)
    kind = entry.get("shape_type") or "polygon"
    points = numbers(field(entry, "points", list), 2)
    match kind:
        case "polygon" | "oriented_rectangle" | "rotation":
            return polygon(label, [points])
        case "rectangle" if len(points) >= 2:
            return box(label, *points.min(0), *points.max(0))
        case "circle" if len(points) == 2:
            return polygon(label, [_circle(*points)])
        case "mask" if len(points) >= 1:
            return _mask(label, field(entry, "mask", str), points)
        case "point" | "points" | "line" | "linestrip":
            raise NoAreaError(f"a {kind}")
    raise ValueError(f"a shape of the type {shortened(kind)} with {len(points)} points is unknown")


def _circle(centre: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outline (N, 2) of the circle round a centre through another point."""
    radius = math.dist(centre, edge)
    sides = 8 + math.ceil(math.pi * math.sqrt(radius / (2 * _ROUND)))
    angles = np.arange(sides) * (2 * math.pi / sides)
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def _mask(label: str, encoded: str, points: NDArray[np.float64]) -> Bitmap:
    """The bitmap of a PNG in base64, whose corner is the first of the points."""
    try:
        png = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its mask is no base64: {error}") from error
    try:
        pixels = np.array(read_stored(Encoded("its mask", png)).convert("L")) > 0
    except UnreadableImageError as error:
        raise ValueError(f"its mask cannot be read: {error.reason}") from error
    left, top = points.min(0).astype(int).tolist()
    return Bitmap.of(label, pixels, left, top)


def read_labelme_xml(path: Path) -> Iterator[Annotated]:
    """The image of an XML file of LabelMe, or those of all such files below a folder.

    Raises:
        UserError: the file is not one of LabelMe, or the folder has none.
    """
    return each_xml(path, "annotations of LabelMe", of_labelme_xml)


def of_labelme_xml(root: Element, path: Path) -> Annotated:
    """The annotations that an XML file holds, without deleted objects."""
    size = size_of(root.findtext("imagesize/nrows"), root.findtext("imagesize/ncols"))
    objects = [each for each in root.iterfind("object") if each.findtext("deleted") != "1"]
    image = (root.findtext("filename") or "").strip() or path.stem
    return annotated(image, size, objects, _drawn_shape)


def _drawn_shape(entry: Element) -> Shape:
    label = text_of(entry, "name")
    points = [
        (number(point.findtext("x")), number(point.findtext("y")))
        for point in entry.iterfind("polygon/pt")
    ]
    return polygon(label, [np.array(points).reshape(-1, 2)])
