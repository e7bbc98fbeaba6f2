"""Baselines: maps that do not depend on the model, which an explanation has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.metrics import Measure
from lookright.metrics.baselines import in_words
from lookright.report.columns import span_of
from lookright.statistics.paired import Paired, Verdict


def baseline_names(results: ResultSet, domain: str) -> list[str]:
    """The baselines that any method has in the domain."""
    return list(
        dict.fromkeys(name for method in results.methods for name in method.baselines(domain))
    )


def baseline_range(results: ResultSet, domain: str, name: str, measure: Measure) -> str:
    """A baseline's figures over the models, as printed; '' where there are none."""
    found = (method.baseline(domain, name, measure.key) for method in results.methods)
    cells = [cell for cell in found if cell]
    return span_of(measure, cells) if cells else ""


@dataclass(frozen=True)
class Against:
    """A method's explanation against one baseline on the same images, by the sign test.

    verdict: the outcome of every seed; "not told apart from" where the seeds disagree.
    """

    baseline: str
    verdict: Verdict
    counts: str

    @property
    def better(self) -> bool:
        return self.verdict == "better than"

    @property
    def words(self) -> str:
        return f"{self.verdict} {self.baseline}"


def against(method: MethodResults, domain: str, key: str) -> tuple[Against, ...]:
    """Each baseline that a measure was tested against."""
    found = []
    for name in method.baselines(domain):
        tests = [
            (run, here.paired[name][key])
            for run, here in method.within(domain)
            if key in here.paired.get(name, {})
        ]
        if tests:
            verdict, *others = {test.verdict for _, test in tests}
            counts = "; ".join(method.of_seed(run, _counts(test)) for run, test in tests)
            said = "not told apart from" if others else verdict
            found.append(Against(in_words(name), said, counts))
    return tuple(found)


def in_short(tests: Sequence[Against]) -> str:
    """The weakest verdict over all baselines."""
    verdict = min((each.verdict for each in tests), key=get_args(Verdict).index)
    if len(tests) == 1:
        return tests[0].words
    return f"{verdict} {'the baselines' if verdict == 'better than' else 'a baseline'}"


def _counts(test: Paired) -> str:
    p = f"p = {test.p:.1g}" if test.p >= 1e-4 else "p < 0.0001"
    return f"better on {test.better} and worse on {test.worse} of {test.n} images, {p}"
