"""The results for a terminal: the main measures, domain by domain."""

from collections.abc import Sequence
from textwrap import fill

from rich import box
from rich.table import Table
from rich.text import Text

from lookright.drawing import count, p_value
from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.evaluation.result import Result
from lookright.evaluation.stages.diagnostics import notes, verdict
from lookright.metrics import Measure
from lookright.metrics.baselines import in_words
from lookright.report.baselines import baseline_names, baseline_range
from lookright.report.columns import best, column_groups, spread
from lookright.report.pairs import domain_pairs

_FEW = 15


def method_table(results: Sequence[Result]) -> Table:
    """Methods by main measures in sections of one domain each, at most 80 characters wide.

    Several seeds print as mean ± sd, one seed as the figure, a rate with its 95% interval; the best
    figure of a column, as printed, is bold. Below stand the baselines, which do not depend on the
    model. The page has all measures and intervals.

    Raises:
        UserError: no results, or two of the same name and seed.
    """
    found = ResultSet.of(results)
    measures = [one for group in column_groups(found) for one in group.columns]
    columns = [one for one in measures if one.terminal == "column"]
    labels = [one for one in measures if one.terminal == "label"]
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption=Text(_caption(found)),
        caption_justify="left",
    )
    table.add_column("Domain, method", max_width=20, overflow="fold")
    for column in columns:
        whole = column.title.replace("Comprehensiveness", "Comprehen-siveness")
        title = fill(f"{whole} {column.arrow}", width=12, break_long_words=False)
        table.add_column(Text(title), justify="right")
    for domain in found.domains:
        star = " *" if found.in_distribution(domain) else ""
        table.add_row(Text(f"{domain}{star}", style="bold"))
        for method in found.methods:
            if any(domain in run.domains for run in method.runs):
                cells = (_cell(found, domain, method, column) for column in columns)
                table.add_row(_label(method, domain, labels), *cells)
        for name in baseline_names(found, domain):
            spans = [baseline_range(found, domain, name, column) for column in columns]
            if any(spans):
                label = fill(in_words(name), 20, initial_indent="  ", subsequent_indent="  ")
                table.add_row(Text(label), *spans, style="dim")
        table.add_section()
    return table


def difference_table(results: Sequence[Result]) -> Table | None:
    """Which differences between the methods are shown, image by image; None without tables of
    images.

    All pairs of a domain where there are few, else only how many differ.

    Raises:
        UserError: as `method_table`, or a table of images is damaged.
    """
    found = domain_pairs(ResultSet.of(results))
    table = Table(
        "",
        "difference",
        "95% interval",
        "p (Holm)",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        caption_justify="left",
    )
    lines = ["rates in percentage points; dim: no difference shown; the page has every pair"]
    for here in found:
        lines += here.refused
        pairs = [pair for _, of in here.measures for pair in of]
        if pairs:
            shown = sum(pair.shown for pair in pairs)
            head = f"{here.domain}: {shown} of {count(len(pairs), 'difference')} shown"
            table.add_row(Text(head, style="bold"))
        for pair in pairs if len(pairs) <= _FEW else ():
            name = f"{pair.measure.title}, {pair.first} minus {pair.second}"
            for seed in pair.seeds:
                told = ", ".join(filter(None, (name, seed.name)))
                label = fill(told, 34, initial_indent="  ", subsequent_indent="    ")
                figures = pair.size(seed), pair.interval(seed), p_value(seed.p)
                table.add_row(Text(label), *figures, style="" if pair.shown else "dim")
    table.caption = Text("\n".join(lines))
    return table if found else None


def _caption(results: ResultSet) -> str:
    lines = ["* in distribution; ± standard deviation over seeds, else the 95% interval"]
    said = [
        (verdict(method, domain), notes(method, domain))
        for domain in results.domains
        for method in results.methods
    ]
    if any(trust and trust.suspects for trust, _ in said):
        lines.append("(suspect): the attack may have failed; the page says why")
    if any(noted for _, noted in said):
        lines.append("(note): the page says what")
    if differing := results.settings[1]:
        lines.append(f"not measured alike, so not to be compared simply: {', '.join(differing)}")
    return "\n".join(lines)


def _label(method: MethodResults, domain: str, labels: Sequence[Measure]) -> Text:
    label = Text(f"  {method.name}")
    trust = verdict(method, domain)
    if trust and trust.suspects:
        label.append(" (suspect)", style="yellow")
    elif notes(method, domain):
        label.append(" (note)", style="yellow")
    for measure in labels:
        if cell := method.cell(domain, measure.key):
            told = f"{measure.title.lower()} {measure.show(cell.value)}"
            below = fill(told, 20, initial_indent="    ", subsequent_indent="    ")
            label.append(f"\n{below}", style="dim")
    return label


def _cell(results: ResultSet, domain: str, method: MethodResults, column: Measure) -> Text:
    cell = method.cell(domain, column.key)
    if cell is None:
        return Text("-", style="dim")
    wins = method.name in best(column, results, domain)
    text = Text(column.show(cell.value), style="bold" if wins else "")
    if cell.sd is None and column.unit != "rate":
        return text
    return text.append(f"\n{spread(column, cell)}", style="not bold dim")
