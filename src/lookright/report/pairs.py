"""Which differences are shown: compares any two methods on the same images, from their tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookright.drawing import count, listing
from lookright.errors import UserError
from lookright.evaluation.grouping import MethodResults, ResultSet, measured_by
from lookright.evaluation.result import Result
from lookright.evaluation.table import FILE, read_table
from lookright.metrics import Measure
from lookright.report.columns import column_groups
from lookright.statistics.paired import LEVEL
from lookright.statistics.pairwise import Difference, holm, rate_difference, score_difference
from lookright.visible import visible

Table = dict[str, NDArray[Any]]

_SMALL = 0.0005
"""A smaller difference of scores is printed with one significant digit, so as not to look like
0."""


@dataclass(frozen=True)
class RunDifference:
    """The difference of two runs; `p` is corrected for all tests of the domain.

    name: "seed 0" of both runs, '' where each method has only one.
    """

    name: str
    difference: Difference
    p: float


@dataclass(frozen=True)
class Pair:
    """Two methods in one measure, each seed of the first with the same seed of the second."""

    first: str
    second: str
    measure: Measure
    seeds: tuple[RunDifference, ...]

    @property
    def shown(self) -> bool:
        """Whether every seed shows a difference, and the same method ahead, in the number of images
        and in the mean."""
        ahead = {
            side
            for seed in self.seeds
            for side in (seed.difference.more > seed.difference.less, seed.difference.value > 0)
        }
        return len(ahead) == 1 and all(seed.p <= LEVEL for seed in self.seeds)

    def told(self, seed: RunDifference) -> str:
        """Such as "A is right on 12 more of the same 200 images than B"."""
        found = seed.difference
        images = f"of the same {count(found.n, 'image')}"
        if self.measure.unit == "rate":
            does = self.measure.counted or f"has “{self.measure.title}” on"
            gap = found.more - found.less
            if gap == 0:
                told = f"{self.first} and {self.second} are level on"
                return f"{told} {images.removeprefix('of ')}"
            more, fewer = (self.first, self.second)[:: 1 if gap > 0 else -1]
            return f"{more} {does} {abs(gap)} more {images} than {fewer}"
        better, worse = found.more, found.less
        if self.measure.higher_is_better is False:
            better, worse = worse, better
        told = f"{self.first} is better than {self.second} on {better} and worse on {worse}"
        return f"{told} {images}"

    def size(self, seed: RunDifference) -> str:
        """The difference with its sign: of rates in percentage points."""
        return self._number(seed.difference.value)

    def interval(self, seed: RunDifference) -> str:
        if seed.difference.n == 1:
            return "not known"
        return f"{self._number(seed.difference.low)} to {self._number(seed.difference.high)}"

    def _number(self, value: float) -> str:
        if self.measure.unit == "rate":
            return f"{100 * value:+.1f}"
        return f"{value:+.3f}" if abs(value) >= _SMALL or value == 0 else f"{value:+.1g}"


@dataclass(frozen=True)
class DomainPairs:
    """Every pair of methods in one domain, by measure; `refused`: why others are not compared.

    tests: how many tests the p-values are corrected for.
    """

    domain: str
    in_distribution: bool
    measures: tuple[tuple[Measure, tuple[Pair, ...]], ...]
    refused: tuple[str, ...]
    tests: int


def domain_pairs(results: ResultSet) -> list[DomainPairs]:
    """The domains in which two methods can be compared, in the terminal's main measures.

    Holm's correction is made over all pairs, measures and seeds of a domain.

    Raises:
        UserError: a table of images is damaged.
    """
    if len(results.methods) < 2:
        return []
    tables = {
        run.saved: read_table(run.saved)
        for run in results.runs
        if run.saved and (run.saved / FILE).is_file()
    }
    measures = [
        one
        for group in column_groups(results)
        for one in group.columns
        if one.terminal == "column" and one.higher_is_better is not None
    ]
    found = (_of_domain(results, domain, measures, tables) for domain in results.domains)
    return [each for each in found if each.measures or (tables and each.refused)]


def _of_domain(
    results: ResultSet,
    domain: str,
    measures: Sequence[Measure],
    tables: Mapping[Path, Mapping[str, Table]],
) -> DomainPairs:
    refused: dict[str, None] = {}
    pairs: list[Pair] = []
    methods = [method for method in results.methods if method.within(domain)]
    for first, second in combinations(methods, 2):
        try:
            runs = [
                (name, of, common_images(domain, *(_side(run, domain, tables) for run in of)))
                for name, *of in _runs(first, second, domain)
            ]
        except UserError as error:
            refused[str(error)] = None
            continue
        for measure in measures:
            seeds = [
                RunDifference(name, difference, difference.p)
                for name, _, both in runs
                if (difference := compared(measure, *both)) is not None
            ]
            unlike = (measured_by(one, other, [measure]) for _, (one, other), _ in runs)
            if seeds and (what := next(filter(None, unlike), None)):
                refused[
                    f"Expected results measured alike, but {first.name} and {second.name} have "
                    f"another {what}: evaluate both by one protocol."
                ] = None
            elif seeds:
                pairs.append(Pair(first.name, second.name, measure, tuple(seeds)))
    pairs, tests = _corrected(pairs)
    by_measure = (
        (measure, tuple(pair for pair in pairs if pair.measure is measure)) for measure in measures
    )
    return DomainPairs(
        domain,
        results.in_distribution(domain),
        tuple((measure, of) for measure, of in by_measure if of),
        tuple(refused),
        tests,
    )


def compared(measure: Measure, first: Table, second: Table) -> Difference | None:
    """The difference on the images where both have the measure; None where there are none."""
    if measure.key not in first or measure.key not in second:
        return None
    one, two = (np.asarray(of[measure.key], dtype=np.float64) for of in (first, second))
    known = np.isfinite(one) & np.isfinite(two)
    if not known.any():
        return None
    difference = rate_difference if measure.unit == "rate" else score_difference
    return difference(one[known], two[known])


@dataclass(frozen=True)
class Side:
    """One of two runs in a domain, with its table of images there."""

    run: Result
    table: Table


def common_images(domain: str, first: Side, second: Side) -> tuple[Table, Table]:
    """The rows of the images that both were evaluated on, in one order.

    Raises:
        UserError: they have no image in common, or the images, labels or masks differ.
    """
    own, theirs = first.table, second.table
    _, at, there = np.intersect1d(own["image"], theirs["image"], return_indices=True)
    here, elsewhere = (side.run.domains[domain] for side in (first, second))
    alike = here.samples == elsewhere.samples
    alike &= first.run.classes == second.run.classes
    if not len(at) or not alike or (own["label"][at] != theirs["label"][there]).any():
        raise UserError(
            f"Expected results on the same images, but {first.run.name} and {second.run.name} were "
            f"evaluated on other images, classes, labels or masks in “{domain}”: evaluate both on "
            "one data set."
        )
    return (
        {name: values[at] for name, values in own.items()},
        {name: values[there] for name, values in theirs.items()},
    )


def _side(run: Result, domain: str, tables: Mapping[Path, Mapping[str, Table]]) -> Side:
    table = tables.get(run.folder, {}).get(visible(domain)) if run.saved else None
    if table is None:
        raise UserError(
            f"Expected the values of every image of {run.name} in “{domain}”, but "
            f"{run.saved / FILE if run.saved else 'its result in memory'} does not have them: "
            "evaluate it again, with --overwrite."
        )
    return Side(run, table)


def _runs(
    first: MethodResults, second: MethodResults, domain: str
) -> Iterator[tuple[str, Result, Result]]:
    """The runs that are compared: those of one seed, or the only two."""
    ours, theirs = ([run for run, _ in method.within(domain)] for method in (first, second))
    if len(ours) == len(theirs) == 1:
        yield "", ours[0], theirs[0]
        return
    by_seed = {run.seed: run for run in theirs}
    shared = [run for run in ours if run.seed in by_seed]
    if not shared:
        own, others = (listing([str(run.seed) for run in runs]) for runs in (ours, theirs))
        raise UserError(
            f"Expected a seed that both methods have, but in “{domain}” {first.name} has {own} and "
            f"{second.name} {others}: train both with the same seeds."
        )
    for run in shared:
        yield f"seed {run.seed}", run, by_seed[run.seed]


def _corrected(pairs: Sequence[Pair]) -> tuple[list[Pair], int]:
    """With the p-values corrected for all of them, and their number."""
    family = iter(corrected := holm([seed.p for pair in pairs for seed in pair.seeds]))
    return [
        replace(pair, seeds=tuple(replace(seed, p=next(family)) for seed in pair.seeds))
        for pair in pairs
    ], len(corrected)
