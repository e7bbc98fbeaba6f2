"""The tables of all figures: a few questions side by side, methods below each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lookright.report.baselines import Against, against, baseline_names, baseline_range, in_words
from lookright.report.columns import CHANCE, CHANCE_OF, Column, ColumnGroup
from lookright.report.grouping import Cell, Comparison, Method
from lookright.report.verdicts import Trust, notes, verdict

_COLUMNS = 11


@dataclass(frozen=True)
class Figure:
    """One method's figure in one column; `cell` is None where it was not measured.

    against: the explanation against each baseline on this model; verdict: of a robust figure.
    """

    column: Column
    first: bool
    cell: Cell | None
    best: bool
    against: tuple[Against, ...]
    verdict: Trust | None

    @property
    def beaten(self) -> bool:
        """Whether it is better than every baseline."""
        return all(each.better for each in self.against)


@dataclass(frozen=True)
class MethodRow:
    """A method's figures in the order of the columns."""

    method: Method
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PlainRow:
    """Figures without spread, '' for none: of a baseline, of one on a certain model, of chance."""

    name: str
    figures: tuple[str, ...]
    each: tuple["PlainRow", ...] = ()


@dataclass(frozen=True)
class Band:
    """As many questions as stand side by side on a wide page."""

    groups: tuple[ColumnGroup, ...]
    rows: tuple[MethodRow, ...]
    baselines: tuple[PlainRow, ...]
    chance: PlainRow | None

    @property
    def columns(self) -> list[tuple[Column, bool]]:
        """Every column, and whether it is the first of its question."""
        return _columns(self.groups)


@dataclass(frozen=True)
class DomainTable:
    """All figures of one domain."""

    domain: str
    in_distribution: bool
    n: str
    bands: tuple[Band, ...]


def domain_tables(comparison: Comparison, groups: Sequence[ColumnGroup]) -> list[DomainTable]:
    """A table for every domain."""
    return [
        DomainTable(
            domain,
            comparison.in_distribution(domain),
            span(here.n for method in comparison.methods for _, here in method.within(domain)),
            tuple(
                _band(comparison, domain, band)
                for band in _side_by_side(_measured(comparison, domain, groups))
            ),
        )
        for domain in comparison.domains
    ]


def span(numbers: Iterable[int]) -> str:
    """'3', or '3-5' of several numbers."""
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}\N{EN DASH}{found[-1]}"


def _measured(
    comparison: Comparison, domain: str, groups: Sequence[ColumnGroup]
) -> list[ColumnGroup]:
    """Without the columns that no method fills in this domain."""
    found = (
        (group, tuple(one for one in group.columns if comparison.cells(domain, one.key)))
        for group in groups
    )
    return [ColumnGroup(group.question, columns) for group, columns in found if columns]


def _side_by_side(groups: Sequence[ColumnGroup]) -> list[tuple[ColumnGroup, ...]]:
    bands: list[tuple[ColumnGroup, ...]] = []
    for group in groups:
        last = bands[-1] if bands else ()
        if last and len(_columns((*last, group))) <= _COLUMNS:
            bands[-1] = (*last, group)
        else:
            bands.append((group,))
    return bands


def _columns(groups: Sequence[ColumnGroup]) -> list[tuple[Column, bool]]:
    return [(column, i == 0) for group in groups for i, column in enumerate(group.columns)]


def _band(comparison: Comparison, domain: str, groups: tuple[ColumnGroup, ...]) -> Band:
    columns = [column for column, _ in _columns(groups)]
    methods = [method for method in comparison.methods if method.within(domain)]
    baselines = (
        _baseline(comparison, domain, columns, name) for name in baseline_names(comparison, domain)
    )
    areas = comparison.cells(domain, CHANCE)
    chance = [
        column.show(areas[0][1].value) if areas and column.key in CHANCE_OF else ""
        for column in columns
    ]
    return Band(
        groups,
        tuple(_method(comparison, domain, groups, method) for method in methods),
        tuple(row for row in baselines if any(row.figures)),
        PlainRow("By chance", tuple(chance)) if any(chance) else None,
    )


def _method(
    comparison: Comparison, domain: str, groups: Sequence[ColumnGroup], method: Method
) -> MethodRow:
    trust = verdict(method, domain)
    figures = tuple(
        Figure(
            column,
            i == 0,
            method.cell(domain, column.key),
            method.name in column.best(comparison, domain),
            against(method, domain, column.key),
            trust if group.robust else None,
        )
        for group in groups
        for i, column in enumerate(group.columns)
    )
    return MethodRow(method, figures, notes(method, domain))


def _baseline(
    comparison: Comparison, domain: str, columns: Sequence[Column], name: str
) -> PlainRow:
    """The span of its figures over the models, and, where they differ, those on each."""
    overall = tuple(baseline_range(comparison, domain, name, column) for column in columns)
    each = tuple(
        PlainRow(
            method.name,
            tuple(
                column.show(cell.value)
                if (cell := method.baseline(domain, name, column.key))
                else ""
                for column in columns
            ),
        )
        for method in comparison.methods
        if method.within(domain)
    )
    differ = len({row.figures for row in each}) > 1
    return PlainRow(in_words(name), overall, each if differ else ())
