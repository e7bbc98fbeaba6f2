"""Curves of deletion and insertion: the explanation beside maps that do not depend on the model."""

from collections.abc import Iterator
from dataclasses import dataclass

from lookright.drawing import Style, Tick, band, line
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.stages.explanations import EXPLANATION, Explanations, RemovalCurve
from lookright.metrics.baselines import in_words
from lookright.statistics.intervals import Estimate

KINDS = {"deletion": "removed", "insertion": "put in"}
_BASELINE_DASHES = ("6 4", "1.5 3.5", "10 3 2 3")
_WIDTH, _HEIGHT = 230, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 36, 8, 8, 36


@dataclass(frozen=True)
class MapCurve:
    """A map's curve and its band as paths in pixels; its measure is the area, '' where it has none.

    The band is the 95% interval of one seed's mean, or mean ± sd over several.
    """

    name: str
    baseline: bool
    dash: str
    path: str
    band: str
    area: str


@dataclass(frozen=True)
class RemovalPanel:
    """Deletion or insertion of one method in one domain, under one fill."""

    kind: str
    curves: tuple[MapCurve, ...]
    description: str
    width: int = _WIDTH
    height: int = _HEIGHT

    @property
    def words(self) -> str:
        return KINDS[self.kind]


@dataclass(frozen=True)
class MethodRemoval:
    """One method's panels under one fill."""

    method: str
    style: Style
    panels: tuple[RemovalPanel, ...]


@dataclass(frozen=True)
class DomainRemoval:
    """A domain's panels by fill; `baselines` gives the dash pattern of each for the legend."""

    domain: str
    in_distribution: bool
    fills: dict[str, tuple[MethodRemoval, ...]]


def section(results: ResultSet) -> dict[str, object] | None:
    """What the template of `Explanations` shows: curves, their legend, the ticks of both axes."""
    found = removals(results)
    if not found:
        return None
    return {
        "removal": found,
        "legend": legend(results),
        "x_ticks": [Tick(_x(share), f"{100 * share:.0f}%") for share in (0, 0.5, 1)],
        "y_ticks": [Tick(_y(probability), f"{probability:g}") for probability in (0, 0.5, 1)],
    }


def removals(results: ResultSet) -> list[DomainRemoval]:
    """The curves of every domain that has any."""
    found = []
    for domain in results.domains:
        fills = list(
            dict.fromkeys(
                curve.fill
                for method in results.methods
                for _, here in method.within(domain)
                for curve in Explanations.of(here)
            )
        )
        if fills:
            of_fills = {fill: _methods(results, domain, fill) for fill in fills}
            found.append(DomainRemoval(domain, results.in_distribution(domain), of_fills))
    return found


def legend(results: ResultSet) -> dict[str, str]:
    """The baselines that have a curve, in words, with their dash patterns."""
    names = dict.fromkeys(
        curve.map
        for run in results.runs
        for here in run.domains.values()
        for curve in Explanations.of(here)
        if curve.map != EXPLANATION
    )
    return {in_words(name): _dash(i) for i, name in enumerate(names)}


def _methods(results: ResultSet, domain: str, fill: str) -> tuple[MethodRemoval, ...]:
    dashes = legend(results)
    drawn = (
        MethodRemoval(
            method.name,
            Style.of(index),
            tuple(
                panel
                for kind in KINDS
                if (panel := _panel(method, domain, kind, fill, dashes)) is not None
            ),
        )
        for index, method in enumerate(results.methods)
    )
    return tuple(one for one in drawn if one.panels)


def _panel(
    method: MethodResults, domain: str, kind: str, fill: str, dashes: dict[str, str]
) -> RemovalPanel | None:
    points: dict[str, dict[float, list[Estimate]]] = {}
    for _, here in method.within(domain):
        for curve in Explanations.of(here):
            if (curve.kind, curve.fill) == (kind, fill):
                by_share = points.setdefault(curve.map, {})
                for share, estimate in _estimates(curve, here.n):
                    by_share.setdefault(round(share, 6), []).append(estimate)
    names = sorted(points, key=lambda name: name == EXPLANATION)
    curves = []
    for name in names:
        cells = [(share, Cell.of(of)) for share, of in sorted(points[name].items())]
        words = in_words(name)
        area = _area(method, domain, f"{kind}_{fill}", name)
        curves.append(
            MapCurve(
                words,
                name != EXPLANATION,
                dashes.get(words, ""),
                line([(_x(share), _y(cell.value)) for share, cell in cells]),
                band([(_x(share), _y(cell.low), _y(cell.high)) for share, cell in cells]),
                area,
            )
        )
    if not curves:
        return None
    areas = "; ".join(f"{one.name} {one.area}" for one in curves if one.area)
    return RemovalPanel(
        kind,
        tuple(curves),
        f"{method.name} in {domain}: probability of the explained class as pixels are "
        f"{KINDS[kind]}, the most salient first; filled: {fill}."
        + (f" Areas: {areas}." * bool(areas)),
    )


def _area(method: MethodResults, domain: str, key: str, name: str) -> str:
    own = name == EXPLANATION
    cell = method.cell(domain, key) if own else method.baseline(domain, name, key)
    return f"{cell.value:.3f}" if cell else ""


def _estimates(curve: RemovalCurve, n: int) -> Iterator[tuple[float, Estimate]]:
    values = curve.probabilities
    ends = zip(values, curve.low or values, curve.high or values, strict=True)
    return zip(curve.shares, (Estimate(*each, n) for each in ends), strict=True)


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(max(share, 0.0), 1.0)


def _y(value: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - min(max(value, 0.0), 1.0))


def _dash(index: int) -> str:
    return _BASELINE_DASHES[index % len(_BASELINE_DASHES)]
