"""Groups results by method: runs of the same name are seeds of one method."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lookright.drawing import Style, shade_uri
from lookright.errors import UserError
from lookright.evaluation.result import DomainResult, Examples, Result, read_examples
from lookright.evaluation.settings import compared
from lookright.metrics import MEASURES, Measure
from lookright.metrics.classification import IMBALANCED
from lookright.metrics.measure import unknown
from lookright.statistics.intervals import Estimate

_MANY = 6


@dataclass(frozen=True)
class Cell:
    """One figure of one method: of a single seed, or the mean over seeds.

    `low` and `high` are the 95% interval of a single seed, or mean ± sd over several;
    `sd` (the sample standard deviation) is None for a single seed. `n`: the images of each seed, or
    the fewest. `known`: whether there is a spread to see, as there is not in a single image of a
    single seed.
    """

    value: float
    low: float
    high: float
    sd: float | None
    seeds: int
    n: int

    @classmethod
    def of(cls, estimates: Sequence[Estimate]) -> "Cell":
        """The cell of at least one seed's estimates."""
        if len(estimates) == 1:
            only = estimates[0]
            return cls(only.value, only.low, only.high, None, 1, only.n)
        values = [estimate.value for estimate in estimates]
        mean, sd = statistics.fmean(values), statistics.stdev(values)
        fewest = min(estimate.n for estimate in estimates)
        return cls(mean, mean - sd, mean + sd, sd, len(values), fewest)

    @property
    def known(self) -> bool:
        return self.sd is not None or self.n > 1

    def overlaps(self, other: "Cell") -> bool:
        """Whether the two intervals have a point in common, as far as is known."""
        both = self.known and other.known
        return not both or (self.low <= other.high and other.low <= self.high)


@dataclass(frozen=True)
class MethodResults:
    """All runs of one name, by ascending seed."""

    name: str
    runs: tuple[Result, ...]

    def within(self, domain: str) -> list[tuple[Result, DomainResult]]:
        """The runs that were evaluated in the domain, with what was measured there."""
        return [(run, run.domains[domain]) for run in self.runs if domain in run.domains]

    def in_distribution(self, domain: str) -> bool:
        """Whether any of the runs was trained on the domain."""
        return any(here.in_distribution for _, here in self.within(domain))

    def cell(self, domain: str, key: str) -> Cell | None:
        """A measure in a domain, over the seeds that have it; None where none has."""
        return _cell([here.measures for _, here in self.within(domain)], key)

    def baseline(self, domain: str, name: str, key: str) -> Cell | None:
        """The same measure of a baseline, a map that does not depend on the model."""
        return _cell([here.baselines.get(name, {}) for _, here in self.within(domain)], key)

    def baselines(self, domain: str) -> list[str]:
        """The names of the baselines measured in the domain."""
        return list(
            dict.fromkeys(name for _, here in self.within(domain) for name in here.baselines)
        )

    def of_seed(self, run: Result, text: str) -> str:
        """A text about one run, which names its seed where the method has several."""
        return f"seed {run.seed}: {text}" if len(self.runs) > 1 else text


def measured(result: Result, measures: Iterable[Measure] = MEASURES) -> dict[str, Any]:
    """What of its protocol another result must share for these measures of both to be compared."""
    options = result.settings.get("init_args", {})
    stages = {stage["class_path"]: stage["init_args"] for stage in options.get("stages", ())}
    parts = options | {path.rpartition(".")[2]: stage for path, stage in stages.items()}
    names = dict.fromkeys(name for one in measures for name in one.question.depends)
    return {name: parts[name] for name in names if name in parts}


def measured_by(one: Result, other: Result, measures: Iterable[Measure] = MEASURES) -> str | None:
    """What of their protocols differs so that these measures cannot be compared."""
    mine, theirs = (measured(result, measures) for result in (one, other))
    return next((name for name in mine if name in theirs and mine[name] != theirs[name]), None)


def _differing(one: Result, other: Result) -> str | None:
    """In what two results cannot be seeds of one method."""
    if one.train_domain != other.train_domain:
        return "training domains"
    if one.classes != other.classes:
        return "classes"
    for domain in one.domains.keys() & other.domains.keys():
        if one.domains[domain].samples != other.domains[domain].samples:
            return f"images, labels or masks of {domain}"
    return measured_by(one, other)


def check_seeds(one: Result, other: Result) -> None:
    """Raise UserError on results that cannot be seeds of one method."""
    if what := _differing(one, other):
        raise UserError(
            f"Results of one name are seeds of one method, but {one.name} with seed {one.seed} and "
            f"with seed {other.seed} have other {what}: evaluate one of them under "
            "another name (lookright evaluate --names, evaluate(..., name=...))."
        )


