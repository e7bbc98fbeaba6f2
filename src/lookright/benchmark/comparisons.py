"""Which methods differ: paired tests over seeds and images, corrected for their number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from lookright.benchmark.columns import Column
from lookright.benchmark.scheme import Pair, Scheme, Trained, Trial
from lookright.evaluation.column import LABEL
from lookright.evaluation.grouping import measured
from lookright.evaluation.table import FILE, read_table
from lookright.metrics import Measure
from lookright.statistics.crossed import Block, Crossed, crossed
from lookright.statistics.paired import LEVEL, Verdict
from lookright.statistics.pairwise import holm
from lookright.visible import visible

_Values = NDArray[np.float64]
_LABEL = LABEL.name


@dataclass(frozen=True)
class Comparison:
    """Two methods in one column; p: corrected by Holm for all pairs of methods of the column,
    or those with one method (`with_one`)."""

    first: str
    second: str
    measure: Measure
    difference: Crossed
    p: float

    @property
    def verdict(self) -> Verdict:
        """What may be said of the first method."""
        if self.p > LEVEL:
            return "not told apart from"
        ahead = (self.difference.value > 0) == self.measure.higher_is_better
        return "better than" if ahead else "worse than"

    @property
    def turned(self) -> "Comparison":
        """The second method beside the first."""
        return replace(
            self, first=self.second, second=self.first, difference=self.difference.turned
        )


@dataclass(frozen=True)
class Tested:
    """The comparisons of one column."""

    column: Column
    comparisons: tuple[Comparison, ...]

    @property
    def title(self) -> str:
        return f"{self.column.measure.title}, {self.column.where}"

    def signed(self, value: float) -> str:
        """A difference with its sign: of rates in percentage points."""
        rate = self.column.measure.unit == "rate"
        return f"{100 * value:+z.1f}" if rate else f"{value:+z.3f}"

    def interval(self, found: Crossed) -> str:
        """The 95% interval of a difference; of one seed none is known."""
        if not isfinite(found.low):
            return "not known"
        return f"{self.signed(found.low)} to {self.signed(found.high)}"

    @property
    def apart(self) -> list[Comparison]:
        """Those that tell two methods apart."""
        return [one for one in self.comparisons if one.verdict != "not told apart from"]


@dataclass(frozen=True)
class Marks:
    """The method with the best figure of a column, and those that are not told apart from it.

    Both are empty where no method is told apart from the best.
    """

    best: str = ""
    tied: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Table:
    """A trial's values in one domain; images: (n,) the numbers of its images."""

    images: NDArray[np.int64]
    values: dict[str, _Values]


@dataclass(frozen=True)
class _Side:
    """What a method has in some cells, one after another: its values by seed (`_by_seed`), on which
    images and classes, in which ball and by which explainer it was evaluated, and by seed the
    labels, where classes count alike."""

    values: list[dict[int | None, _Values]]
    judged_on: list[frozenset[tuple[str, tuple[str, ...], str]]]
    labels: list[dict[int | None, _Values]] | None


