"""The columns of every table: which measures, in which order, and how their cells are printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from lookright.evaluation.grouping import Cell, ResultSet
from lookright.metrics import Measure
from lookright.metrics.measure import in_order
from lookright.metrics.questions import Question


@dataclass(frozen=True)
class ColumnGroup:
    """Neighbouring columns that answer one question."""

    question: Question
    columns: tuple[Measure, ...]


def column_groups(results: ResultSet) -> list[ColumnGroup]:
    """The measures that any result has, grouped by the question they answer.

    A measure that is the chance level of another has no column: it stands below the other's.
    """
    chances = {one.chance.key for one in results.measures.values() if one.chance}
    groups: dict[Question, list[Measure]] = {}
    for measure in in_order(results.measures):
        if measure.key not in chances:
            groups.setdefault(measure.question, []).append(measure)
    return [ColumnGroup(question, tuple(columns)) for question, columns in groups.items()]


def spread(measure: Measure, cell: Cell) -> str:
    """'± sd' over several seeds, 'low-high' of the 95% interval for one."""
    if cell.sd is not None:
        return f"± {measure.bare(cell.sd)}"
    if not cell.known:
        return "one image"
    return _from_to(measure.bare(cell.low), measure.bare(cell.high))


def span_of(measure: Measure, cells: Sequence[Cell]) -> str:
    """'low-high' of several cells as printed, or the one value that all print."""
    low, high = (end(cells, key=lambda cell: _printed(measure, cell)) for end in (min, max))
    if _printed(measure, low) == _printed(measure, high):
        return measure.show(low.value)
    return _from_to(measure.bare(low.value), measure.show(high.value))


def best(measure: Measure, results: ResultSet, domain: str) -> set[str]:
    """Names of the methods that print the best value; empty where all print the same, or where
    they were not measured alike."""
    cells = results.cells(domain, measure.key)
    if measure.higher_is_better is None or len(cells) < 2 or results.unlike(domain, measure):
        return set()
    rounded = {method.name: _printed(measure, cell) for method, cell in cells}
    winner = (max if measure.higher_is_better else min)(rounded.values())
    names = {name for name, value in rounded.items() if value == winner}
    return names if len(names) < len(cells) else set()


def _printed(measure: Measure, cell: Cell) -> float:
    """The value as precise as it is printed."""
    return float(measure.bare(cell.value))


def _from_to(low: str, high: str) -> str:
    """With a dash, or with "to" where the dash could be read as a minus sign."""
    return f"{low} to {high}" if low.startswith("-") else f"{low}\N{EN DASH}{high}"
