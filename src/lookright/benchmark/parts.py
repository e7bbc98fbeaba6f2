"""What is shown of a scheme: its averages, ranks, cells and tests, as tables."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lookright.benchmark.columns import BY_PAIR, INSIDE, OUTSIDE, Column, Where, columns
from lookright.benchmark.comparisons import (
    Comparison,
    ImageValues,
    Marks,
    Tested,
    compare,
    marks,
    of_column,
    with_one,
)
from lookright.benchmark.findings import Finding, findings, sheet
from lookright.benchmark.hypotheses import Recorded
from lookright.benchmark.ranking import Ranking, ranking
from lookright.benchmark.scheme import LEFT_OUT, Pair, Scheme
from lookright.benchmark.sheets import Entry, Head, Links, Row, Sheet, runs_of
from lookright.drawing import count, listing, p_value
from lookright.evaluation.grouping import Cell
from lookright.metrics import Measure
from lookright.statistics.crossed import FEWEST_SEEDS


@dataclass(frozen=True)
class Part:
    """All that is told of one scheme; compared: the columns' differences from one method."""

    scheme: Scheme
    findings: tuple[Finding, ...]
    averages: tuple[Sheet, ...]
    differences: tuple[Sheet, ...]
    ranks: tuple[Sheet, ...]
    rankings: tuple[Ranking, ...]
    cells: tuple[Sheet, ...]
    tested: tuple[Tested, ...]
    compared: tuple[Tested, ...]

    @property
    def hypotheses(self) -> tuple[Sheet, ...]:
        """The table of the hypotheses, if there are any."""
        return (sheet(self.findings),) if self.findings else ()

    @property
    def sheets(self) -> tuple[Sheet, ...]:
        return (*self.hypotheses, *self.averages, *self.differences, *self.ranks, *self.cells)

    @property
    def enough_seeds(self) -> bool:
        return len(self.scheme.seeds) >= FEWEST_SEEDS


def part(scheme: Scheme, against: str = "", hypotheses: Sequence[Recorded] = ()) -> Part:
    """The tables, ranks and tests of a scheme; against: the method that others are compared with;
    hypotheses: what was expected.

    Raises:
        UserError: a table of images is damaged.
    """
    values, shown = ImageValues(scheme), columns(scheme.measures)
    tested = {column: of_column(values, column) for column in shown}
    measures = dict.fromkeys(
        column.measure
        for column in shown
        if column.where and column.measure.higher_is_better is not None
    )
    rankings = [
        each
        for where in (None, OUTSIDE)
        for one in measures
        if (each := ranking(scheme, one, where)) is not None
    ]
    compared = [
        Tested(column, own) for column, of in tested.items() if (own := with_one(of, against))
    ]
    return Part(
        scheme,
        findings(values, hypotheses),
        tuple(_averages(scheme, shown, lambda column: tested[column])),
        tuple(_differences(scheme, compared, against)),
        tuple(_ranks(rankings)),
        tuple(rankings),
        tuple(_cells(scheme, values)),
        tuple(Tested(column, of) for column, of in tested.items() if of),
        tuple(compared),
    )


def _averages(
    scheme: Scheme, shown: Sequence[Column], tested: Callable[[Column], Sequence[Comparison]]
) -> Iterator[Sheet]:
    for title in dict.fromkeys(one.sheet for one in shown):
        figures = {
            one: {method: scheme.average(method, one) for method in scheme.methods}
            for one in shown
            if one.sheet == title
        }
        whole = {one: of for one, of in figures.items() if any(of.values())}
        if whole:
            heads = tuple(Head.of(one.measure, one.title, one.group) for one in whole)
            filled = [(of, one.measure, tested(one)) for one, of in whole.items()]
            yield Sheet(title, heads, _rows(scheme, filled))


def _differences(scheme: Scheme, compared: Sequence[Tested], against: str) -> Iterator[Sheet]:
    """Each method's difference from one, corrected for these comparisons alone."""
    for title in dict.fromkeys(of.column.sheet for of in compared):
        found = [of for of in compared if of.column.sheet == title]
        yield Sheet(
            f"{title}, difference from {against}",
            tuple(Head.of(of.column.measure, of.column.title, of.column.group) for of in found),
            tuple(
                Row(method, tuple(_difference(of, method) for of in found))
                for method in scheme.methods
                if method != against
            ),
            (_DIFFERENCES_NOTE,),
            tested=False,
        )


def _difference(tested: Tested, method: str) -> Entry:
    one = next((each for each in tested.comparisons if each.first == method), None)
    if one is None:
        return Entry()
    return Entry(
        tested.signed(one.difference.value),
        tested.interval(one.difference),
        f"p = {p_value(one.p)}",
        "" if one.verdict == "not told apart from" else "best",
    )


_DIFFERENCES_NOTE = (
    "The difference of the means, its own 95% interval, and p by the paired test over seeds and "
    "images, corrected by Holm for the comparisons of its column. Marked: told apart at 5%, better "
    "or worse."
)

_Figures = tuple[dict[str, Cell | None], Measure, Sequence[Comparison]]


def _no_links(method: str, place: int) -> Links:
    return ()


