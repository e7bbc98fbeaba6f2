"""The table of a benchmark for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import fill

from rich import box
from rich.table import Table
from rich.text import Text

from lookright.benchmark.columns import INSIDE, Column, columns
from lookright.benchmark.ranking import ranking
from lookright.benchmark.scheme import Scheme, schemes
from lookright.evaluation.result import Result
from lookright.metrics import Measure
from lookright.metrics.classification import ACCURACY
from lookright.metrics.measure import balancing
from lookright.training import Run

_MOST = 4
_CAPTION = (
    "in, out: in distribution and out of it; ± standard deviation over seeds; rank: of "
    "the {} over domain pairs; the page says which differences are shown"
)


def terminal_table(judged: Sequence[tuple[Run, Result]], labelled: str = "") -> Table:
    """Averages over domain pairs, at most 80 characters wide; a section for each scheme.

    Raises:
        UserError: no results, or two of one method, training domains and seed.
    """
    found = schemes(judged)
    measures = {key: one for scheme in found for key, one in scheme.measures.items()}
    ranked = balancing(ACCURACY, measures.values())
    caption = _CAPTION.format(ranked.title.lower())
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption=Text("\n".join((caption, *_gaps(found)))),
        caption_justify="left",
        title=Text(labelled) if labelled else None,
    )
    shown = _shown(measures)
    table.add_column("Method", max_width=20, overflow="fold")
    for column in shown:
        title = fill(column.measure.title, 12, break_long_words=False)
        where = "in" if column.where == INSIDE else "out"
        table.add_column(Text(f"{title}\n{where} {column.measure.arrow}"), justify="right")
    table.add_column("Rank", justify="right")
    for scheme in found:
        table.add_row(Text(scheme.name, style="bold"))
        order = ranking(scheme, ranked)
        for place, method in enumerate(scheme.methods):
            rank = f"{order.ranks.average[place]:.2f}" if order else "-"
            cells = (_cell(scheme, method, column) for column in shown)
            table.add_row(Text(f"  {method}"), *cells, rank)
        table.add_section()
    return table


def _shown(measures: Mapping[str, Measure]) -> Sequence[Column]:
    """The first columns of those that a terminal shows anyway, balanced where that is shown."""
    main = [one for one in columns(measures) if one.measure.terminal == "column"]
    return [replace(one, measure=balancing(one.measure, measures.values())) for one in main[:_MOST]]


def _cell(scheme: Scheme, method: str, column: Column) -> Text:
    cell = scheme.average(method, column)
    if cell is None:
        return Text("-", style="dim")
    text = Text(column.measure.show(cell.value))
    return (
        text.append(f"\n± {column.measure.bare(cell.sd)}", style="dim")
        if cell.sd is not None
        else text
    )


def _gaps(found: Sequence[Scheme]) -> list[str]:
    return [line for scheme in found for line in scheme.gaps]
