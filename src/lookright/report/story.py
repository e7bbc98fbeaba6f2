"""Sentences that say what the figures say: every claim has a criterion, printed with it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lookright.report.baselines import against, baseline_range
from lookright.report.columns import CHANCE, Column, column, column_groups
from lookright.report.grouping import Cell, Comparison, Method
from lookright.report.verdicts import verdict

NOTABLE_DROP = 0.10
LISTED = 8
_FAITHFUL = ("comprehensiveness_", "deletion_")

CRITERIA = (
    "A method follows a shortcut where its accuracy in another domain is under half of that in "
    "distribution; it loses where the fall is at least 10 points. In both cases the two intervals "
    "must not overlap. Otherwise it holds.",
    "A method breaks under attack where it keeps no more than half of its clean accuracy.",
    "An explanation shows more than a baseline where, by every comprehensiveness and deletion that "
    "was measured, it is better than the baseline's on more of the same images, on the same model: "
    "the exact sign test at 5%, two-sided, in every seed.",
    "A method is called best only where its interval lies clear of every other's; an interval is "
    "the 95% interval of one seed, or mean ± standard deviation over several. With few seeds this "
    "is a rough guide, not a test.",
)


@dataclass(frozen=True)
class Finding:
    """A question and the answer that the figures give, as HTML with the methods' names in bold."""

    question: str
    answer: Markup


def findings(comparison: Comparison) -> list[Finding]:
    """Up to seven findings; one whose measures are missing is left out."""
    questions = (_shift, _attack, _place, _stay, _manipulate, _faithful, _mask)
    candidates = (question(comparison) for question in questions)
    return [finding for finding in candidates if finding is not None]


def percent(value: float) -> str:
    """Whole per cent, except that neither 0% nor 100% is said of anything between."""
    whole = round(100 * value)
    if (whole == 0 and value > 0) or (whole == 100 and value < 1):
        return f"{100 * value:.1f}%"
    return f"{whole}%"


