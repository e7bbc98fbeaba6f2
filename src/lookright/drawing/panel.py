"""The geometry of figures in pixels; a template draws them as SVG in the page's colours."""

from collections.abc import Sequence
from dataclasses import dataclass

from lookright.drawing.style import Style


@dataclass(frozen=True)
class Tick:
    """A grid line at `position` pixels with its label ('' for none)."""

    position: float
    label: str


@dataclass(frozen=True)
class Point:
    """A marker at (x, y) pixels, the ends of its interval on the value axis, and a tooltip."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Series:
    """One method in one panel; `star` is a single point apart from the line."""

    name: str
    style: Style
    points: tuple[Point, ...]
    star: Point | None = None

    @property
    def line(self) -> str:
        return line([(point.x, point.y) for point in self.points])

    @property
    def band(self) -> str:
        return band([(point.x, point.low, point.high) for point in self.points])


@dataclass(frozen=True)
class Panel:
    """The figure of one domain, `width` by `height` pixels, with a description in words."""

    domain: str
    in_distribution: bool
    width: int
    height: int
    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    description: str
    x_title: str = ""


def line(points: Sequence[tuple[float, float]]) -> str:
    """The SVG path through the points (x, y)."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def band(points: Sequence[tuple[float, float, float]]) -> str:
    """The SVG path around all (x, low, high): along the high ends, then back along the low ends."""
    there = [(x, high) for x, _, high in points]
    back = [(x, low) for x, low, _ in reversed(points)]
    return f"{line([*there, *back])}Z"


def spaced(ticks: Sequence[Tick], apart: float) -> tuple[Tick, ...]:
    """The ticks without the labels that lie less than `apart` pixels after the previous label."""
    kept: list[Tick] = []
    last = float("-inf")
    for tick in ticks:
        free = tick.position - last >= apart
        last = tick.position if free else last
        kept.append(tick if free else Tick(tick.position, ""))
    return tuple(kept)
