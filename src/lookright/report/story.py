"""Sentences that say what the figures say: every claim has a criterion, printed with it."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """A question and the answer that the figures give."""

    question: str
    answer: str


def findings(comparison: Comparison) -> list[Finding]:
    """Up to four findings; one whose measures are missing is left out."""
    candidates = (_shift(comparison), _attack(comparison), _place(comparison), _stay(comparison))
    return [finding for finding in candidates if finding is not None]


def percent(value: float) -> str:
    """Whole per cent, except that neither 0% nor 100% is said of anything between."""
    whole = round(100 * value)
    if (whole == 0 and value > 0) or (whole == 100 and value < 1):
        return f"{100 * value:.1f}%"
    return f"{whole}%"


def listing(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


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
        span = f"{percent(at_home.value)} in ‘{home}’, {percent(away.value)} in ‘{worst}’"
        if apart and away.value < at_home.value / 2:
            fooled.append(f"{method.name} ({span})")
        elif apart and drop >= NOTABLE_DROP:
            losing.append(f"{method.name} ({span})")
        else:
            holding.append(f"{method.name} ({span})")
    clauses = []
    if fooled:
        verb = "follows" if len(fooled) == 1 else "follow"
        clauses.append(
            f"{listing(fooled)} {verb} a shortcut: "
            f"what gave the answer in ‘{home}’ misleads elsewhere."
        )
    if losing:
        verb = "loses" if len(losing) == 1 else "lose"
        clauses.append(f"{listing(losing)} {verb} accuracy when the domain changes.")
    if holding:
        verb = "holds" if len(holding) == 1 else "hold"
        clauses.append(f"{listing(holding)} {verb} in every domain.")
    return Finding("When the surroundings change", " ".join(clauses)) if clauses else None


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
    broken, keeping = [], []
    for method, cell in attacked:
        before = clean[method.name].value
        span = f"{method.name} ({percent(before)} to {percent(cell.value)})"
        (broken if cell.value < before / 2 else keeping).append(span)
    clauses = []
    if broken:
        verb = "breaks" if len(broken) == 1 else "break"
        clauses.append(f"{listing(broken)} {verb}.")
    if keeping:
        verb = "keeps" if len(keeping) == 1 else "keep"
        clauses.append(f"{listing(keeping)} {verb} at least half of the accuracy.")
    clauses.append(_winner(attacked, "is right most often under attack"))
    return Finding(f"Under attack, in ‘{domain}’", " ".join(filter(None, clauses)))


def _place(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "localisation_mass")
    areas = comparison.cells(domain, CHANCE)
    if not cells:
        return None
    method, best = max(cells, key=lambda pair: pair[1].value)
    answer = f"{percent(best.value)} of {method.name}’s explanation lies on the object"
    if areas:
        area = areas[0][1].value
        times = f", {best.value / area:.1f} times as much as chance" if area > 0 else ""
        answer += f"{times} (the object covers {percent(area)} of the image)"
    others = [f"{m.name} {percent(cell.value)}" for m, cell in cells if m is not method]
    if others:
        answer += f"; {listing(others)}"
    verdict = _winner(cells, "looks at the object most")
    return Finding(f"Where they look, in ‘{domain}’", f"{answer}. {verdict}".strip())


def _stay(comparison: Comparison) -> Finding | None:
    domain = comparison.home or comparison.domains[0]
    cells = comparison.cells(domain, "stability_cosine")
    if not cells:
        return None
    figures = [f"{method.name} {cell.value:.2f}" for method, cell in cells]
    verdict = _winner(cells, "keeps its explanation best")
    answer = f"Similarity of the explanation before and after (1 = unmoved): {listing(figures)}."
    return Finding(f"Whether they keep looking there, in ‘{domain}’", f"{answer} {verdict}".strip())


def _winner(cells: list[tuple[Method, Cell]], praise: str) -> str:
    if len(cells) < 2:
        return ""
    method, best = max(cells, key=lambda pair: pair[1].value)
    rivals = [m.name for m, cell in cells if m is not method and cell.overlaps(best)]
    if not rivals:
        return f"{method.name} {praise}, clear of the others."
    return (
        f"{method.name} has the highest figure, but its interval overlaps with "
        f"{listing(rivals)}: no difference is shown."
    )
