"""What a file of annotations says of one image."""

import re
from dataclasses import dataclass, replace
from typing import Final, Self
from unicodedata import normalize

from lookright.data.annotations.shapes import Shape

UNIT: Final = (1, 1)
"""The size in which coordinates are shares of the height and width of an image (YOLO's)."""


@dataclass(frozen=True)
class Annotated:
    """The shapes in one image.

    Args:
        image: the image's file as the annotations name it, with "/" between folders; the suffix may
            be missing; "" for entries of no known image.
        size: (height, width) of the image that was annotated, UNIT for shares of them, None if the
            annotations do not say.
        shapes: the shapes, in pixels of that size.
        ignored: pixels of which the annotations do not say what they show, as VOC's borders.
        passed_over: why entries have no area and so no shape: "a point", "a box without area".
        unread: what is wrong with entries that cannot be read; the shapes are then not all.
    """

    image: str
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]
    ignored: tuple[Shape, ...] = ()
    passed_over: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def fits(self, height: int, width: int) -> bool:
        """Whether an image of that size can be the annotated one, perhaps resized."""
        if self.size in (None, UNIT, (height, width)):
            return True
        y, x = height / self.size[0], width / self.size[1]
        return abs(self.size[0] * x - height) <= 1 or abs(self.size[1] * y - width) <= 1

    def resized(self, height: int, width: int) -> Self:
        """The same with the shapes in the pixels of an image of that size."""
        if self.size in (None, (height, width)):
            return replace(self, size=(height, width))
        y, x = height / self.size[0], width / self.size[1]
        return replace(
            self,
            size=(height, width),
            shapes=tuple(shape.scaled(x, y) for shape in self.shapes),
            ignored=tuple(shape.scaled(x, y) for shape in self.ignored),
        )


def plain(label: str) -> str:
    """The label without differences of case, spaces, "_" and "-", and of Unicode's forms."""
    return re.sub(r"[\s_-]+", " ", normalize("NFC", label)).strip().casefold()
