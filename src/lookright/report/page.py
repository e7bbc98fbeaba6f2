"""The page: one offline HTML file that shows what the models learned to look at."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lookright import __version__
from lookright.evaluation.result import Result, read_result
from lookright.files import write_atomically
from lookright.report.baselines import baseline_names, in_short
from lookright.report.claims import claims
from lookright.report.columns import column_groups
from lookright.report.figures import STAR, Style, accuracy_panels, curve_panels, pixel_levels
from lookright.report.gallery import galleries
from lookright.report.grouping import Comparison, Method, compare
from lookright.report.heatmap import heat_maps
from lookright.report.manipulation import GOALS, manipulated_galleries
from lookright.report.removal import legend, removals, x_ticks, y_ticks
from lookright.report.story import CRITERIA, findings, listing
from lookright.report.tables import domain_tables, span
from lookright.report.verdicts import Trust, verdicts

DEFAULT_TITLE = "Does it look at the right thing, and keep looking there?"
EXAMPLES, MANIPULATED_EXAMPLES = 8, 4
MANY = 6
STYLES = ("style", "figures")

_ABOUT = {
    "ERM": "Ordinary training: the loss on the images as they are.",
    "AT": "Adversarial training: the loss on images changed so as to mislead the model.",
    "TRADES": "Adversarial training that weighs clean accuracy against robustness.",
    "EGAT": "Explanation-guided adversarial training: right under attack, "
    "and the explanation must not move.",
    "ALIGN": "The explanation follows an object mask that a second network learns.",
}


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
    groups, trust = column_groups(comparison), verdicts(comparison)
    curves = curve_panels(comparison)
    environment = Environment(
        loader=PackageLoader("lookright", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["in_short"] = in_short
    environment.filters["capfirst"] = lambda text: text[:1].upper() + text[1:]
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
        tables=domain_tables(comparison, groups),
        has_baselines=any(baseline_names(comparison, domain) for domain in comparison.domains),
        accuracy_panels=accuracy_panels(comparison),
        curve_panels=curves,
        star_path=STAR,
        starred=any(series.star for panel in curves for series in panel.series),
        heat=heat_maps(comparison),
        removal=removals(comparison),
        removal_legend=legend(comparison),
        removal_ticks=(x_ticks(), y_ticks()),
        claims=claims(comparison),
        galleries=galleries(comparison, _shown(EXAMPLES, comparison)),
        manipulated=manipulated_galleries(comparison, _shown(MANIPULATED_EXAMPLES, comparison)),
        goal_words=GOALS,
        settings=_settings(comparison.runs),
        trust=trust,
        suspects=_suspects(trust),
        version=__version__,
        css="".join(source.get_source(environment, f"{name}.css")[0] for name in STYLES),
        js=source.get_source(environment, "page.js")[0],
    )


def _about(method: Method) -> str:
    return method.runs[0].about or _ABOUT.get(method.name, "")


def _summary(comparison: Comparison) -> str:
    trained = dict.fromkeys(name for run in comparison.runs for name in run.train_domain)
    seeds = span(len(method.runs) for method in comparison.methods)
    parts = [_count(len(comparison.methods), "method"), f"{seeds} seed{'s' * (seeds != '1')} each"]
    if trained:
        parts.append(f"trained on {listing([f'“{name}”' for name in trained])}")
    parts.append(f"tested in {_count(len(comparison.domains), 'domain')}")
    eps = {eps_of(run) for run in comparison.runs}
    only = eps.pop() if len(eps) == 1 else None
    if only is not None:
        parts.append(f"attacked by changes of at most {pixel_levels(only)}/255")
    return f"{', '.join(parts)}."


def _shown(examples: int, comparison: Comparison) -> int:
    """Fewer images where many methods are shown on each, so that the page stays small."""
    return max(2, examples * MANY // max(len(comparison.methods), MANY))


def _suspects(trust: Mapping[str, Sequence[Trust]]) -> str:
    """'method in “domain”' for every verdict that says so; '' where none does."""
    found = [
        f"{one.method} in “{domain}”" for domain, of in trust.items() for one in of if one.suspects
    ]
    return listing(found) if found else ""


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


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"
