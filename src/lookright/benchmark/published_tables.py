"""Published figures as tables, with one's own of the same domains below them, set apart."""

from collections.abc import Iterator, Mapping, Sequence

from lookright.benchmark.published import AVERAGE, Figure, Published
from lookright.benchmark.scheme import Scheme
from lookright.benchmark.sheets import Entry, Head, Row, Sheet
from lookright.data.sets import published_set
from lookright.evaluation.grouping import Cell


def published_tables(
    published: Sequence[Published], schemes: Sequence[Scheme], labelled: str = ""
) -> list[Sheet]:
    """A table for each source, data set and measure; labelled: what our figures must say."""
    whose = f"ours, {labelled}" if labelled else "ours"
    return [_sheet(one, schemes, whose) for one in published]


def _sheet(one: Published, schemes: Sequence[Scheme], whose: str) -> Sheet:
    source = one.source
    theirs = [
        Row(f"{method} ({source.name})", tuple(_printed(of, domain) for domain in one.domains))
        for method, of in one.figures.items()
    ]
    ours = [row for scheme in schemes for row in _ours(one, scheme, whose)]
    return Sheet(
        f"Published by {source.name}: {one.data_set}, {one.measure.title} (%), {source.where}, "
        f"{source.scheme.lower()}",
        tuple(Head(domain) for domain in one.domains),
        (*theirs, *ours),
        tuple(_notes(one, bool(ours))),
        tested=False,
    )


def _printed(of: Mapping[str, Figure], domain: str) -> Entry:
    figure = of.get(domain)
    if figure is None:
        return Entry()
    return Entry(figure.value, f"± {figure.error}" if figure.error else "")


def _ours(one: Published, scheme: Scheme, whose: str) -> Iterator[Row]:
    """Our figures in the same domains, and their average where we have all of them."""
    if scheme.name != one.source.scheme:
        return
    known = published_set(one.data_set).domain
    pairs = {
        known(pair.test): pair for pair in scheme.pairs if scheme.where(pair) == one.source.where
    }
    domains = [domain for domain in one.domains if domain != AVERAGE]
    pairs = {domain: pairs[domain] for domain in domains if domain in pairs}
    for method in scheme.methods:
        cells = {
            domain: scheme.cell(method, pair, one.measure.key) for domain, pair in pairs.items()
        }
        if len(pairs) == len(domains):
            cells[AVERAGE] = scheme.mean(method, list(pairs.values()), one.measure)
        if any(cells.values()):
            yield Row(
                f"{method} ({whose})",
                tuple(_measured(cells.get(domain)) for domain in one.domains),
                "ours",
            )


def _measured(cell: Cell | None) -> Entry:
    if cell is None:
        return Entry()
    return Entry(f"{100 * cell.value:.1f}", f"± {100 * cell.sd:.1f}" if cell.sd is not None else "")


def _notes(one: Published, ours: bool) -> Iterator[str]:
    source = one.source
    yield (
        f"Source: {source.citation}; {source.table}. Backbone: {source.backbone}; image size: "
        f"{source.image_size}; selection: {source.selection}."
    )
    if source.error:
        yield f"± of {source.name}: {source.error}."
    if ours:
        yield (
            "Ours: mean ± sample standard deviation over seeds, with our own backbone, image size "
            "and training. None of these rows is ranked or tested against another."
        )