def _rows(
    scheme: Scheme, filled: Sequence[_Figures], links: Callable[[str, int], Links] = _no_links
) -> tuple[Row, ...]:
    """A row for each method; links: by method and column."""
    marked = [
        marks({m: cell.value for m, cell in of.items() if cell}, measure, comparisons)
        for of, measure, comparisons in filled
    ]
    return tuple(
        Row(
            method,
            tuple(
                _entry(scheme, method, of[method], measure, mark, links(method, place))
                for place, ((of, measure, _), mark) in enumerate(zip(filled, marked, strict=True))
            ),
        )
        for method in scheme.methods
    )


def _entry(
    scheme: Scheme,
    method: str,
    cell: Cell | None,
    measure: Measure,
    mark: Marks,
    links: Links,
) -> Entry:
    if cell is None:
        return Entry()
    seeds = len(scheme.seeds)
    return Entry(
        measure.bare(cell.value),
        f"± {measure.bare(cell.sd)}" if cell.sd is not None else "",
        f"{cell.seeds} of {seeds} seeds" if cell.seeds != seeds else "",
        "best" if method == mark.best else "tied" if method in mark.tied else "",
        links,
    )


def _cells(scheme: Scheme, values: ImageValues) -> Iterator[Sheet]:
    for measure in (each for each in BY_PAIR if each.key in scheme.measures):
        known = scheme.pairs_of(measure.key)
        for title, wanted in _grouped(scheme):
            pairs = [pair for pair in wanted if pair in known]
            if pairs:
                yield _of_pairs(scheme, values, measure, title, pairs)


def _grouped(scheme: Scheme) -> Iterator[tuple[str, list[Pair]]]:
    """The pairs that stand side by side in a table."""
    inside = [pair for pair in scheme.pairs if scheme.where(pair) == INSIDE]
    rest = list(scheme.pairs)
    if scheme.name == LEFT_OUT:
        yield "in the domain left out", [pair for pair in scheme.pairs if pair not in inside]
        rest = inside
    for train in scheme.trained:
        yield f"trained on {scheme.named(train)}", [pair for pair in rest if pair.train == train]


def _of_pairs(
    scheme: Scheme, values: ImageValues, measure: Measure, title: str, pairs: Sequence[Pair]
) -> Sheet:
    outside = [pair for pair in pairs if scheme.where(pair) == OUTSIDE]
    mean = outside or list(pairs)
    filled: list[_Figures] = [
        (
            {m: scheme.cell(m, pair, measure.key) for m in scheme.methods},
            measure,
            compare(values, measure, [pair]),
        )
        for pair in pairs
    ]
    heads = [Head(pair.test, scheme.where(pair).capitalize()) for pair in pairs]
    if len(mean) > 1:
        averaged = {m: scheme.mean(m, mean, measure) for m in scheme.methods}
        filled.append((averaged, measure, compare(values, measure, mean)))
        heads.append(Head("mean", scheme.where(mean[0]).capitalize()))

    def links(method: str, place: int) -> Links:
        trained = [pair.train for pair in (pairs[place : place + 1] or mean)]
        return tuple(
            link for train in dict.fromkeys(trained) for link in runs_of(scheme, method, train)
        )

    unit = f" ({measure.symbol.strip()})" if measure.symbol else ""
    return Sheet(f"{measure.title}{unit}, {title}", tuple(heads), _rows(scheme, filled, links))


def _ranks(rankings: Sequence[Ranking]) -> Iterator[Sheet]:
    for where in dict.fromkeys(one.where for one in rankings):
        yield _ranks_over([one for one in rankings if one.where == where], where)


def _ranks_over(rankings: Sequence[Ranking], where: Where | None) -> Sheet:
    rows = [
        Row(method, tuple(Entry(f"{one.ranks.average[place]:.2f}") for one in rankings))
        for place, method in enumerate(rankings[0].methods)
    ]
    below = {
        "Domain pairs": [str(one.ranks.n) for one in rankings],
        "Friedman's p": [p_value(one.ranks.p) for one in rankings],
        "Critical difference": [
            f"{one.ranks.critical:.2f}" if one.differ else "none claimed" for one in rankings
        ],
    }
    rows += [Row(name, tuple(map(Entry, of)), "test") for name, of in below.items()]
    return Sheet(
        f"Average ranks, {where or 'all domain pairs'}",
        tuple(
            Head(one.measure.title, arrow=one.measure.arrow, about=one.measure.description)
            for one in rankings
        ),
        tuple(rows),
        (_RANKS_NOTE,),
        tested=False,
    )


_RANKS_NOTE = (
    "1 is the best; ties share their mean rank; only domain pairs that all methods have count. "
    "Pairs with a domain in common share images or trainings, which Friedman's and Nemenyi's tests "
    "do not know: their p-values are smaller than independent data sets would give."
)


def seeds_note(parts: Sequence[Part]) -> str:
    """A warning where a scheme has too few seeds; '' where all have enough."""
    few = [part for part in parts if not part.enough_seeds]
    if not few:
        return ""
    told = listing([f"{one.scheme.name}: {count(len(one.scheme.seeds), 'seed')}" for one in few])
    return f"{told}. No method is called better than another with fewer than {FEWEST_SEEDS} seeds."