def listing(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c', of Markup where the items are; the last of many are counted."""
    if len(items) > LISTED:
        others = f"{len(items) - LISTED + 1} others"
        items = [*items[: LISTED - 1], type(items[0])(others)]
    *before, last = items
    return type(last)(", ").join(before) + " and " + last if before else last


def _figures(cells: Sequence[tuple[Method, Cell]], show: Callable[[float], str]) -> Markup:
    """Every method's figure; of many, the highest first."""
    if len(cells) > LISTED:
        cells = sorted(cells, key=lambda pair: -pair[1].value)
    return Markup(listing([_named(method, show(cell.value)) for method, cell in cells]))


def _named(method: Method, figures: str) -> Markup:
    return Markup("<b>{}</b> {}").format(method.name, figures)


def _shift(comparison: Comparison) -> Finding | None:
    home = comparison.home
    if home is None:
        return None
    fooled, losing, holding = [], [], []
    for method, at_home in comparison.cells(home, "accuracy"):
        others = {
            domain: cell
            for domain in comparison.domains
            if not comparison.in_distribution(domain)
            and (cell := method.cell(domain, "accuracy")) is not None
        }
        if not others:
            continue
        worst = min(others, key=lambda domain: others[domain].value)
        away = others[worst]
        drop, apart = at_home.value - away.value, away.high < at_home.low
        fall = f"{percent(at_home.value)} → {percent(away.value)} in “{worst}”"
        span = _named(method, f"({fall})")
        if apart and away.value < at_home.value / 2:
            fooled.append(span)
        elif apart and drop >= NOTABLE_DROP:
            losing.append(span)
        else:
            holding.append(span)
    clauses = []
    if fooled:
        verb = "follows" if len(fooled) == 1 else "follow"
        why = Markup("what gave the answer in “{}” misleads elsewhere").format(home)
        clauses.append(f"{listing(fooled)} {verb} a shortcut: {why}.")
    if losing:
        verb = "loses" if len(losing) == 1 else "lose"
        clauses.append(f"{listing(losing)} {verb} accuracy when the domain changes.")
    if holding:
        verb = "holds" if len(holding) == 1 else "hold"
        clauses.append(f"{listing(holding)} {verb} in every domain.")
    if not clauses:
        return None
    return Finding("When the surroundings change", Markup(" ".join(clauses)))


def _attack(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    clean = {method.name: cell for method, cell in comparison.cells(domain, "accuracy")}
    attacked = [
        (method, cell)
        for method, cell in comparison.cells(domain, "accuracy_adversarial")
        if method.name in clean
    ]
    if not attacked:
        return None
    broken: list[Markup] = []
    keeping: list[Markup] = []
    for method, cell in attacked:
        before = clean[method.name].value
        span = _named(method, f"({percent(before)} → {percent(cell.value)})")
        (broken if cell.value <= before / 2 else keeping).append(span)
    clauses = []
    if broken:
        verb = "breaks" if len(broken) == 1 else "break"
        clauses.append(f"{listing(broken)} {verb}.")
    if keeping:
        verb = "keeps" if len(keeping) == 1 else "keep"
        clauses.append(f"{listing(keeping)} {verb} more than half of the accuracy.")
    clauses.append(_winner(attacked, "is right most often under attack"))
    if suspect := [
        _named(method, f"({trust.reason})")
        for method, _ in attacked
        if (trust := verdict(method, domain)) and trust.suspects
    ]:
        clauses.append(f"Suspect, since an attack may have failed: {listing(suspect)}.")
    return Finding(f"Under attack, in “{domain}”", Markup(" ".join(clauses).strip()))


def _place(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "localisation_mass")
    if not cells:
        return None
    shares = _figures(cells, percent)
    chance = _chance(comparison, domain)
    answer = f"Of the explanation, this much lies on the object{chance}: {shares}."
    verdict = _winner(cells, "looks at the object most")
    return Finding(f"Where they look, in “{domain}”", Markup(f"{answer} {verdict}".strip()))


def _stay(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "stability_cosine")
    if not cells:
        return None
    figures = _figures(cells, lambda value: f"{value:.2f}")
    random = baseline_range(comparison, domain, "random", column("stability_cosine"))
    scale = f"1: unmoved{random and f'; a random map: {random}'}"
    answer = f"Similarity of the explanation before and after the attack ({scale}): {figures}."
    verdict = _winner(cells, "keeps its explanation best")
    return Finding(
        f"Whether they keep looking there, in “{domain}”", Markup(f"{answer} {verdict}".strip())
    )


def _manipulate(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "manipulated_topk")
    if not cells:
        return None
    answer = (
        "With the answer kept, an attack on the explanation drives out this much of its most "
        "salient places (90%: as good as another map): "
    )
    verdict = _winner(cells, "can be manipulated least", lowest=True)
    return Finding(
        f"How far the explanation can be manipulated, in “{domain}”",
        Markup(f"{answer}{_figures(cells, percent)}. {verdict}".strip()),
    )


def _faithful(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    columns = [
        column
        for group in column_groups(comparison)
        for column in group.columns
        if column.key.startswith(_FAITHFUL)
    ]
    beating, failing = [], []
    for method in comparison.methods:
        judged, missed = _against_baselines(method, domain, columns)
        if missed:
            failing.append(_named(method, f"({missed})"))
        elif judged:
            beating.append(Markup("<b>{}</b>").format(method.name))
    clauses = []
    if beating:
        clauses.append(
            f"{listing(beating)}: the explanation shows more of what the model uses than maps that "
            "know nothing of it."
        )
    if failing:
        clauses.append(f"Not shown to be better than a baseline: {listing(failing)}.")
    if not clauses:
        return None
    return Finding(
        f"Whether the explanation shows what the model uses, in “{domain}”",
        Markup(" ".join(clauses)),
    )


def _against_baselines(
    method: Method, domain: str, columns: Sequence[Column]
) -> tuple[bool, str | None]:
    """Whether there was anything to compare, and the first measure that misses a baseline."""
    tests = [
        (measure, each) for measure in columns for each in against(method, domain, measure.key)
    ]
    missed = (f"{measure.title}: {each.words}" for measure, each in tests if not each.better)
    return bool(tests), next(missed, None)


def _mask(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "mask_mass")
    if not cells:
        return None
    covered = {method.name: cell for method, cell in comparison.cells(domain, "mask_coverage")}
    shares = []
    for method, cell in cells:
        of_image = covered.get(method.name)
        more = f" (covers {percent(of_image.value)} of the image)" if of_image else ""
        shares.append(_named(method, f"{percent(cell.value)}{more}"))
    chance = _chance(comparison, domain)
    answer = f"Of the learned mask, this much lies on the object{chance}: {listing(shares)}."
    verdict = _winner(cells, "has the mask most on the object")
    return Finding(
        f"What the learned masks show, in “{domain}”", Markup(f"{answer} {verdict}".strip())
    )


def _chance(comparison: Comparison, domain: str) -> str:
    areas = comparison.cells(domain, CHANCE)
    return f" (by chance {percent(areas[0][1].value)}, its share of the image)" if areas else ""


def _winner(cells: Sequence[tuple[Method, Cell]], praise: str, *, lowest: bool = False) -> Markup:
    if len(cells) < 2:
        return Markup("")
    method, best = (min if lowest else max)(cells, key=lambda pair: pair[1].value)
    rivals = [
        Markup("<b>{}</b>").format(rival.name)
        for rival, cell in cells
        if rival is not method and cell.overlaps(best)
    ]
    if not rivals:
        return _named(method, f"{praise}, clear of the others.")
    return Markup(
        "<b>{}</b> has the {} figure, but its interval overlaps with {}: no difference is shown."
    ).format(method.name, "lowest" if lowest else "highest", listing(rivals))
