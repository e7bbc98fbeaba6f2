"""Results grouped for comparison: the runs of one name are seeds of one method."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lookright.errors import UserError
from lookright.evaluation.result import DomainResult, Result
from lookright.evaluation.stages.attacks import Attacks
from lookright.statistics.intervals import Estimate


@dataclass(frozen=True)
class Cell:
    """One figure of one method: of a single seed, or the mean over seeds.

    `low` and `high` are the 95% interval of a single seed, or mean ± sd over several;
    `sd` (the sample standard deviation) is None for a single seed.
    """

    value: float
    low: float
    high: float
    sd: float | None
    seeds: int

    @classmethod
    def of(cls, estimates: Sequence[Estimate]) -> "Cell":
        """The cell of at least one seed's estimates."""
        if len(estimates) == 1:
            only = estimates[0]
            return cls(only.value, only.low, only.high, None, 1)
        values = [estimate.value for estimate in estimates]
        mean, sd = statistics.fmean(values), statistics.stdev(values)
        return cls(mean, mean - sd, mean + sd, sd, len(values))

    def overlaps(self, other: "Cell") -> bool:
        """Whether the two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Method:
    """All runs of one name, by ascending seed."""

    name: str
    runs: tuple[Result, ...]

    def within(self, domain: str) -> list[tuple[Result, DomainResult]]:
        """The runs that were judged in the domain, with what was measured there."""
        return [(run, run.domains[domain]) for run in self.runs if domain in run.domains]

    def cell(self, domain: str, key: str) -> Cell | None:
        """A measure in a domain, over the seeds that have it; None where none has."""
        return _cell([here.measures for _, here in self.within(domain)], key)

    def baseline(self, domain: str, name: str, key: str) -> Cell | None:
        """The same measure of a map that knows nothing of the model."""
        return _cell([here.baselines.get(name, {}) for _, here in self.within(domain)], key)

    def baselines(self, domain: str) -> list[str]:
        """The names of those maps."""
        return list(
            dict.fromkeys(name for _, here in self.within(domain) for name in here.baselines)
        )

    def curve(self, domain: str) -> list[tuple[float, Cell]]:
        """(eps, accuracy) by ascending eps."""
        by_eps: dict[float, list[Estimate]] = {}
        for _, here in self.within(domain):
            found = Attacks.of(here)
            for point in found.curve if found else ():
                by_eps.setdefault(round(point.eps, 6), []).append(point.accuracy)
        return [(eps, Cell.of(estimates)) for eps, estimates in sorted(by_eps.items())]

    def of_seed(self, run: Result, text: str) -> str:
        """What is said of one run, its seed named where the method has several."""
        return f"seed {run.seed}: {text}" if len(self.runs) > 1 else text


@dataclass(frozen=True)
class Comparison:
    """Methods by domains, both in the order in which the results bring them."""

    methods: tuple[Method, ...]
    domains: tuple[str, ...]

    @property
    def runs(self) -> list[Result]:
        return [run for method in self.methods for run in method.runs]

    @property
    def home(self) -> str | None:
        """The first in-distribution domain."""
        return next((domain for domain in self.domains if self.in_distribution(domain)), None)

    def in_distribution(self, domain: str) -> bool:
        return any(
            run.domains[domain].in_distribution for run in self.runs if domain in run.domains
        )

    def cells(self, domain: str, key: str) -> list[tuple[Method, Cell]]:
        """The methods that have the measure in the domain, with their cells."""
        found = ((method, method.cell(domain, key)) for method in self.methods)
        return [(method, cell) for method, cell in found if cell is not None]

    @property
    def keys(self) -> set[str]:
        """Keys of all measures that any result has."""
        return {
            key for run in self.runs for domain in run.domains.values() for key in domain.measures
        }


def _cell(measures: Sequence[Mapping[str, Estimate]], key: str) -> Cell | None:
    estimates = [of[key] for of in measures if key in of]
    return Cell.of(estimates) if estimates else None


def compare(results: Sequence[Result]) -> Comparison:
    """Group results by name.

    Raises:
        UserError: there is no result, or two results have the same name and seed.
    """
    if not results:
        raise UserError("Expected at least one result folder to report on, but none was given.")
    groups: dict[str, dict[int | None, Result]] = {}
    for result in results:
        seeds = groups.setdefault(result.name, {})
        if result.seed in seeds:
            raise UserError(
                f"Expected one result per name and seed, but {seeds[result.seed].folder} and "
                f"{result.folder} are both '{result.name}' with seed {result.seed}: "
                "leave one out or give it another name."
            )
        seeds[result.seed] = result
    methods = tuple(
        Method(name, tuple(sorted(seeds.values(), key=lambda run: run.seed or 0)))
        for name, seeds in groups.items()
    )
    domains = dict.fromkeys(domain for result in results for domain in result.domains)
    return Comparison(methods, tuple(domains))
