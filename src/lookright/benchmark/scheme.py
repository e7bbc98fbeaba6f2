"""The figures of a benchmark: methods by domain pairs, each a mean over seeds with its spread."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from statistics import fmean

from lookright.benchmark.columns import INSIDE, OUTSIDE, Column, Where
from lookright.drawing import count, listing
from lookright.errors import UserError
from lookright.evaluation.grouping import Cell, check_seeds, measures_of
from lookright.evaluation.result import Result
from lookright.metrics import Estimate, Measure
from lookright.training import Run

Trained = tuple[str, ...]
"""The domains that a model was trained on."""


@dataclass(frozen=True)
class Pair:
    """The domains that models were trained on, and the one that they were tested in."""

    train: Trained
    test: str


@dataclass(frozen=True)
class Trial:
    """One trained and evaluated model; seconds: of its training, None where it does not say."""

    run: Run
    result: Result
    seconds: float | None

    @classmethod
    def of(cls, run: Run, result: Result) -> "Trial":
        told = [row["seconds"] for row in run.history if "seconds" in row]
        return cls(run, result, sum(told) if told else None)


@dataclass(frozen=True)
class Scheme:
    """Trainings that can stand in one table; trials: those of a method and training domains, by
    ascending seed."""

    name: str
    methods: tuple[str, ...]
    pairs: tuple[Pair, ...]
    trials: Mapping[tuple[str, Trained], tuple[Trial, ...]]

    @cached_property
    def measures(self) -> dict[str, Measure]:
        """Every measure that any result has, by key."""
        return measures_of([trial.result for trial in self.every_trial])

    @property
    def every_trial(self) -> list[Trial]:
        return [trial for trials in self.trials.values() for trial in trials]

    @property
    def trained(self) -> list[Trained]:
        """The sets of training domains."""
        return list(dict.fromkeys(pair.train for pair in self.pairs))

    @property
    def seeds(self) -> list[int | None]:
        """Every seed of any method."""
        found = {trial.result.seed for trial in self.every_trial}
        return sorted(found, key=lambda seed: -1 if seed is None else seed)

    def of(self, method: str, train: Trained) -> tuple[Trial, ...]:
        """The trials of a method on these training domains; none where it was not trained."""
        return self.trials.get((method, train), ())

    def named(self, train: Trained) -> str:
        """The training domains in words."""
        left = [domain for domain in self.domains if domain not in train]
        if self.name == LEFT_OUT:
            return f"all but {left[0]}"
        return " + ".join(train) or "nothing told"

    @property
    def domains(self) -> list[str]:
        """The test domains."""
        return list(dict.fromkeys(pair.test for pair in self.pairs))

    def where(self, pair: Pair) -> Where:
        """Whether the test images come from a training domain."""
        return INSIDE if pair in self._inside else OUTSIDE

    @cached_property
    def _inside(self) -> frozenset[Pair]:
        return frozenset(
            Pair(train, test)
            for (_, train), trials in self.trials.items()
            for trial in trials
            for test, here in trial.result.domains.items()
            if here.in_distribution
        )

    def estimates(self, method: str, pair: Pair, key: str) -> dict[int | None, Estimate]:
        """A measure in a cell, by the seeds that have it; NaN and infinity are none."""
        found = {
            trial.result.seed: trial.result.domains[pair.test].measures.get(key)
            for trial in self.of(method, pair.train)
            if pair.test in trial.result.domains
        }
        return {seed: of for seed, of in found.items() if of is not None and isfinite(of.value)}

    def cell(self, method: str, pair: Pair, key: str) -> Cell | None:
        """A measure in a cell, over seeds; None where no seed has it."""
        found = self.estimates(method, pair, key)
        return Cell.of(list(found.values())) if found else None

    def pairs_of(self, key: str, where: Where | None = None) -> list[Pair]:
        """The pairs in which any method has the measure."""
        return [
            pair
            for pair in self.pairs
            if where in (None, self.where(pair))
            and any(self.estimates(method, pair, key) for method in self.methods)
        ]

    def average(self, method: str, column: Column) -> Cell | None:
        """The mean over the pairs of a column."""
        if column.where is None:
            return self.training_time(method, *self.trained)
        return self.mean(method, self.pairs_of(column.measure.key, column.where), column.measure)

    def mean(self, method: str, pairs: Sequence[Pair], measure: Measure) -> Cell | None:
        """The mean of a measure over these pairs, over the seeds that have every one of them."""
        each = [self.estimates(method, pair, measure.key) for pair in pairs]
        seeds = [seed for seed in self.seeds if each and all(seed in of for of in each)]
        return _over([fmean(of[seed].value for of in each) for seed in seeds])

    def training_time(self, method: str, *trained: Trained) -> Cell | None:
        """The seconds of a training, mean over these training domains."""
        each = [
            {trial.result.seed: trial.seconds for trial in self.of(method, train)}
            for train in trained
        ]
        told = [[of.get(seed) for of in each] for seed in self.seeds]
        whole = [[s for s in of if s is not None] for of in told if None not in of]
        return _over([fmean(of) for of in whole if of])

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """A line for each method about the cells and seeds that it lacks."""
        found = []
        for method in self.methods:
            cells = [
                [
                    trial.result.seed
                    for trial in self.of(method, pair.train)
                    if pair.test in trial.result.domains
                ]
                for pair in self.pairs
            ]
            empty = [pair for pair, seeds in zip(self.pairs, cells, strict=True) if not seeds]
            partly = sum(0 < len(seeds) < len(self.seeds) for seeds in cells)
            told = []
            if empty:
                named = [f"{self.named(pair.train)} to {pair.test}" for pair in empty]
                told.append(f"{count(len(empty), 'cell')} of {len(cells)} ({listing(named)})")
            if partly:
                told.append(f"some of the {len(self.seeds)} seeds in {count(partly, 'cell')}")
            if told:
                found.append(f"{method} lacks {' and '.join(told)}.")
        return tuple(found)

    @cached_property
    def copies(self) -> tuple[str, ...]:
        """A line for each test domain, named otherwise, that has the images of training domains."""
        return tuple(
            f"{pair.test} is not among the training domains ({self.named(pair.train)}), but more "
            "than half of its images are, or were for the weights that the training began with: it "
            "counts as in distribution."
            for pair in self.pairs
            if pair in self._inside and pair.train and pair.test not in pair.train
        )


SINGLE, LEFT_OUT, _SEVERAL = "Single source", "Leave one domain out", "Several sources"


def schemes(judged: Sequence[tuple[Run, Result]]) -> tuple[Scheme, ...]:
    """Trainings on one domain, on all but one, and on several, each a table of its own.

    Methods and domains keep the order in which they come.

    Raises:
        UserError: no result; two of one method, training domains and seed, or some that were
            measured otherwise and so are no seeds of one method; a damaged run.
    """
    if not judged:
        raise UserError(
            "Expected the results of one training or more, but got none: see what the jobs said."
        )
    domains = list(dict.fromkeys(name for _, result in judged for name in result.domains))
    kinds: dict[str, list[tuple[Run, Result]]] = {}
    for run, result in judged:
        kinds.setdefault(_kind(result, domains), []).append((run, result))
    return tuple(
        _scheme(name, kinds[name]) for name in (SINGLE, LEFT_OUT, _SEVERAL) if name in kinds
    )


def _kind(result: Result, domains: Sequence[str]) -> str:
    left = set(domains) - set(result.train_domain)
    if len(result.train_domain) == 1:
        return SINGLE
    all_but_one = result.train_domain and len(left) == 1 and left <= result.domains.keys()
    return LEFT_OUT if all_but_one else _SEVERAL


def _scheme(name: str, judged: Sequence[tuple[Run, Result]]) -> Scheme:
    found: dict[tuple[str, Trained], dict[int | None, Trial]] = {}
    for run, result in judged:
        seeds = found.setdefault((result.name, result.train_domain), {})
        if result.seed in seeds:
            places = [str(each.folder) for each in (seeds[result.seed].run, run)]
            raise UserError(
                "Expected one result for each method, training domains and seed, but "
                f"{listing(places)} are both {result.name} on {listing(result.train_domain)} with "
                f"seed {result.seed}: leave one out, or give it another name."
            )
        for other in seeds.values():
            check_seeds(other.result, result)
        seeds[result.seed] = Trial.of(run, result)
    pairs = dict.fromkeys(
        Pair(result.train_domain, test) for _, result in judged for test in result.domains
    )
    trained = list(dict.fromkeys(pair.train for pair in pairs))
    return Scheme(
        name,
        tuple(dict.fromkeys(result.name for _, result in judged)),
        tuple(sorted(pairs, key=lambda pair: trained.index(pair.train))),
        {
            key: tuple(sorted(of.values(), key=lambda trial: trial.result.seed or 0))
            for key, of in found.items()
        },
    )


def _over(values: Sequence[float]) -> Cell | None:
    """The cell of one value for each seed."""
    return Cell.of([Estimate(value, value, value, 1) for value in values]) if values else None


def described(schemes: Sequence[Scheme]) -> Iterator[str]:
    """What was compared, a sentence for each scheme."""
    for scheme in schemes:
        yield (
            f"{scheme.name}: {count(len(scheme.methods), 'method')}, "
            f"{count(len(scheme.pairs), 'domain pair')}, {count(len(scheme.seeds), 'seed')}."
        )
