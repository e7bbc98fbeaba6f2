"""What a measure is called, which way it points, what it counts and what a report makes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

from lookright.metrics.baselines import BASELINES
from lookright.metrics.findings import AcrossDomains, AgainstBaselines, Finding, Kept, Levels
from lookright.metrics.questions import OTHER, Question

_FORMS = {"rate": "{:.1%}", "score": "{:.3f}", "square": "{:.2g}"}


@dataclass(frozen=True)
class Measure:
    """The declaration beside a metric: results, tables, the page and its sentences follow from it.

    key: its name in a result; higher_is_better: None for a neutral one, reported for comparison
    only; unit: "rate" is a share of successes in [0, 1] with a Wilson interval, "score" any other
    number with the interval of its estimator, "square" one that is squared and so often near 0;
    beats: the baselines that a good explanation does better than. Where staying is good, none beats
    the middle of the image, which never moves.

    question: what it answers; order: its place among the measures of that question, by ascending
    number; chance: the measure that is its level by chance, shown below it in place of a column;
    absent: why a method may have no figure; terminal: whether the terminal's table has it in a
    column, or below the name of a method that has it; counted: of a rate, what is true of the
    images that count, as in "is right on" 12 images; finding: the sentence that tells its figures.
    """

    key: str
    title: str
    higher_is_better: bool | None
    unit: Literal["rate", "score", "square"]
    description: str
    beats: tuple[str, ...] = BASELINES
    question: Question = OTHER
    order: int = 50
    chance: "Measure | None" = None
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

    def show(self, value: float) -> str:
        """A rate as a percentage with one decimal, a score with three; a square in two significant
        digits."""
        return _FORMS[self.unit].format(value)


def unknown(key: str) -> Measure:
    """What can be said of a measure that nothing declares: its figures, without a direction."""
    return Measure(key, key, None, "score", "")


def in_order(measures: Mapping[str, Measure]) -> list[Measure]:
    """By question and the order that they declare, then as given."""
    return sorted(measures.values(), key=lambda one: (one.question.place, one.order))


def collected(namespace: Mapping[str, Any]) -> Iterator[Measure]:
    """The measures that a module declares, on their own or as the values of a dictionary."""
    for value in namespace.values():
        for one in value.values() if isinstance(value, dict) else (value,):
            if isinstance(one, Measure):
                yield one


_KINDS = {
    kind.__name__: kind
    for kind in (Measure, Question, Levels, Kept, AcrossDomains, AgainstBaselines)
}


def as_data(declared: Any) -> Any:
    """A declaration for JSON, so that a result can carry a measure of the user's own."""
    if isinstance(declared, tuple):
        return [as_data(each) for each in declared]
    if is_dataclass(declared):
        kept = {one.name: as_data(getattr(declared, one.name)) for one in fields(declared)}
        return {"kind": type(declared).__name__, **kept}
    return declared


def from_data(data: Any) -> Measure:
    """The measure that `as_data` was given; KeyError or TypeError where it was given none."""
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
