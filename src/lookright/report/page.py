"""The page: one offline HTML file that shows what the models learned to look at."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lookright import __version__
from lookright.files import write_atomically
from lookright.report.columns import CHANCE, CHANCE_OF, Column, ColumnGroup, column_groups
from lookright.report.figures import Style, accuracy_panels, curve_panels, pixel_levels
from lookright.report.gallery import galleries
from lookright.report.grouping import Cell, Comparison, Method, compare
from lookright.report.story import CRITERIA, findings, listing
from lookright.result import Result, read_result

DEFAULT_TITLE = "Does it look at the right thing, and keep looking there?"
EXAMPLES = 8

_ABOUT = {
    "ERM": "Ordinary training: the loss on the images as they are.",
    "AT": "Adversarial training: the loss on images changed so as to mislead the model.",
    "TRADES": "Adversarial training that weighs clean accuracy against robustness.",
    "EGAT": "Explanation-guided adversarial training: right under attack, "
    "and the explanation must not move.",
    "ALIGN": "The explanation follows an object mask that a second network learns.",
}


@dataclass(frozen=True)
class TableRow:
    """A method's cells in the order of the columns; None where it lacks the measure."""

    method: Method
    style: Style
    cells: tuple[Cell | None, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class DomainTable:
    """The table of one domain; `best` holds (method name, measure key) pairs."""

    domain: str
    in_distribution: bool
    n: str
    rows: tuple[TableRow, ...]
    best: frozenset[tuple[str, str]]
    chance: Cell | None


def write_page(results: Sequence[Path], target: Path, title: str = DEFAULT_TITLE) -> Path:
    """Write one self-contained HTML file about any number of result folders.

    Runs of the same name are seeds of one method. The file asks the network for nothing, and an
    existing one is replaced only when the new one is complete.

    Raises:
        UserError: no results, a damaged one, two of the same name and seed, or no place to write.
    """
    comparison = compare([read_result(Path(folder)) for folder in results])
    return write_atomically(Path(target), render(comparison, title).encode("utf-8"))


def render(comparison: Comparison, title: str) -> str:
    """The page as HTML text."""
    groups = column_groups(comparison)
    environment = Environment(
        loader=PackageLoader("lookright", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    source = environment.loader
    assert source is not None
    return environment.get_template("template.html.j2").render(
        title=title,
        comparison=comparison,
        styles={method.name: Style.of(i) for i, method in enumerate(comparison.methods)},
        about=[(method.name, _about(method)) for method in comparison.methods],
        summary=_summary(comparison),
        findings=findings(comparison),
        criteria=CRITERIA,
        groups=groups,
        tables=[_table(comparison, domain, groups) for domain in comparison.domains],
        chance_of=CHANCE_OF,
        accuracy_panels=accuracy_panels(comparison),
        curve_panels=curve_panels(comparison),
        galleries=galleries(comparison, EXAMPLES),
        settings=_settings(comparison.runs),
        suspects=[
            (method.name, domain, warning)
            for method in comparison.methods
            for domain in comparison.domains
            for warning in method.warnings(domain)
        ],
        version=__version__,
        css=source.get_source(environment, "style.css")[0],
        js=source.get_source(environment, "page.js")[0],
    )


def _about(method: Method) -> str:
    return method.runs[0].about or _ABOUT.get(method.name, "")


def _summary(comparison: Comparison) -> str:
    trained = dict.fromkeys(name for run in comparison.runs for name in run.train_domain)
    seeds = _range(len(method.runs) for method in comparison.methods)
    parts = [_count(len(comparison.methods), "method"), f"{seeds} seed{'s' * (seeds != '1')} each"]
    if trained:
        parts.append(f"trained on {listing([f'“{name}”' for name in trained])}")
    parts.append(f"tested in {_count(len(comparison.domains), 'domain')}")
    eps = {run.settings.get("eps") for run in comparison.runs}
    only = eps.pop() if len(eps) == 1 else None
    if isinstance(only, int | float):
        parts.append(f"attacked by changes of at most {pixel_levels(only)}/255")
    return f"{', '.join(parts)}."


def _table(comparison: Comparison, domain: str, groups: Sequence[ColumnGroup]) -> DomainTable:
    columns: list[Column] = [column for group in groups for column in group.columns]
    rows = tuple(
        TableRow(
            method,
            Style.of(index),
            tuple(method.cell(domain, column.key) for column in columns),
            tuple(method.warnings(domain)),
        )
        for index, method in enumerate(comparison.methods)
        if any(domain in run.domains for run in method.runs)
    )
    areas = comparison.cells(domain, CHANCE)
    return DomainTable(
        domain=domain,
        in_distribution=comparison.in_distribution(domain),
        n=_range(run.domains[domain].n for run in comparison.runs if domain in run.domains),
        rows=rows,
        best=frozenset(
            (name, column.key) for column in columns for name in column.best(comparison, domain)
        ),
        chance=areas[0][1] if areas and any(c.key in CHANCE_OF for c in columns) else None,
    )


def _settings(runs: Sequence[Result]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Settings that all runs share, and the others as {setting: {run: value}}, as printed."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    common, differing = {}, {}
    for key in keys:
        values = {f"{run.name}, seed {run.seed}": _setting(key, run) for run in runs}
        first, *others = values.values()
        if all(other == first for other in others):
            common[key] = first
        else:
            differing[key] = values
    return common, differing


def _setting(key: str, run: Result) -> str:
    value = run.settings.get(key)
    if key == "eps" and isinstance(value, int | float):
        return f"{pixel_levels(value)}/255"
    if key == "curve_eps" and isinstance(value, list):
        return f"{', '.join(pixel_levels(eps) for eps in value)} (/255)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}\N{EN DASH}{found[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
