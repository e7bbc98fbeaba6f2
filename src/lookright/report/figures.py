"""Geometry of the page's figures; `figures.html.j2` draws it as SVG in the page's colours."""

from dataclasses import dataclass

from lookright.evaluation.stages.attacks import eps_of
from lookright.report.grouping import Cell, Comparison, Method
from lookright.report.verdicts import verdict

MARKERS = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.6L5.6 0L0 5.6L-5.6 0Z",
    "M0 -5.4L5.2 4H-5.2Z",
    "M0 5.4L5.2 -4H-5.2Z",
    "M-1.6 -5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
    "M-5 -4.5L5 4.5V-4.5L-5 4.5Z",
)
STAR = "M0 -8L1.9 -2.6L7.6 -2.5L3 1L4.7 6.5L0 3.2L-4.7 6.5L-3 1L-7.6 -2.5L-1.9 -2.6Z"
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4")
COLOURS = 8


@dataclass(frozen=True)
class Style:
    """How a method looks in every figure: colour, marker and dash, so that none stands alone."""

    colour: int
    marker: str
    dash: str

    @classmethod
    def of(cls, index: int) -> "Style":
        return cls(index % COLOURS, MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])


@dataclass(frozen=True)
class Tick:
    """A grid line at `position` pixels with its label ('' for none)."""

    position: float
    label: str


@dataclass(frozen=True)
class Point:
    """A marker at (x, y) pixels, its interval's ends on the value axis, and a text to hover for."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Series:
    """One method in one panel; `star` is what AutoAttack leaves."""

    name: str
    style: Style
    points: tuple[Point, ...]
    star: Point | None = None

    @property
    def line(self) -> str:
        return "M" + "L".join(f"{point.x:.1f} {point.y:.1f}" for point in self.points)

    @property
    def band(self) -> str:
        there = [f"{point.x:.1f} {point.high:.1f}" for point in self.points]
        back = [f"{point.x:.1f} {point.low:.1f}" for point in reversed(self.points)]
        return f"M{'L'.join([*there, *back])}Z"


@dataclass(frozen=True)
class Panel:
    """One domain's figure, `width` by `height` pixels, with a description in words."""

    domain: str
    in_distribution: bool
    width: int
    height: int
    series: tuple[Series, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    description: str


_WIDTH, _CURVE_HEIGHT, _ROW = 340, 250, 46
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 10, 40
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def curve_panels(comparison: Comparison) -> list[Panel]:
    """Accuracy against the size of the attack, one panel per domain that has a curve."""
    panels = (_curve_panel(comparison, domain) for domain in comparison.domains)
    return [panel for panel in panels if panel.series]


def _curve_panel(comparison: Comparison, domain: str) -> Panel:
    curves = [(method, method.curve(domain)) for method in comparison.methods]
    stars = {method.name: star for method in comparison.methods if (star := _star(method, domain))}
    eps = sorted(
        {eps for _, curve in curves for eps, _ in curve} | {eps for eps, _ in stars.values()}
    )
    span = max(eps, default=0) or 1
    inner = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + inner * value / span

    def y(value: float) -> float:
        value = min(max(value, 0.0), 1.0)
        return _TOP + (_CURVE_HEIGHT - _TOP - _BOTTOM) * (1 - value)

    def point(name: str, e: float, cell: Cell) -> Point:
        return Point(x(e), y(cell.value), y(cell.low), y(cell.high), _hover(name, e, cell))

    series = tuple(
        Series(
            method.name,
            Style.of(index),
            tuple(point(method.name, e, cell) for e, cell in curve),
            point(f"{method.name} under AutoAttack", *stars[method.name])
            if method.name in stars
            else None,
        )
        for index, (method, curve) in enumerate(curves)
        if curve
    )
    ends = [
        f"{method.name} from {100 * curve[0][1].value:.1f}% to {100 * curve[-1][1].value:.1f}%"
        + (
            f" (AutoAttack {100 * stars[method.name][1].value:.1f}%)"
            if method.name in stars
            else ""
        )
        for method, curve in curves
        if curve
    ]
    return Panel(
        domain=domain,
        in_distribution=comparison.in_distribution(domain),
        width=_WIDTH,
        height=_CURVE_HEIGHT,
        series=series,
        x_ticks=_spaced([Tick(x(e), pixel_levels(e)) for e in eps], apart=26),
        y_ticks=tuple(Tick(y(q), f"{100 * q:.0f}%") for q in _QUARTERS),
        description=f"Accuracy in {domain}, from the smallest to the largest attack: "
        f"{'; '.join(ends)}.",
    )


def _star(method: Method, domain: str) -> tuple[float, Cell] | None:
    """The size and what is left of it, where AutoAttack was run."""
    cell, eps = method.cell(domain, "accuracy_autoattack"), eps_of(method.runs[0])
    return (eps, cell) if cell and eps is not None else None


def accuracy_panels(comparison: Comparison) -> list[Panel]:
    """Clean and adversarial accuracy, a row per method, one panel per domain.

    A series has its clean point first and, where it was measured, its adversarial one second.
    """
    panels = (_accuracy_panel(comparison, domain) for domain in comparison.domains)
    return [panel for panel in panels if panel.series]


def _accuracy_panel(comparison: Comparison, domain: str) -> Panel:
    left, right = 8, _WIDTH - 8

    def x(value: float) -> float:
        return left + (right - left) * min(max(value, 0.0), 1.0)

    series: list[Series] = []
    for index, method in enumerate(comparison.methods):
        named = (("clean", "accuracy"), ("under attack", "accuracy_adversarial"))
        cells = [(word, cell) for word, key in named if (cell := method.cell(domain, key))]
        if not cells or cells[0][0] != "clean":
            continue
        y = 32 + _ROW * len(series)
        trust = verdict(method, domain)
        points = tuple(
            Point(
                x(cell.value),
                y,
                x(cell.low),
                x(cell.high),
                f"{word} {100 * cell.value:.1f}%"
                + (" ⚠" if trust and trust.suspects and word != "clean" else ""),
            )
            for word, cell in cells
        )
        series.append(Series(method.name, Style.of(index), points))
    words = "; ".join(
        f"{one.name}: {', '.join(point.text for point in one.points)}" for one in series
    )
    return Panel(
        domain=domain,
        in_distribution=comparison.in_distribution(domain),
        width=_WIDTH,
        height=32 + _ROW * len(series),
        series=tuple(series),
        x_ticks=tuple(Tick(x(q), f"{100 * q:.0f}%") for q in _QUARTERS),
        y_ticks=(),
        description=f"Accuracy in {domain}. {words}.",
    )


def pixel_levels(eps: float) -> str:
    """An attack's size in 8-bit levels: 8/255 is '8'."""
    return f"{round(255 * eps, 2):g}"


def _hover(name: str, eps: float, cell: Cell) -> str:
    return (
        f"{name}, {pixel_levels(eps)}/255: {100 * cell.value:.1f}% "
        f"({100 * max(cell.low, 0):.1f}\N{EN DASH}{100 * min(cell.high, 1):.1f})"
    )


def _spaced(ticks: list[Tick], apart: float) -> tuple[Tick, ...]:
    """Labels dropped where they would touch the one before."""
    kept: list[Tick] = []
    last = float("-inf")
    for tick in ticks:
        free = tick.position - last >= apart
        last = tick.position if free else last
        kept.append(tick if free else Tick(tick.position, ""))
    return tuple(kept)
