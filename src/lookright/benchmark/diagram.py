"""The critical-difference diagram (Demsar, JMLR 2006), in pixels; a template draws it as SVG."""

from dataclasses import dataclass

from lookright.benchmark.ranking import Ranking
from lookright.drawing import Style, Tick, line, shortened

WIDTH, _LEFT, _RIGHT = 780, 210, 570
_AXIS, _STEP, _BAR = 46, 22, 9
_TICKS = 16


@dataclass(frozen=True)
class Label:
    """A method's name at (x, y), the path from there to its rank, and the rank in words.

    short: the name where there is little room, without its middle.
    """

    name: str
    short: str
    rank: str
    style: Style
    x: float
    y: float
    anchor: str
    path: str


@dataclass(frozen=True)
class Bar:
    """A horizontal bar from `left` to `right` at the height y."""

    left: float
    right: float
    y: float


@dataclass(frozen=True)
class Diagram:
    """The axis of ranks, 1 at the left; bars join methods that are not told apart.

    critical: the critical difference to scale, None where none is claimed.
    """

    ranking: Ranking
    height: int
    axis: Bar
    ticks: tuple[Tick, ...]
    labels: tuple[Label, ...]
    bars: tuple[Bar, ...]
    critical: Bar | None

    @property
    def description(self) -> str:
        """The ranks in words, the best first."""
        found = sorted(self.labels, key=lambda label: float(label.rank))
        return "; ".join(f"{label.name} {label.rank}" for label in found)


def diagram(ranking: Ranking) -> Diagram:
    """The diagram of one measure."""
    average, k = ranking.ranks.average, len(ranking.methods)
    order = sorted(range(k), key=lambda one: average[one])
    groups = ranking.alike()

    def at(rank: float) -> float:
        return _LEFT + (rank - 1) / (k - 1) * (_RIGHT - _LEFT)

    bars = tuple(
        Bar(at(average[group[0]]) - 4, at(average[group[-1]]) + 4, _AXIS + _BAR * (place + 1))
        for place, group in enumerate(groups)
    )
    top = _AXIS + _BAR * (len(bars) + 1) + _STEP / 2
    half = (k + 1) // 2
    labels = []
    for place, one in enumerate(order):
        best = place < half
        y = top + _STEP * (place if best else k - 1 - place)
        x = _LEFT - 12 if best else _RIGHT + 12
        labels.append(
            Label(
                ranking.methods[one],
                shortened(ranking.methods[one]),
                f"{average[one]:.2f}",
                Style.of(one),
                x,
                y,
                "end" if best else "start",
                line([(at(average[one]), _AXIS), (at(average[one]), y), (x, y)]),
            )
        )
    return Diagram(
        ranking,
        round(top + _STEP * half),
        Bar(_LEFT, _RIGHT, _AXIS),
        tuple(Tick(at(rank), str(rank)) for rank in range(1, k + 1, -(-k // _TICKS))),
        tuple(labels),
        bars,
        Bar(_LEFT, min(at(1 + ranking.ranks.critical), WIDTH), 14) if ranking.differ else None,
    )