@dataclass
class ImageValues:
    """The values of every image of every trial, read once from the tables beside the results.

    Images are numbered by their names in each test domain.
    """

    scheme: Scheme
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict)
    _read: dict[tuple[str, Trained], list[dict[str, _Table]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        directed = (
            one for one in self.scheme.measures.values() if one.higher_is_better is not None
        )
        keys = [_LABEL, *(one.key for one in directed)]
        for place, trials in self.scheme.trials.items():
            self._read[place] = [self._values(trial, keys) for trial in trials]

    def side(self, method: str, measure: Measure, pairs: Sequence[Pair]) -> _Side:
        """The values of one method in these cells."""
        return _Side(
            [self._by_seed(method, pair, (measure.balances or measure).key) for pair in pairs],
            [
                frozenset(
                    (
                        trial.result.domains[pair.test].samples,
                        trial.result.classes,
                        str(measured(trial.result, [measure])),
                    )
                    for trial in self.scheme.of(method, pair.train)
                    if pair.test in trial.result.domains
                )
                for pair in pairs
            ],
            [self._by_seed(method, pair, _LABEL) for pair in pairs] if measure.balances else None,
        )

    def _by_seed(self, method: str, pair: Pair, key: str) -> dict[int | None, _Values]:
        """(N,) for each seed that has the measure, NaN for images that it lacks."""
        size = len(self._numbers.get(pair.test, ()))
        found = {}
        place = (method, pair.train)
        for trial, tables in zip(self.scheme.of(*place), self._read.get(place, ()), strict=True):
            table = tables.get(pair.test)
            if table is not None and key in table.values:
                every = np.full(size, np.nan)
                every[table.images] = table.values[key]
                found[trial.result.seed] = every
        return found

    def _values(self, trial: Trial, keys: Sequence[str]) -> dict[str, _Table]:
        saved = trial.result.saved
        if saved is None or not (saved / FILE).is_file():
            return {}
        tables, found = read_table(saved), {}
        for domain in trial.result.domains:
            if (table := tables.get(visible(domain))) is None:
                continue
            numbers = self._numbers.setdefault(domain, {})
            at = [numbers.setdefault(str(name), len(numbers)) for name in table["image"]]
            values = {key: np.asarray(table[key], np.float64) for key in keys if key in table}
            found[domain] = _Table(np.array(at, np.int64), values)
        return found


def blocks_of(pairs: Sequence[Pair], first: _Side, second: _Side) -> list[Block]:
    """The differences of two methods in these cells, of the seeds that both have in all.

    Empty where a cell has no image with a value in both, or where the two were evaluated on other
    images, classes, labels or masks there, in another ball or by another explainer.
    """
    found = list(zip(first.values, second.values, strict=True))
    shared = [seed for seed in found[0][0] if all(seed in of for two in found for of in two)]
    both = zip(first.judged_on, second.judged_on, strict=True)
    if not shared or not all(len(one | other) == 1 for one, other in both):
        return []
    blocks = []
    for place, (pair, two) in enumerate(zip(pairs, found, strict=True)):
        own, other = (np.stack([of[seed] for seed in shared]) for of in two)
        known = np.isfinite(own).all(0) & np.isfinite(other).all(0)
        if not known.any():
            return []
        own, other = own[:, known], other[:, known]
        if first.labels is not None:
            weights = _alike(first.labels[place][shared[0]][known])
            own, other = own * weights, other * weights
        scale = float(max(np.abs(own).max(), np.abs(other).max()))
        blocks.append(Block(pair.test, np.flatnonzero(known), own - other, scale))
    return blocks


def _alike(labels: _Values) -> _Values:
    """(N,) weights with mean 1, with which every class counts alike: n / (classes * its images)."""
    classes, at, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return len(labels) / (len(classes) * counts[at])


def compare(values: ImageValues, measure: Measure, pairs: Sequence[Pair]) -> tuple[Comparison, ...]:
    """Every two methods that can be compared image by image in all of these pairs.

    Each comparison is of the mean over the pairs. Holm's correction is made over all of them.
    """
    sides = {name: values.side(name, measure, pairs) for name in values.scheme.methods}
    return _corrected(
        Comparison(first, second, measure, difference, difference.p)
        for first, second in combinations(sides, 2)
        if (blocks := blocks_of(pairs, sides[first], sides[second]))
        and (difference := crossed(blocks))
    )


def with_one(comparisons: Sequence[Comparison], method: str) -> tuple[Comparison, ...]:
    """Of these those with one method, as the second of the two, corrected for these alone."""
    return _corrected(
        one if one.second == method else one.turned
        for one in comparisons
        if method in (one.first, one.second)
    )


def _corrected(comparisons: Iterable[Comparison]) -> tuple[Comparison, ...]:
    found = list(comparisons)
    corrected = holm([one.difference.p for one in found])
    return tuple(replace(one, p=p) for one, p in zip(found, corrected, strict=True))


def marks(figures: dict[str, float], measure: Measure, comparisons: Sequence[Comparison]) -> Marks:
    """The best of these figures, by method, and those that a test does not tell apart from it."""
    if len(figures) < 2 or measure.higher_is_better is None:
        return Marks()
    best = (max if measure.higher_is_better else min)(figures, key=lambda name: figures[name])
    verdicts = {
        other: one.verdict == said
        for one in comparisons
        for this, other, said in (
            (one.first, one.second, "better than"),
            (one.second, one.first, "worse than"),
        )
        if this == best
    }
    if not any(verdicts.values()):
        return Marks()
    return Marks(best, frozenset(other for other, apart in verdicts.items() if not apart))


def of_column(values: ImageValues, column: Column) -> tuple[Comparison, ...]:
    """The comparisons of a column's averages (`compare`); none where a measure has no value per
    image."""
    pairs = values.scheme.pairs_of(column.measure.key, column.where) if column.where else []
    return compare(values, column.measure, pairs) if pairs else ()
