"""Heat maps of a measure: training domains by test domains, one map for each method."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lookright.benchmark.columns import INSIDE
from lookright.benchmark.scheme import Pair, Scheme
from lookright.benchmark.sheets import Links, runs_of
from lookright.drawing import Style, count
from lookright.evaluation.grouping import Cell
from lookright.metrics import Measure
from lookright.metrics.measure import in_order

_SHADES = 10


@dataclass(frozen=True)
class Square:
    """A cell; shade: 0 to 10, from the worst to the best of the measure; text: its tooltip."""

    printed: str
    text: str
    shade: int
    inside: bool
    links: Links


@dataclass(frozen=True)
class HeatMap:
    """A method's map; rows: the training domains in words, and a square for each test domain."""

    method: str
    style: Style
    rows: tuple[tuple[str, tuple[Square | None, ...]], ...]


@dataclass(frozen=True)
class HeatMaps:
    """The maps of one measure, all of one scale."""

    measure: Measure
    domains: tuple[str, ...]
    maps: tuple[HeatMap, ...]


def heat_maps(scheme: Scheme) -> Iterator[HeatMaps]:
    """Maps of every measure with a direction that a terminal shows, or that balances one."""
    for measure in in_order(scheme.measures):
        shown = (measure.balances or measure).terminal == "column"
        found = {
            (method, pair): cell
            for method in scheme.methods
            for pair in scheme.pairs
            if shown and (cell := scheme.cell(method, pair, measure.key))
        }
        if found and measure.higher_is_better is not None:
            yield _of(scheme, measure, found)


def _of(scheme: Scheme, measure: Measure, found: Mapping[tuple[str, Pair], Cell]) -> HeatMaps:
    values = [cell.value for cell in found.values()]
    low, high = min(values), max(values)

    def square(method: str, pair: Pair) -> Square | None:
        cell = found.get((method, pair))
        if cell is None:
            return None
        share = (cell.value - low) / (high - low) if high > low else 0.5
        inside = scheme.where(pair) == INSIDE
        told = f"± {measure.show(cell.sd)}, " if cell.sd is not None else ""
        return Square(
            measure.bare(cell.value),
            f"{measure.show(cell.value)} {told}{count(cell.seeds, 'seed')}, {scheme.where(pair)}",
            round(_SHADES * (share if measure.higher_is_better else 1 - share)),
            inside,
            runs_of(scheme, method, pair.train),
        )

    return HeatMaps(
        measure,
        tuple(scheme.domains),
        tuple(
            HeatMap(
                method,
                Style.of(place),
                tuple(
                    (
                        scheme.named(train),
                        tuple(square(method, Pair(train, test)) for test in scheme.domains),
                    )
                    for train in scheme.trained
                ),
            )
            for place, method in enumerate(scheme.methods)
        ),
    )
