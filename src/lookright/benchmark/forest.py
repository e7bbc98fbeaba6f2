"""Differences from one method with their intervals, in pixels; a template draws them as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from lookright.benchmark.comparisons import Comparison, Tested
from lookright.drawing import Style, Tick, p_value, shortened

_LEFT, _RIGHT = 180, 560
_TOP, _STEP, _BELOW = 14, 26, 40
_TICKS = 6


@dataclass(frozen=True)
class Interval:
    """A method's difference at (x, y) and the ends of its interval, None where it is not known.

    short: the name where there is little room; told: the difference, its interval and p in words;
    apart: whether the test tells the two methods apart.
    """

    name: str
    short: str
    style: Style
    x: float
    y: float
    ends: tuple[float, float] | None
    told: str
    apart: bool


@dataclass(frozen=True)
class Forest:
    """A forest plot: a row for each method, and `zero`, where it would be no other than `against`.

    better: whether a method is better on the right.
    """

    title: str
    against: str
    height: int
    zero: float
    ticks: tuple[Tick, ...]
    rows: tuple[Interval, ...]
    better: bool
    unit: str

    @property
    def description(self) -> str:
        """The differences in words."""
        return "; ".join(f"{row.name} {row.told}" for row in self.rows)


def forest(tested: Tested, methods: Sequence[str]) -> Forest:
    """The plot of a column whose comparisons are all with one method (`with_one`).

    methods: all of the benchmark, whose order gives the styles.
    """
    found, measure = tested.comparisons, tested.column.measure
    bounds = [0.0, *(end for one in found for end in _extent(one))]
    low, high = min(bounds), max(bounds)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)

    def at(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)

    scale = 100 if measure.unit == "rate" else 1
    ticks = _round(scale * low, scale * high)
    rows = tuple(
        Interval(
            one.first,
            shortened(one.first),
            Style.of(methods.index(one.first)),
            at(one.difference.value),
            _TOP + _STEP * (place + 0.5),
            (at(one.difference.low), at(one.difference.high)) if _known(one) else None,
            f"{tested.signed(one.difference.value)}"
            + (f" ({tested.interval(one.difference)})" if _known(one) else "")
            + f", p {p_value(one.p)}",
            one in tested.apart,
        )
        for place, one in enumerate(found)
    )
    return Forest(
        tested.title,
        found[0].second,
        _TOP + _STEP * len(found) + _BELOW,
        at(0),
        tuple(Tick(at(value / scale), f"{value:+g}" if value else "0") for value in ticks),
        rows,
        bool(measure.higher_is_better),
        ", percentage points" if measure.unit == "rate" else "",
    )


def _known(one: Comparison) -> bool:
    return isfinite(one.difference.low) and isfinite(one.difference.high)


def _extent(one: Comparison) -> tuple[float, ...]:
    found = one.difference
    return (found.low, found.high, found.value) if _known(one) else (found.value,)


def _round(low: float, high: float) -> list[float]:
    """Round numbers between the two."""
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(_TICKS).tick_values(low, high)
    return [float(value) for value in values if low <= value <= high]
