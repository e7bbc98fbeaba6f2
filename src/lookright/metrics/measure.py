"""The declaration of a measure: its name, its direction, its unit and how it is reported."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from lookright.metrics.baselines import BASELINES
from lookright.metrics.findings import AcrossDomains, AgainstBaselines, Finding, Kept, Levels
from lookright.metrics.questions import OTHER, Question

_FORMS = {"rate": "{:.1%}", "score": "{:.3f}", "square": "{:.2g}", "seconds": "{:.1f} s"}


@dataclass(frozen=True)
class Measure:
    """Declares a measure: results, tables, the page and its sentences are made from it.

    key: its name in a result; higher_is_better: None for a neutral measure, reported for comparison
    only; unit: "rate" is a share of successes in [0, 1] with a Wilson interval, or a mean of such
    shares, "score" any other number with the interval of its estimator, "square" a squared
    quantity, often near 0, "seconds" a time; beats: the baselines that a good explanation should
    beat. No explanation beats the centre prior in a measure of stability, since the centre prior
    never changes.

    question: the question it answers; order: its position among the measures of that question,
    ascending; chance: the measure that gives its chance level, shown below it instead of in a
    column of its own; balances: the rate of whose classes it is the mean, shown where classes are
    imbalanced; absent: what to say if a method has no figure; terminal: whether the
    terminal's table shows it as a column, or below the name of each method that has it; counted:
    for a rate, what is true of the images that count, as in "is right on" 12 images; finding: the
    sentence that reports its figures.
    """

    key: str
    title: str
    higher_is_better: bool | None
    unit: Literal["rate", "score", "square", "seconds"]
    description: str
    beats: tuple[str, ...] = BASELINES
    question: Question = OTHER
    order: int = 50
    chance: "Measure | None" = None
    balances: "Measure | None" = None
    absent: str = "not measured"
    terminal: Literal["column", "label"] | None = None
    counted: str = ""
    finding: Finding | None = None

    @property
    def arrow(self) -> str:
        return {True: "↑", False: "↓", None: ""}[self.higher_is_better]

    @property
    def direction(self) -> str:
        return {True: "higher is better", False: "lower is better", None: ""}[self.higher_is_better]

    @property
    def symbol(self) -> str:
        """The unit behind a figure, as printed."""
        return {"rate": "%", "seconds": " s"}.get(self.unit, "")

    def bare(self, value: float) -> str:
        """As `show`, without the unit."""
        return self.show(value).removesuffix(self.symbol)

    def show(self, value: float) -> str:
        """A rate as a percentage with one decimal, a score with three decimals, a square with two
        significant digits, a time in tenths of a second."""
        return _FORMS[self.unit].format(value)


def balancing(measure: Measure, shown: Iterable[Measure]) -> Measure:
    """What counts the classes alike in place of a measure, where that is shown; else itself.

    Where most images are of one class, a model that always answers it is right most often.
    """
    return next((one for one in shown if one.balances and one.balances.key == measure.key), measure)


def unknown(key: str) -> Measure:
    """A stand-in for an undeclared measure: its figures can be shown, without a direction."""
    return Measure(key, key, None, "score", "")


def in_order(measures: Mapping[str, Measure]) -> list[Measure]:
    """Sorted by question, then by their declared order, then as given."""
    return sorted(measures.values(), key=lambda one: (one.question.place, one.order))


def collected(namespace: Mapping[str, Any]) -> Iterator[Measure]:
    """The measures in a module's namespace, including those that are values of a dictionary."""
    for value in namespace.values():
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, Measure):
                yield one


_KINDS = {
    kind.__name__: kind
    for kind in (Measure, Question, Levels, Kept, AcrossDomains, AgainstBaselines)
}


def as_data(declared: Any) -> Any:
    """A declaration as JSON-ready data, so that a result can include the user's own measures."""
    if isinstance(declared, tuple):
        return [as_data(each) for each in declared]
    if is_dataclass(declared):
        kept = {one.name: as_data(getattr(declared, one.name)) for one in fields(declared)}
        return {"kind": type(declared).__name__, **kept}
    return declared


def from_data(data: Any) -> Measure:
    """The inverse of `as_data`; raises KeyError or TypeError if the data is not a measure."""
    measure = _declared(data)
    if not isinstance(measure, Measure):
        raise TypeError(f"a measure is a mapping, but got {data!r}")
    return measure


def _declared(data: Any) -> Any:
    if isinstance(data, list):
        return tuple(_declared(each) for each in data)
    if isinstance(data, dict):
        kept = {name: _declared(each) for name, each in data.items() if name != "kind"}
        return _KINDS[data["kind"]](**kept)
    return data
