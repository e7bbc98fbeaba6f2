"""The comparison for a terminal: the main measures, domain by domain."""

from collections.abc import Sequence
from textwrap import fill

from rich import box
from rich.table import Table
from rich.text import Text

from lookright.evaluation.result import Result
from lookright.report.baselines import baseline_names, baseline_range, in_words
from lookright.report.columns import Column, column_groups
from lookright.report.grouping import Comparison, Method, compare
from lookright.report.verdicts import notes, verdict

MAIN = (
    "accuracy",
    "accuracy_adversarial",
    "localisation_mass",
    "stability_cosine",
    "comprehensiveness_mean",
)


def method_table(results: Sequence[Result]) -> Table:
    """Methods by main measures in sections of one domain each, at most 80 characters wide.

    Several seeds print as mean ± sd, one seed as the figure, a rate with its 95% interval; the best
    figure of a column, as printed, is bold. Below stand the baselines, which know nothing of the
    model. The page has all measures and intervals.

    Raises:
        UserError: no results, or two of the same name and seed.
    """
    comparison = compare(results)
    columns = sorted(
        (c for group in column_groups(comparison) for c in group.columns if c.key in MAIN),
        key=lambda column: MAIN.index(column.key),
    )
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption=_caption(comparison),
        caption_justify="left",
    )
    table.add_column("Domain, method", max_width=20, overflow="fold")
    for column in columns:
        whole = column.title.replace("Comprehensiveness", "Comprehen-siveness")
        title = fill(f"{whole} {column.arrow}", width=12, break_long_words=False)
        table.add_column(Text(title), justify="right")
    for domain in comparison.domains:
        star = " *" if comparison.in_distribution(domain) else ""
        table.add_row(Text(f"{domain}{star}", style="bold"))
        for method in comparison.methods:
            if any(domain in run.domains for run in method.runs):
                cells = (_cell(comparison, domain, method, column) for column in columns)
                table.add_row(_label(method, domain), *cells)
        for name in baseline_names(comparison, domain):
            spans = [baseline_range(comparison, domain, name, column) for column in columns]
            if any(spans):
                label = fill(in_words(name), 20, initial_indent="  ", subsequent_indent="  ")
                table.add_row(Text(label), *spans, style="dim")
        table.add_section()
    return table


def _caption(comparison: Comparison) -> str:
    lines = ["* in distribution; ± standard deviation over seeds, else the 95% interval"]
    if any(comparison.cells(domain, "mask_mass") for domain in comparison.domains):
        lines.append("mask mass: share of the learned mask that lies on the object")
    said = [
        (verdict(method, domain), notes(method, domain))
        for domain in comparison.domains
        for method in comparison.methods
    ]
    if any(trust and trust.suspects for trust, _ in said):
        lines.append("(suspect): the attack may have failed; the page says why")
    if any(noted for _, noted in said):
        lines.append("(note): the page says what")
    return "\n".join(lines)


def _label(method: Method, domain: str) -> Text:
    label = Text(f"  {method.name}")
    trust = verdict(method, domain)
    if trust and trust.suspects:
        label.append(" (suspect)", style="yellow")
    elif notes(method, domain):
        label.append(" (note)", style="yellow")
    if mask := method.cell(domain, "mask_mass"):
        label.append(f"\n    mask mass {mask.value:.3f}", style="dim")
    return label


def _cell(comparison: Comparison, domain: str, method: Method, column: Column) -> Text:
    cell = method.cell(domain, column.key)
    if cell is None:
        return Text("-", style="dim")
    best = method.name in column.best(comparison, domain)
    text = Text(column.show(cell.value), style="bold" if best else "")
    if cell.sd is None and column.unit != "rate":
        return text
    return text.append(f"\n{column.spread(cell)}", style="not bold dim")
