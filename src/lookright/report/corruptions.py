"""Heat maps of common corruptions: families by severities, each square with its number."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lookright.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS
from lookright.drawing import Style
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.stages.corruptions import Corrupted, Corruptions

TITLES = {"accuracy": "Accuracy", "stability": "Stability of the explanation"}
_KINDS = {name: each.family for name, each in (CORRUPTIONS | EXTRA_CORRUPTIONS).items()}
_KIND_ORDER = (*dict.fromkeys(_KINDS.values()), "other")


@dataclass(frozen=True)
class Square:
    """A figure as printed, its shade from 0 (a value of 0) to 10 (of 1), and a text to hover."""

    printed: str
    shade: int
    text: str


@dataclass(frozen=True)
class HeatRow:
    """A family at each severity; None where it was not measured."""

    family: str
    squares: tuple[Square | None, ...]


@dataclass(frozen=True)
class HeatMap:
    """One measure of one method; `kinds` are noise, blur, weather and digital with their rows.

    overall: the mean of all squares; beside: what to read it beside, '' where that is not known:
    the accuracy without any corruption, or a random map's stability.
    """

    method: str
    style: Style
    measure: str
    kinds: tuple[tuple[str, tuple[HeatRow, ...]], ...]
    mean: HeatRow
    overall: str
    beside: str


@dataclass(frozen=True)
class DomainHeatMaps:
    """A domain's maps by measure, all with the same severities."""

    domain: str
    in_distribution: bool
    severities: tuple[int, ...]
    maps: dict[str, tuple[HeatMap, ...]]


def section(results: ResultSet) -> dict[str, object] | None:
    """The heat maps of the domains that were corrupted."""
    heat = heat_maps(results)
    return {"heat": heat, "titles": TITLES} if heat else None


def heat_maps(results: ResultSet) -> list[DomainHeatMaps]:
    """The heat maps of every domain that has been corrupted."""
    found = []
    for domain in results.domains:
        corrupted = [
            (method, Style.of(index), cells)
            for index, method in enumerate(results.methods)
            if (cells := _cells(method, domain))
        ]
        if corrupted:
            severities = sorted({severity for *_, of in corrupted for _, severity, _ in of})
            maps = {
                measure: tuple(
                    _heat_map(method, style, domain, measure, severities, of)
                    for method, style, of in corrupted
                )
                for measure in TITLES
            }
            found.append(
                DomainHeatMaps(domain, results.in_distribution(domain), tuple(severities), maps)
            )
    return found


_Cells = dict[tuple[str, int, str], Cell]


def _cells(method: MethodResults, domain: str) -> _Cells:
    """By family, severity and measure, over the seeds."""
    by_place: dict[tuple[str, int], list[Corrupted]] = {}
    for _, here in method.within(domain):
        for each in Corruptions.of(here):
            by_place.setdefault((each.family, each.severity), []).append(each)
    return {
        (*place, measure): Cell.of([getattr(each, measure) for each in of])
        for place, of in by_place.items()
        for measure in TITLES
    }


def _heat_map(
    method: MethodResults,
    style: Style,
    domain: str,
    measure: str,
    severities: Sequence[int],
    cells: _Cells,
) -> HeatMap:
    families = dict.fromkeys(family for family, *_ in cells)
    kinds = []
    for kind in _KIND_ORDER:
        rows = tuple(
            HeatRow(
                _words(family),
                tuple(
                    _square(measure, cell) if (cell := cells.get((family, s, measure))) else None
                    for s in severities
                ),
            )
            for family in families
            if _KINDS.get(family, "other") == kind
        )
        if rows:
            kinds.append((kind, rows))
    means = {
        s: statistics.fmean(
            cell.value for (_, at, of), cell in cells.items() if (at, of) == (s, measure)
        )
        for s in {severity for _, severity, _ in cells}
    }
    overall = statistics.fmean(cell.value for (*_, of), cell in cells.items() if of == measure)
    if measure == "accuracy":
        what, beside = "clean", method.cell(domain, measure)
    else:
        what, beside = "a random map", method.baseline(domain, "random", "stability_corrupted")
    return HeatMap(
        method.name,
        style,
        measure,
        tuple(kinds),
        HeatRow(
            "mean",
            tuple(
                Square(_show(measure, means[s]), _shade(means[s]), "") if s in means else None
                for s in severities
            ),
        ),
        _whole(measure, overall),
        f"{what} {_whole(measure, beside.value)}" if beside else "",
    )


def _square(measure: str, cell: Cell) -> Square:
    low, high = _show(measure, max(cell.low, 0)), _show(measure, min(cell.high, 1))
    return Square(_show(measure, cell.value), _shade(cell.value), f"{low}\N{EN DASH}{high}")


def _show(measure: str, value: float) -> str:
    """Whole per cent of an accuracy, two decimals of a similarity."""
    return f"{100 * value:.0f}" if measure == "accuracy" else f"{value:.2f}"


def _words(family: str) -> str:
    return family.replace("_", " ").replace("jpeg", "JPEG").replace("gaussian", "Gaussian")


def _whole(measure: str, value: float) -> str:
    return _show(measure, value) + "%" * (measure == "accuracy")


def _shade(value: float) -> int:
    return round(10 * min(max(value, 0.0), 1.0))
