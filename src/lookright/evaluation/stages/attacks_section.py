"""Accuracy, clean and under attack, and how it falls as the attack grows."""

from collections.abc import Sequence

from lookright.attacks import LInf
from lookright.drawing import STAR, Panel, Point, Series, Style, Tick, pixel_levels, spaced
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.stages.attacks import Attacks, ball_of, radius_in_words
from lookright.evaluation.stages.attacks_gallery import galleries
from lookright.evaluation.stages.diagnostics import verdict, verdicts
from lookright.metrics import Estimate

EXAMPLES = 8
"""Images per domain on the page; fewer where many methods are compared."""

_WIDTH, _CURVE_HEIGHT, _ROW = 340, 250, 46
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 12, 10, 40
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def section(results: ResultSet) -> dict[str, object] | None:
    """What the template of `Attacks` shows: accuracies, curves and example images."""
    accuracies, curves = accuracy_panels(results), curve_panels(results)
    shown = galleries(results, results.shown(EXAMPLES))
    if not accuracies and not curves and not shown:
        return None
    return {
        "accuracy_panels": accuracies,
        "curve_panels": curves,
        "galleries": shown,
        "star_path": STAR,
        "starred": any(series.star for panel in curves for series in panel.series),
        "doubted": any(one.suspects for of in verdicts(results).values() for one in of),
    }


def curve_panels(results: ResultSet) -> list[Panel]:
    """Accuracy against the size of the attack, one panel per domain and norm that has a curve."""
    norms = {method.name: ball_of(method.runs[0]) for method in results.methods}
    known = dict.fromkeys(ball[1] for ball in norms.values() if ball)
    panels = (
        _curve_panel(
            results,
            domain,
            norm,
            [name for name, ball in norms.items() if ball and ball[1] == norm],
        )
        for domain in results.domains
        for norm in known
    )
    return [panel for panel in panels if panel.series]


def _curve_panel(results: ResultSet, domain: str, norm: str, names: Sequence[str]) -> Panel:
    curves = [
        (method, _curve(method, domain) if method.name in names else [])
        for method in results.methods
    ]
    stars = {
        method.name: star for method, curve in curves if curve and (star := _star(method, domain))
    }
    eps = sorted(
        {eps for _, curve in curves for eps, _ in curve} | {eps for eps, _ in stars.values()}
    )
    span = max(eps, default=0) or 1
    pixels = norm == LInf.__name__
    inner = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + inner * value / span

    def y(value: float) -> float:
        value = min(max(value, 0.0), 1.0)
        return _TOP + (_CURVE_HEIGHT - _TOP - _BOTTOM) * (1 - value)

    def point(name: str, e: float, cell: Cell) -> Point:
        told = _hover(name, radius_in_words(e, norm), cell)
        return Point(x(e), y(cell.value), y(cell.low), y(cell.high), told)

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
        in_distribution=results.in_distribution(domain),
        width=_WIDTH,
        height=_CURVE_HEIGHT,
        series=series,
        x_ticks=spaced(
            [Tick(x(e), pixel_levels(e) if pixels else f"{e:g}") for e in eps], apart=26
        ),
        y_ticks=tuple(Tick(y(q), f"{100 * q:.0f}%") for q in _QUARTERS),
        description=f"Accuracy in {domain}, from the smallest to the largest attack: "
        f"{'; '.join(ends)}.",
        x_title=f"size of the attack, {'in 1/255' if pixels else norm}",
    )


def _curve(method: MethodResults, domain: str) -> list[tuple[float, Cell]]:
    """(eps, accuracy) by ascending eps, over the seeds."""
    by_eps: dict[float, list[Estimate]] = {}
    for _, here in method.within(domain):
        found = Attacks.of(here)
        for point in found.curve if found else ():
            by_eps.setdefault(round(point.eps, 6), []).append(point.accuracy)
    return [(eps, Cell.of(estimates)) for eps, estimates in sorted(by_eps.items())]


def _star(method: MethodResults, domain: str) -> tuple[float, Cell] | None:
    """The radius and the accuracy under AutoAttack, where it was run."""
    cell, ball = method.cell(domain, "accuracy_autoattack"), ball_of(method.runs[0])
    return (ball[0], cell) if cell and ball else None


def accuracy_panels(results: ResultSet) -> list[Panel]:
    """Clean and adversarial accuracy, a row per method, one panel per domain.

    A series has its clean point first and, where it was measured, its adversarial one second.
    """
    panels = (_accuracy_panel(results, domain) for domain in results.domains)
    return [panel for panel in panels if panel.series]


def _accuracy_panel(results: ResultSet, domain: str) -> Panel:
    left, right = 8, _WIDTH - 8

    def x(value: float) -> float:
        return left + (right - left) * min(max(value, 0.0), 1.0)

    series: list[Series] = []
    for index, method in enumerate(results.methods):
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
        in_distribution=results.in_distribution(domain),
        width=_WIDTH,
        height=32 + _ROW * len(series),
        series=tuple(series),
        x_ticks=tuple(Tick(x(q), f"{100 * q:.0f}%") for q in _QUARTERS),
        y_ticks=(),
        description=f"Accuracy in {domain}. {words}.",
    )


def _hover(name: str, radius: str, cell: Cell) -> str:
    return (
        f"{name}, {radius}: {100 * cell.value:.1f}% "
        f"({100 * max(cell.low, 0):.1f}\N{EN DASH}{100 * min(cell.high, 1):.1f})"
    )