@dataclass(frozen=True)
class ResultSet:
    """Methods and domains, both in the order in which the results name them."""

    methods: tuple[MethodResults, ...]
    domains: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "ResultSet":
        """Group results by name.

        Raises:
            UserError: there is no result; two results have the same name and seed, or the same
                name, and are no seeds of one method: they were trained or measured otherwise.
        """
        if not results:
            raise UserError("Expected at least one result folder to report on, but none was given.")
        groups: dict[str, dict[int | None, Result]] = {}
        for result in results:
            seeds = groups.setdefault(result.name, {})
            if result.seed in seeds:
                places = [each.saved or "one in memory" for each in (seeds[result.seed], result)]
                raise UserError(
                    f"Expected one result per name and seed, but {places[0]} and {places[1]} are "
                    f"both '{result.name}' with seed {result.seed}: "
                    "leave one out or give it another name."
                )
            for other in seeds.values():
                check_seeds(other, result)
            seeds[result.seed] = result
        methods = tuple(
            MethodResults(name, tuple(sorted(seeds.values(), key=lambda run: run.seed or 0)))
            for name, seeds in groups.items()
        )
        domains = dict.fromkeys(domain for result in results for domain in result.domains)
        return cls(methods, tuple(domains))

    @property
    def runs(self) -> list[Result]:
        return [run for method in self.methods for run in method.runs]

    @cached_property
    def settings(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The settings that all runs share, and those in which they differ, as `compared`."""
        return compared({f"{run.name}, seed {run.seed}": run.settings for run in self.runs})

    @property
    def home(self) -> str | None:
        """The first domain that is in distribution."""
        return self.home_of(self)

    def home_of(self, of: "MethodResults | ResultSet") -> str | None:
        """The first domain that is in distribution for a method, or for all."""
        return next((domain for domain in self.domains if of.in_distribution(domain)), None)

    @property
    def styles(self) -> dict[str, Style]:
        """How each method is drawn, by name."""
        return {method.name: Style.of(index) for index, method in enumerate(self.methods)}

    @cached_property
    def measures(self) -> dict[str, Measure]:
        return measures_of(self.runs)

    def in_distribution(self, domain: str) -> bool:
        """Whether the domain is so for every method of which it is known that any is."""
        judged = [
            method.in_distribution(domain)
            for method in self.methods
            if method.within(domain) and self.home_of(method)
        ]
        return bool(judged) and all(judged)

    def cells(self, domain: str, key: str) -> list[tuple[MethodResults, Cell]]:
        """The methods that have the measure in the domain, with their cells."""
        found = ((method, method.cell(domain, key)) for method in self.methods)
        return [(method, cell) for method, cell in found if cell is not None]

    def unlike(self, domain: str, measure: Measure) -> str | None:
        """In what the methods' figures of a measure in a domain cannot be compared."""
        (first, here), *others = (
            of
            for method in self.methods
            for of in method.within(domain)
            if measure.key in of[1].measures
        )
        for run, there in others:
            if what := measured_by(first, run, (measure,)):
                return what
            if there.samples != here.samples:
                return "images, labels or masks"
        return None

    def examples(self, domain: str) -> list["MethodExamples"]:
        """The first seed's examples, for every method that has any in the domain."""
        return [
            MethodExamples(method, self.styles[method.name], method.runs[0], domain, examples)
            for method in self.methods
            if domain in method.runs[0].domains
            and (examples := read_examples(method.runs[0], domain)) is not None
        ]

    def shown(self, images: int) -> int:
        """How many images a page shows: fewer where many methods are compared."""
        return max(2, images * _MANY // max(len(self.methods), _MANY))


@dataclass(frozen=True)
class MethodExamples:
    """The example images of a method's first seed in one domain."""

    method: MethodResults
    style: Style
    run: Result
    domain: str
    examples: Examples

    def shade(self, i: int) -> str | None:
        """What darkens all but the object of example `i`; None where no object is known."""
        masks = self.examples.masks
        return None if masks is None or not masks[i].any() else shade_uri(masks[i])


def measures_of(results: Sequence[Result]) -> dict[str, Measure]:
    """Every measure that any result has, by key: as the result declares it, else built in.

    Those that balance classes are left out unless the classes of a domain are imbalanced, in any of
    these results: then every domain shows them.
    """
    built_in = {measure.key: measure for measure in MEASURES}
    declared = {key: measure for run in results for key, measure in run.declared.items()}
    known = built_in | declared
    domains = [domain for run in results for domain in run.domains.values()]
    keys = {key for domain in domains for key in domain.measures}
    if all(domain.imbalance <= IMBALANCED for domain in domains):
        keys -= {key for key, measure in known.items() if measure.balances}
    order = {key: place for place, key in enumerate(known)}
    return {
        key: known.get(key) or unknown(key)
        for key in sorted(keys, key=lambda key: (order.get(key, len(order)), key))
    }


def same_images(found: Sequence[MethodExamples]) -> bool:
    """Whether all methods have the same examples, in the same order."""
    if not found:
        return False
    first, *others = (each.examples for each in found)
    return all(
        np.array_equal(first.labels, other.labels) and np.array_equal(first.images, other.images)
        for other in others
    )


def side_by_side(found: Sequence[MethodExamples]) -> list[list[MethodExamples]]:
    """The methods shown in one row: all if they have the same example images, else each by
    itself."""
    return [list(found)] if same_images(found) else [[each] for each in found]


def _cell(measures: Sequence[Mapping[str, Estimate]], key: str) -> Cell | None:
    estimates = [of[key] for of in measures if key in of]
    return Cell.of(estimates) if estimates else None
