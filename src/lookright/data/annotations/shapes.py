"""Shapes that mark an object in an image, and the masks that they draw.

A pixel belongs to a shape if its centre lies inside. Coordinates are those of the plane: x to the
right, y down, and the pixel in column c and row r is the square from (c, r) to (c + 1, r + 1). A
centre on an edge belongs to the shape on its right, or below it, so that shapes that share an edge
share no pixel and leave none out. What lies outside of the image is cut off.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lookright.data.annotations.outline import fill
from lookright.data.annotations.rle import pixels_of, runs_of


@dataclass(frozen=True)
class Box:
    """The rectangle between these edges, in pixels; nothing if left >= right or top >= bottom."""

    label: str
    left: float
    top: float
    right: float
    bottom: float

    def scaled(self, x: float, y: float) -> Self:
        """The box where x and y are multiplied by these factors."""
        edges = self.left * x, self.top * y, self.right * x, self.bottom * y
        return type(self)(self.label, *edges)

    def draw_on(self, mask: NDArray[np.bool_]) -> None:
        """Set the pixels of the box in a mask (H, W)."""
        rows = _pixels(self.top, self.bottom, mask.shape[0])
        mask[rows, _pixels(self.left, self.right, mask.shape[1])] = True


@dataclass(frozen=True, eq=False)
class Polygon:
    """One or more closed outlines, each an array (N, 2) of x and y in pixels.

    A point is inside an outline if a ray from it crosses the outline an odd number of times; it is
    inside the polygon if it is inside any of its outlines (COCO's parts of an object).
    """

    label: str
    outlines: tuple[NDArray[np.float64], ...]

    def scaled(self, x: float, y: float) -> Self:
        """The polygon where x and y are multiplied by these factors."""
        return type(self)(self.label, tuple(each * (x, y) for each in self.outlines))

    def draw_on(self, mask: NDArray[np.bool_]) -> None:
        """Set the pixels of the polygon in a mask (H, W)."""
        for outline in self.outlines:
            fill(mask, outline)


@dataclass(frozen=True, eq=False)
class Bitmap:
    """Pixels given one by one, in a window of `height` and `width` whose corner is (left, top).

    runs: how many pixels in turn do not and do belong to the shape, down the columns one after the
    other (COCO's run-length encoding, `annotations.rle`). scale: the width and height of one of
    these pixels in the image; a pixel of the image is the one that its centre is in.
    """

    label: str
    runs: NDArray[np.int64]
    height: int
    width: int
    left: int = 0
    top: int = 0
    scale: tuple[float, float] = (1, 1)

    @classmethod
    def of(cls, label: str, pixels: NDArray[np.bool_], left: int = 0, top: int = 0) -> Self:
        """The bitmap of pixels (H, W) whose corner is (left, top)."""
        height, width = pixels.shape
        return cls(label, runs_of(pixels), height, width, left, top)

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The pixels (height, width) of the window."""
        return pixels_of(self.runs, self.height, self.width)

    def scaled(self, x: float, y: float) -> Self:
        """The bitmap where x and y are multiplied by these factors."""
        return replace(self, scale=(self.scale[0] * x, self.scale[1] * y))

    def draw_on(self, mask: NDArray[np.bool_]) -> None:
        """Set the pixels of the bitmap in a mask (H, W)."""
        (height, width), (x, y) = mask.shape, self.scale
        rows, from_rows = _sampled(height, self.top, self.height, y)
        columns, from_columns = _sampled(width, self.left, self.width, x)
        mask[rows, columns] |= self.pixels[np.ix_(from_rows, from_columns)]


Shape = Box | Polygon | Bitmap


def draw(shapes: Iterable[Shape], height: int, width: int) -> NDArray[np.uint8]:
    """The mask (height, width) of all of the shapes together: 255 inside any of them, 0 elsewhere.

    Raises:
        UserError: an outline is too long to be drawn (`outline.fill`).
    """
    mask = np.zeros((height, width), bool)
    for shape in shapes:
        shape.draw_on(mask)
    return mask.view(np.uint8) * np.uint8(255)


def _pixels(start: float, end: float, count: int) -> slice:
    """The pixels of a row of `count` whose centres are at `start` or above it, and below `end`."""
    first, last = np.clip(np.ceil([start - 0.5, end - 0.5]), 0, count).astype(int)
    return slice(first, last)


def _sampled(count: int, first: int, size: int, scale: float) -> tuple[slice, NDArray[np.int64]]:
    """The pixels of a row of `count` that a window covers, and the window's pixel for each."""
    covered = _pixels(first * scale, (first + size) * scale, count)
    inner = (np.arange(covered.start, covered.stop) + 0.5) // scale - first
    return covered, inner.clip(0, size - 1).astype(np.int64)
