"""What the runs of a benchmark say of its hypotheses, each tested by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lookright.benchmark.columns import Column
from lookright.benchmark.comparisons import Comparison, ImageValues, Tested, blocks_of
from lookright.benchmark.hypotheses import Recorded
from lookright.benchmark.sheets import Entry, Head, Row, Sheet
from lookright.drawing import count, listing, p_value
from lookright.statistics.crossed import FEWEST_SEEDS, crossed
from lookright.statistics.pairwise import holm


@dataclass(frozen=True)
class Finding:
    """What the runs say of a hypothesis.

    tested: its comparison, corrected by Holm for all hypotheses of the table; None where no image
    has the measure with both methods. seeds: those that both methods have.
    """

    recorded: Recorded
    tested: Tested | None = None
    seeds: frozenset[int | None] = frozenset()

    @property
    def verdict(self) -> str:
        """In words; none before all seeds of the record are there, for figures are seen on the
        way."""
        if self.tested is None:
            return "not measured"
        planned = self.recorded.seeds
        there = len(self.seeds.intersection(planned))
        if there < len(planned):
            return f"{there} of {count(len(planned), 'seed')} so far"
        if len(self.seeds) < FEWEST_SEEDS:
            return f"fewer than {FEWEST_SEEDS} seeds"
        return {
            "better than": "shown",
            "worse than": "the opposite is shown",
            "not told apart from": "not shown",
        }[self.tested.comparisons[0].verdict]

    @property
    def text(self) -> str:
        """The hypothesis in words."""
        asked = self.recorded.hypothesis
        title = self.tested.column.measure.title.lower() if self.tested else asked.measure
        gone = "" if self.recorded.asked else " (no longer in the file)"
        return f"{asked.method} better than {asked.better_than}: {title}, {asked.where}{gone}"

    @property
    def line(self) -> str:
        """The hypothesis and what was found, in one line."""
        if self.tested is None:
            return f"{self.text}: {self.verdict}."
        (one,) = self.tested.comparisons
        value, interval = self.tested.signed(one.difference.value), self.tested.interval
        return (
            f"{self.text}: {value} ({interval(one.difference)}), p = {p_value(one.p)}: "
            f"{self.verdict}."
        )


def findings(values: ImageValues, recorded: Sequence[Recorded]) -> tuple[Finding, ...]:
    """Each hypothesis tested on the mean over the domain pairs of its kind."""
    found = [_finding(values, each) for each in recorded]
    corrected = holm([each.tested.comparisons[0].p if each.tested else 1.0 for each in found])
    return tuple(
        replace(each, tested=_with_p(each.tested, p)) if each.tested else each
        for each, p in zip(found, corrected, strict=True)
    )


def _finding(values: ImageValues, recorded: Recorded) -> Finding:
    asked = recorded.hypothesis
    measure = values.scheme.measures.get(asked.measure)
    pairs = values.scheme.pairs_of(asked.measure, asked.where) if measure else []
    if measure is None or not pairs:
        return Finding(recorded)
    first, second = (
        values.side(each, measure, pairs) for each in (asked.method, asked.better_than)
    )
    if not (blocks := blocks_of(pairs, first, second)):
        return Finding(recorded)
    found = crossed(blocks)
    one = Comparison(asked.method, asked.better_than, measure, found, found.p)
    seeds = frozenset.intersection(*(frozenset(of) for of in (*first.values, *second.values)))
    return Finding(recorded, Tested(Column("", "", measure, asked.where), (one,)), seeds)


def _with_p(tested: Tested, p: float) -> Tested:
    return replace(tested, comparisons=(replace(tested.comparisons[0], p=p),))


def sheet(found: Sequence[Finding]) -> Sheet:
    """The findings as a table."""
    return Sheet(
        "Hypotheses",
        tuple(map(Head, _HEADS)),
        tuple(Row(each.text, tuple(_entries(each))) for each in found),
        tuple(filter(None, (_NOTE, *map(_caution, found)))),
        tested=False,
        of="Hypothesis",
    )


_HEADS = ("Difference", "95% interval", "p", "p (Holm)", "Seeds, images", "Found", "Written down")

_NOTE = (
    "What was expected, each tested on all its seeds and images at once; differences of rates are "
    "in percentage points. p (Holm) is corrected for these hypotheses alone; shown: by it the two "
    "are told apart at 5%, in the direction that was expected. What was written down after "
    "evaluations, their figures may have suggested. Of all other differences nothing was expected."
)


def _entries(found: Finding) -> Iterator[Entry]:
    if found.tested is None:
        yield from [Entry()] * (len(_HEADS) - 2)
    else:
        (one,) = found.tested.comparisons
        yield Entry(found.tested.signed(one.difference.value))
        yield Entry(found.tested.interval(one.difference))
        yield Entry(p_value(one.difference.p))
        yield Entry(p_value(one.p))
        yield Entry(f"{one.difference.seeds}, {one.difference.n}")
    yield Entry(found.verdict, mark="best" if found.verdict == "shown" else "")
    there = found.recorded.evaluations
    when = f"after {count(there, 'evaluation')}" if there else "before any evaluation"
    yield Entry(found.recorded.day, when)


def _caution(found: Finding) -> str:
    """What makes the p of a hypothesis too small, if anything does."""
    added = sorted(str(seed) for seed in found.seeds.difference(found.recorded.seeds))
    if not added:
        return ""
    return (
        f"{found.text}: not written down, but tested too, {count(len(added), 'seed')} "
        f"({listing(added)}). Seeds that are added once figures are seen make p too small."
    )
