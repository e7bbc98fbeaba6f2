"""The tables as text, from which every writer makes its own: heads, rows and marked entries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lookright.benchmark.scheme import Scheme
from lookright.metrics import Measure
from lookright.statistics.crossed import FEWEST_SEEDS

Links = tuple[tuple[str, Path], ...]
"""A seed in words, and the folder of its run."""


@dataclass(frozen=True)
class Head:
    """The head of a column, below that of its group."""

    title: str
    group: str = ""
    arrow: str = ""
    unit: str = ""
    about: str = ""

    @classmethod
    def of(cls, measure: Measure, title: str = "", group: str = "") -> "Head":
        unit = measure.symbol.strip()
        return cls(title or measure.title, group, measure.arrow, unit, measure.description)


@dataclass(frozen=True)
class Entry:
    """A figure as printed, '' for none; note: the seeds that it has, where others have more, or how
    sure a difference is."""

    value: str = ""
    spread: str = ""
    note: str = ""
    mark: Literal["", "best", "tied"] = ""
    links: Links = ()


@dataclass(frozen=True)
class Row:
    """A row of a table; kind: what sets it apart from the others, '' for a method's."""

    name: str
    entries: tuple[Entry, ...]
    kind: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table of figures; tested: whether its figures are ours, marked by paired tests; of: what
    its rows are."""

    title: str
    heads: tuple[Head, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    tested: bool = True
    of: str = "Method"

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The heads of groups, and over how many columns each stands."""
        found: list[tuple[str, int]] = []
        for head in self.heads:
            if found and found[-1][0] == head.group:
                found[-1] = (head.group, found[-1][1] + 1)
            else:
                found.append((head.group, 1))
        return found if any(name for name, _ in found) else []


def runs_of(scheme: Scheme, method: str, train: tuple[str, ...]) -> Links:
    """The runs of a method on these training domains."""
    return tuple(
        ("run" if trial.result.seed is None else f"seed {trial.result.seed}", trial.run.folder)
        for trial in scheme.of(method, train)
    )


def marks_note(best: str, tied: str) -> str:
    """What the marks of a writer mean."""
    return (
        f"Mean ± sample standard deviation over seeds. {best}: the best mean of a column; {tied}: "
        "not told apart from it by a paired test over seeds and images (Holm, over all pairs of "
        f"methods of the column, at 5%). With fewer than {FEWEST_SEEDS} seeds, without values of "
        "every image, or where nothing is told apart from the best, nothing is marked."
    )
