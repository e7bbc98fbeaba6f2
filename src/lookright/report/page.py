"""The page: one offline HTML file that shows what the models learned to look at."""

import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from inspect import getdoc, isclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lookright import __version__
from lookright.drawing import count, listing, p_value, span
from lookright.errors import UserError
from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.evaluation.result import Result, read_result
from lookright.evaluation.stages import Stage, all_stages
from lookright.evaluation.stages.attacks import ball_of, radius_in_words
from lookright.evaluation.stages.diagnostics import verdicts
from lookright.files import write_atomically
from lookright.methods import Method
from lookright.registry import already_imported, members
from lookright.report.baselines import baseline_names, in_short
from lookright.report.claims import claims
from lookright.report.columns import column_groups
from lookright.report.pairs import domain_pairs
from lookright.report.story import criteria, findings
from lookright.report.tables import domain_tables
from lookright.visible import visible

DEFAULT_TITLE = "Does it look at the right thing, and keep looking there?"
STYLES = ("style", "figures")


def write_page(
    results: Sequence[Path | str | Result], target: Path | str, title: str = DEFAULT_TITLE
) -> Path:
    """Write one self-contained HTML file about any number of results, or of their folders.

    Runs of the same name are seeds of one method. The file needs no network, and an existing one is
    replaced only when the new one is complete.

    Raises:
        UserError: no results, a damaged one, two of the same name and seed, or no place to write.
    """
    found = ResultSet.of(
        [each if isinstance(each, Result) else read_result(each) for each in results]
    )
    return write_atomically(target, render(found, title).encode("utf-8"))


def render(results: ResultSet, title: str) -> str:
    """The page as HTML text."""
    environment = page_environment()
    groups, pairs = column_groups(results), domain_pairs(results)
    common = {"results": results, "styles": results.styles}
    page = environment.get_template("template.html.j2").render(
        **common,
        title=title,
        about=[(method.name, _about(method)) for method in results.methods],
        summary=_summary(results),
        findings=findings(results),
        criteria=criteria(results),
        groups=groups,
        tables=domain_tables(results, groups),
        pairs=pairs,
        seeds_paired=any(
            len(pair.seeds) > 1 for of in pairs for _, found in of.measures for pair in found
        ),
        has_baselines=any(baseline_names(results, domain) for domain in results.domains),
        sections=list(_sections(environment, results, common)),
        claims=claims(results),
        settings=results.settings,
        checked=bool(verdicts(results)),
        suspects=_suspects(results),
    )
    return visible(page)


def page_environment() -> Environment:
    """The templates of this folder, with what every page is made of: version, css and js."""
    source = PackageLoader("lookright", "report")
    environment = Environment(
        loader=source,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "version": __version__,
        "css": "".join(source.get_source(environment, f"{name}.css")[0] for name in STYLES),
        "js": source.get_source(environment, "page.js")[0],
    }
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["p_value"] = p_value
    environment.filters["in_short"] = in_short
    environment.filters["capfirst"] = lambda text: text[:1].upper() + text[1:]
    return environment


def _sections(
    environment: Environment, results: ResultSet, common: dict[str, Any]
) -> Iterator[Markup]:
    """The sections of the stages, as HTML."""
    for stage in stages_of(results):
        context = stage.section(results)
        if context is not None:
            template = environment.from_string(stage.template().read_text(encoding="utf-8"))
            yield Markup(template.render(**common, **context))


def stages_of(results: ResultSet) -> list[type[Stage]]:
    """The library's stages, and your own that made any of the results, by their place.

    One of your own is left out, with a warning, unless its module is already imported: a result
    may come from anywhere, and does not decide which code runs here.
    """
    found = {stage.name: stage for stage in all_stages()}
    given = (run.settings.get("init_args", {}).get("stages", ()) for run in results.runs)
    for path in dict.fromkeys(stage["class_path"] for stages in given for stage in stages):
        try:
            stage = already_imported(path, "stage")
        except UserError as error:
            warnings.warn(f"The page has no section of the stage {path}: {error}", stacklevel=2)
            continue
        if isclass(stage) and issubclass(stage, Stage):
            found[stage.name] = stage
    return sorted(found.values(), key=lambda stage: (stage.place, stage.name))


def _about(method: MethodResults) -> str:
    """The result's own text, else the first line of the file of the method of that name."""
    published = members(Method).get(method.name)
    told = getdoc(sys.modules[published.__module__]) if published else None
    return method.runs[0].about or (told or "").partition("\n\n")[0].replace("\n", " ")


def _summary(results: ResultSet) -> str:
    trained = dict.fromkeys(name for run in results.runs for name in run.train_domain)
    seeds = span(len(method.runs) for method in results.methods)
    parts = [count(len(results.methods), "method"), f"{seeds} seed{'s' * (seeds != '1')} each"]
    if trained:
        parts.append(f"trained on {listing([f'“{name}”' for name in trained])}")
    parts.append(f"tested in {count(len(results.domains), 'domain')}")
    balls = {ball_of(run) for run in results.runs}
    only = balls.pop() if len(balls) == 1 else None
    if only is not None:
        parts.append(f"attacked by changes of at most {radius_in_words(*only)}")
    return f"{', '.join(parts)}."


def _suspects(results: ResultSet) -> str:
    """'method in “domain”' for every suspect verdict; '' where there is none."""
    found = [
        f"{one.method} in “{domain}”"
        for domain, of in verdicts(results).items()
        for one in of
        if one.suspects
    ]
    return listing(found) if found else ""
