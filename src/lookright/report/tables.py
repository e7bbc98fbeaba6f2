"""The tables of all figures: questions side by side, one row per method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lookright.drawing import listing, span
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.stages.diagnostics import Trust, notes, verdict
from lookright.metrics import Measure
from lookright.metrics.baselines import in_words
from lookright.report.baselines import Against, against, baseline_names, baseline_range
from lookright.report.columns import ColumnGroup, best, span_of, spread

_COLUMNS = 11


@dataclass(frozen=True)
class Figure:
    """One method's figure in one column; `cell` is None where it was not measured.

    n: of the images, where they are fewer than the domain's, else None; against: the explanation
    against each baseline on this model; verdict: of a robust figure.
    """

    column: Measure
    first: bool
    cell: Cell | None
    best: bool
    n: int | None
    against: tuple[Against, ...]
    verdict: Trust | None

    @property
    def spread(self) -> str:
        """'' where there is no figure."""
        return spread(self.column, self.cell) if self.cell else ""

    @property
    def beaten(self) -> bool:
        """Whether it is better than every baseline."""
        return all(each.better for each in self.against)


@dataclass(frozen=True)
class MethodRow:
    """A method's figures in the order of the columns."""

    method: MethodResults
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PlainRow:
    """Figures without spread, '' for none: a baseline's, a baseline's on one model, or chance
    level."""

    name: str
    figures: tuple[str, ...]
    each: tuple["PlainRow", ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Band:
    """The questions that fit side by side on a wide page."""

    groups: tuple[ColumnGroup, ...]
    rows: tuple[MethodRow, ...]
    baselines: tuple[PlainRow, ...]
    chance: PlainRow | None

    @property
    def columns(self) -> list[tuple[Measure, bool]]:
        """Every column, and whether it is the first of its question."""
        return _columns(self.groups)


@dataclass(frozen=True)
class DomainTable:
    """All figures of one domain."""

    domain: str
    in_distribution: bool
    n: str
    bands: tuple[Band, ...]


def domain_tables(results: ResultSet, groups: Sequence[ColumnGroup]) -> list[DomainTable]:
    """A table for every domain."""
    return [
        DomainTable(
            domain,
            results.in_distribution(domain),
            span(here.n for method in results.methods for _, here in method.within(domain)),
            tuple(
                _band(results, domain, band)
                for band in _side_by_side(_measured(results, domain, groups))
            ),
        )
        for domain in results.domains
    ]


def _measured(results: ResultSet, domain: str, groups: Sequence[ColumnGroup]) -> list[ColumnGroup]:
    """Without the columns that no method fills in this domain."""
    found = (
        (group, tuple(one for one in group.columns if results.cells(domain, one.key)))
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


def _columns(groups: Sequence[ColumnGroup]) -> list[tuple[Measure, bool]]:
    return [(column, i == 0) for group in groups for i, column in enumerate(group.columns)]


def _band(results: ResultSet, domain: str, groups: tuple[ColumnGroup, ...]) -> Band:
    columns = [column for column, _ in _columns(groups)]
    methods = [method for method in results.methods if method.within(domain)]
    baselines = (
        _baseline(results, domain, columns, name) for name in baseline_names(results, domain)
    )
    areas = {
        column.chance: [cell for _, cell in cells]
        for column in columns
        if column.chance and (cells := results.cells(domain, column.chance.key))
    }
    by_chance = listing([area.title.lower() for area in areas]) if areas else ""
    chance = [
        span_of(column, areas[column.chance]) if column.chance in areas else ""
        for column in columns
    ]
    wins = {column.key: best(column, results, domain) for column in columns}
    return Band(
        groups,
        tuple(_method(groups, method, domain, wins) for method in methods),
        tuple(row for row in baselines if any(row.figures)),
        PlainRow("By chance", tuple(chance), note=by_chance) if areas else None,
    )


def _method(
    groups: Sequence[ColumnGroup],
    method: MethodResults,
    domain: str,
    wins: Mapping[str, set[str]],
) -> MethodRow:
    trust = verdict(method, domain)
    every = min(here.n for _, here in method.within(domain))
    figures = tuple(
        Figure(
            column,
            i == 0,
            cell := method.cell(domain, column.key),
            method.name in wins[column.key],
            cell.n if cell and cell.n < every else None,
            against(method, domain, column.key),
            trust if group.question.robust else None,
        )
        for group in groups
        for i, column in enumerate(group.columns)
    )
    return MethodRow(method, figures, notes(method, domain))


def _baseline(results: ResultSet, domain: str, columns: Sequence[Measure], name: str) -> PlainRow:
    """The range of its figures over the models and, where they differ, the figure on each."""
    overall = tuple(baseline_range(results, domain, name, column) for column in columns)
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
        for method in results.methods
        if method.within(domain)
    )
    differ = len({row.figures for row in each}) > 1
    return PlainRow(in_words(name), overall, each if differ else ())
