"""Sentences that say what the figures say: every claim has a criterion, printed with it."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lookright.report.columns import CHANCE
from lookright.report.grouping import Cell, Comparison, Method

NOTABLE_DROP = 0.10

CRITERIA = (
    "A method follows a shortcut where its accuracy in another domain is under half of that in "
    "distribution; it loses where the fall is at least 10 points. In both cases the two intervals "
    "must not overlap. Otherwise it holds.",
    "A method breaks under attack where it keeps less than half of its clean accuracy.",
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
    """Up to five findings; one whose measures are missing is left out."""
    questions = (_shift, _attack, _place, _stay, _mask)
    candidates = (question(comparison) for question in questions)
    return [finding for finding in candidates if finding is not None]


def percent(value: float) -> str:
    """Whole per cent, except that neither 0% nor 100% is said of anything between."""
    whole = round(100 * value)
    if (whole == 0 and value > 0) or (whole == 100 and value < 1):
        return f"{100 * value:.1f}%"
    return f"{whole}%"


def listing(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'; of Markup where the items are."""
    *before, last = items
    return type(last)(", ").join(before) + " and " + last if before else last


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
        (broken if cell.value < before / 2 else keeping).append(span)
    clauses = []
    if broken:
        verb = "breaks" if len(broken) == 1 else "break"
        clauses.append(f"{listing(broken)} {verb}.")
    if keeping:
        verb = "keeps" if len(keeping) == 1 else "keep"
        clauses.append(f"{listing(keeping)} {verb} at least half of the accuracy.")
    clauses.append(_winner(attacked, "is right most often under attack"))
    return Finding(f"Under attack, in “{domain}”", Markup(" ".join(clauses).strip()))


def _place(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "localisation_mass")
    if not cells:
        return None
    shares = listing([_named(method, percent(cell.value)) for method, cell in cells])
    chance = _chance(comparison, domain)
    answer = f"Of the explanation, this much lies on the object{chance}: {shares}."
    verdict = _winner(cells, "looks at the object most")
    return Finding(f"Where they look, in “{domain}”", Markup(f"{answer} {verdict}".strip()))


def _stay(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "stability_cosine")
    if not cells:
        return None
    figures = listing([_named(method, f"{cell.value:.2f}") for method, cell in cells])
    answer = f"Similarity of the explanation before and after the attack (1: unmoved): {figures}."
    verdict = _winner(cells, "keeps its explanation best")
    return Finding(
        f"Whether they keep looking there, in “{domain}”", Markup(f"{answer} {verdict}".strip())
    )


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


def _winner(cells: list[tuple[Method, Cell]], praise: str) -> Markup:
    if len(cells) < 2:
        return Markup("")
    method, best = max(cells, key=lambda pair: pair[1].value)
    rivals = [
        Markup("<b>{}</b>").format(rival.name)
        for rival, cell in cells
        if rival is not method and cell.overlaps(best)
    ]
    if not rivals:
        return _named(method, f"{praise}, clear of the others.")
    return Markup(
        "<b>{}</b> has the highest figure, but its interval overlaps with {}: "
        "no difference is shown."
    ).format(method.name, listing(rivals))
