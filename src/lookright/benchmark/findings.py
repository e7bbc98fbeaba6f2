"""What the runs of a benchmark say of its hypotheses, each tested by itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lookright.benchmark.columns import Column
from lookright.benchmark.comparisons import Comparison, ImageValues, Tested, blocks_of
from lookright.benchmark.hypotheses import Expected, Recorded
from lookright.benchmark.scheme import Scheme
from lookright.benchmark.sheets import Entry, Head, Row, Sheet
from lookright.drawing import count, listing, p_value
from lookright.metrics import MEASURES
from lookright.statistics.crossed import FEWEST_SEEDS, crossed
from lookright.statistics.pairwise import holm


@dataclass(frozen=True)
class Finding:
    """What the runs say of a hypothesis.

    seeds: of which both methods have every training that is planned. tested: their comparison,
    corrected by Holm for all hypotheses of the table; None before all planned seeds are there, or
    where the two cannot be compared by images.
    """

    recorded: Recorded
    seeds: frozenset[int | None]
    tested: Tested | None = None

    @property
    def verdict(self) -> str:
        """In words."""
        if missing := len(set(self.recorded.expected.seeds).difference(self.seeds)):
            planned = len(self.recorded.expected.seeds)
            return f"{planned - missing} of {count(planned, 'seed')} so far"
        if self.tested is None:
            return "not measured"
        if len(self.seeds) < FEWEST_SEEDS:
            return f"fewer than {FEWEST_SEEDS} seeds"
        return {
            "better than": "shown",
            "worse than": "the opposite is shown",
            "not told apart from": "not shown",
        }[self.tested.comparisons[0].verdict]

    @property
    def planned(self) -> bool:
        """Whether it was written down before any evaluation."""
        return not self.recorded.evaluations

    @property
    def text(self) -> str:
        """The hypothesis in words."""
        asked = self.recorded.expected.hypothesis
        title = next((one.title.lower() for one in MEASURES if one.key == asked.measure), "")
        gone = "" if self.recorded.asked else " (no longer in the file)"
        return (
            f"{asked.method} better than {asked.better_than}: {title or asked.measure}, "
            f"{asked.where}{gone}"
        )

    @property
    def when(self) -> str:
        """When it was written down."""
        if self.planned:
            return "before any evaluation"
        return f"after {count(self.recorded.evaluations, 'evaluation')}"

    @property
    def line(self) -> str:
        """The hypothesis and what was found, in one line."""
        late = "" if self.planned else f" (written down {self.when})"
        if self.tested is None:
            return f"{self.text}: {self.verdict}{late}."
        (one,) = self.tested.comparisons
        points = " points" if one.measure.unit == "rate" else ""
        return (
            f"{self.text}: {self.tested.signed(one.difference.value)}{points} "
            f"({self.tested.interval(one.difference)}), p (Holm) = {p_value(one.p)}: "
            f"{self.verdict}{late}."
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
    scheme, asked = values.scheme, recorded.expected.hypothesis
    found = Finding(recorded, _seeds(scheme, recorded.expected))
    declared = {one.key: one for one in MEASURES} | scheme.measures
    measure = declared.get(asked.measure)
    pairs = scheme.pairs_of(asked.measure, asked.where)
    if measure is None or not pairs or not found.seeds.issuperset(recorded.expected.seeds):
        return found
    first = values.side(asked.method, measure, pairs)
    second = values.side(asked.better_than, measure, pairs)
    if not (blocks := blocks_of(pairs, first, second)):
        return found
    difference = crossed(blocks)
    one = Comparison(asked.method, asked.better_than, measure, difference, difference.p)
    return replace(found, tested=Tested(Column("", "", measure, asked.where), (one,)))


def _seeds(scheme: Scheme, expected: Expected) -> frozenset[int | None]:
    """The seeds of which both methods have every training that is planned."""
    asked = expected.hypothesis
    return frozenset.intersection(
        *(
            frozenset(trial.result.seed for trial in scheme.of(method, domains))
            for method in (asked.method, asked.better_than)
            for domains in expected.trained_on
        )
    )


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
    shown = found.planned and found.verdict == "shown"
    yield Entry(found.verdict, mark="best" if shown else "")
    yield Entry(found.recorded.day, found.when)


def _caution(found: Finding) -> str:
    """What makes the p of a hypothesis too small, if anything does."""
    planned = found.recorded.expected.seeds
    added = sorted(seed for seed in found.seeds if seed is not None and seed not in planned)
    if not added:
        return ""
    return (
        f"{found.text}: not written down, but tested too, {count(len(added), 'seed')} "
        f"({listing([str(seed) for seed in added])}). Seeds that are added once figures are seen "
        "make p too small."
    )
