"""Writes the sentences that measures declare (`metrics/findings.py`) for results, each with its
criterion.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from lookright.drawing import listing, percent
from lookright.drawing.words import LISTED
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.stages.diagnostics import verdict
from lookright.metrics import Measure
from lookright.metrics.baselines import in_words
from lookright.metrics.classification import BALANCED_ACCURACY
from lookright.metrics.findings import AcrossDomains, AgainstBaselines, Kept, Levels
from lookright.metrics.findings import Finding as Declared
from lookright.metrics.measure import balancing, in_order
from lookright.report.baselines import against, baseline_range

NOTABLE_DROP = 0.10

_GUESSES = ("is", "are", " not shown to answer better than one class for every image would")

_BEST = (
    "A method is called best only where its interval lies clear of every other's; an interval is "
    "the 95% interval of one seed, or mean ± standard deviation over several. With few seeds this "
    "is a rough guide, not a test."
)
_CRITERIA: dict[type[Declared], str] = {
    AcrossDomains: "A method follows a shortcut where its accuracy in another domain is under half "
    "of that in distribution; it loses accuracy where it falls by at least 10 points. In both "
    "cases the two intervals must not overlap. It holds where it falls by less in every domain.",
    Kept: "A method breaks under attack where it keeps no more than half of its clean accuracy.",
    AgainstBaselines: "An explanation shows more than a baseline where, in every measure tested, "
    "it is better on more images than it is worse on, on the same images and the same model: the "
    "exact sign test at 5%, two-sided, in every seed.",
}


@dataclass(frozen=True)
class Finding:
    """A heading and the answer that the figures give, as HTML with the methods' names in bold."""

    heading: str
    answer: Markup


def findings(results: ResultSet) -> list[Finding]:
    """The sentences declared by the measures of these results, in the order of their questions.

    A sentence that several measures declare is written once, for all of them; one whose figures are
    missing is left out.
    """
    found = (
        Finding(heading, answer)
        for declared, measures in _declared(results).items()
        for heading, answer in _tell(results, declared, measures)
    )
    return list(found)


def criteria(results: ResultSet) -> list[str]:
    """The criterion of each kind of sentence that these results declare."""
    kinds = {type(declared) for declared in _declared(results)}
    return [*(words for kind, words in _CRITERIA.items() if kind in kinds), _BEST]


def _declared(results: ResultSet) -> dict[Declared, list[Measure]]:
    found: dict[Declared, list[Measure]] = {}
    for measure in in_order(results.measures):
        if measure.finding is not None:
            found.setdefault(measure.finding, []).append(measure)
    return found


def _tell(
    results: ResultSet, declared: Declared, measures: Sequence[Measure]
) -> Iterator[tuple[str, Markup]]:
    """The heading, with its domain, and the answer; nothing where there is no answer."""
    domain = results.home or results.domains[0]
    measure = balancing(measures[0], results.measures.values())
    heading = f"{declared.heading}, in “{domain}”"
    match declared:
        case AcrossDomains():
            heading, answer = declared.heading, _across_domains(results, measure)
        case Kept():
            answer = _kept(results, domain, measure, declared)
        case AgainstBaselines():
            answer = _against_baselines(results, domain, measures)
        case Levels():
            answer = _levels(results, domain, measure, declared)
    if answer:
        yield heading, answer


def _named(method: MethodResults, figures: str) -> Markup:
    return Markup("<b>{}</b> {}").format(method.name, figures)


def _across_domains(results: ResultSet, measure: Measure) -> Markup:
    fooled: dict[str, list[Markup]] = {}
    guessing, losing, holding, unsure = [], [], [], []
    for method in results.methods:
        home = results.home_of(method)
        at_home = method.cell(home, measure.key) if home else None
        others = {
            domain: cell
            for domain in results.domains
            if not method.in_distribution(domain)
            and (cell := method.cell(domain, measure.key)) is not None
        }
        if home is None or at_home is None or not others:
            continue
        if _guesses(method, home):
            guessing.append(_named(method, f"({percent(at_home.value)})"))
            continue
        half, near = at_home.value / 2, at_home.value - NOTABLE_DROP
        falls = {
            domain: cell
            for domain, cell in others.items()
            if cell.value < half or cell.value <= near
        }
        shown = {domain: cell for domain, cell in falls.items() if not cell.overlaps(at_home)}
        worst, away = _lowest(shown or falls or others)
        fall = f"{percent(at_home.value)} → {percent(away.value)} in “{worst}”"
        span = _named(method, f"({fall})")
        if not falls:
            holding.append(span)
        elif not shown:
            unsure.append(span)
        elif away.value < half:
            fooled.setdefault(home, []).append(span)
        else:
            losing.append(span)
    what = measure.title.lower()
    why = " a shortcut: what gave the answer in “{}” misleads elsewhere"
    return Markup(" ").join(
        (
            *(
                clause
                for home, spans in fooled.items()
                for clause in _clause(spans, "follows", "follow", why.format(home))
            ),
            *_clause(guessing, *_GUESSES),
            *_clause(losing, "loses", "lose", f" {what} when the domain changes"),
            *_clause(unsure, "is", "are", f" not shown to keep or to lose {what}"),
            *_clause(holding, "holds", "hold", " in every domain"),
        )
    )


def _lowest(cells: Mapping[str, Cell]) -> tuple[str, Cell]:
    return min(cells.items(), key=lambda of: of[1].value)


def _kept(results: ResultSet, domain: str, measure: Measure, declared: Kept) -> Markup:
    of = balancing(declared.of, results.measures.values())
    before = {method.name: cell for method, cell in results.cells(domain, of.key)}
    left = [
        (method, cell)
        for method, cell in results.cells(domain, measure.key)
        if method.name in before
    ]
    if not left:
        return Markup()
    broken: list[Markup] = []
    keeping: list[Markup] = []
    guessing: list[Markup] = []
    guessers = {method.name for method, _ in left if _guesses(method, domain)}
    for method, cell in left:
        first = before[method.name].value
        span = _named(method, f"({percent(first)} → {percent(cell.value)})")
        guesses = method.name in guessers
        (guessing if guesses else broken if cell.value <= first / 2 else keeping).append(span)
    what = of.title.lower()
    praise = f"{declared.praise}, every class counting alike" if of.balances else declared.praise
    doubted = [
        _named(method, f"({trust.reason})")
        for method, _ in left
        if (trust := verdict(method, domain)) and trust.suspects
    ]
    clauses = [
        *_clause(broken, "breaks", "break", ""),
        *_clause(guessing, *_GUESSES),
        *_clause(keeping, "keeps", "keep", f" more than half of the {what}"),
        _winner(
            [pair for pair in left if pair[0].name not in guessers],
            praise,
            results.unlike(domain, measure),
        ),
    ]
    if doubted:
        why = Markup("Suspect, since an attack may have failed: {}.")
        clauses.append(why.format(listing(doubted)))
    return Markup(" ").join(filter(None, clauses))


def _levels(results: ResultSet, domain: str, measure: Measure, declared: Levels) -> Markup:
    cells = results.cells(domain, measure.key)
    if not cells:
        return Markup()

    def show(value: float) -> str:
        return percent(value) if declared.percent else f"{value:.2f}"

    scale = [declared.scale] if declared.scale else []
    if name := declared.baseline:
        random = baseline_range(results, domain, name, measure)
        scale += [f"{in_words(name)}: {random}"] if random else []
    unlike = results.unlike(domain, measure)
    if measure.chance and (areas := results.cells(domain, measure.chance.key)):
        ends = [show(of(cell.value for _, cell in areas)) for of in (min, max)]
        scale.append(f"by chance {' to '.join(dict.fromkeys(ends))}")
        unlike = unlike or (None if ends[0] == ends[1] else "chance level")
    read = f" ({'; '.join(scale)})" if scale else ""
    figures = _figures(cells, show, lambda method: _beside(method, domain, declared, show))
    best = _winner(
        cells,
        declared.praise,
        unlike,
        lowest=measure.higher_is_better is False,
    )
    return Markup("{}{}: {}. {}").format(declared.says, read, figures, best).strip()


def _beside(
    method: MethodResults, domain: str, declared: Levels, show: Callable[[float], str]
) -> str:
    """The second measure of one method in brackets, '' where there is none."""
    if declared.beside is None:
        return ""
    measure, words = declared.beside
    cell = method.cell(domain, measure.key)
    return f" ({words.format(show(cell.value))})" if cell else ""


def _against_baselines(results: ResultSet, domain: str, measures: Sequence[Measure]) -> Markup:
    beating, failing = [], []
    for method in results.methods:
        tests = [(one, each) for one in measures for each in against(method, domain, one.key)]
        missed = [f"{one.title}: {each.words}" for one, each in tests if not each.better]
        if missed:
            failing.append(_named(method, f"({missed[0]})"))
        elif tests:
            beating.append(Markup("<b>{}</b>").format(method.name))
    shown = "the explanation shows more of what the model uses than maps that know nothing of it"
    clauses = [Markup("{}: {}.").format(listing(beating), shown)] if beating else []
    if failing:
        missing = Markup("Not shown to be better than a baseline: {}.")
        clauses.append(missing.format(listing(failing)))
    return Markup(" ").join(clauses)


def _guesses(method: MethodResults, domain: str) -> bool:
    """Whether it is not shown to answer better than one that gives every image the same class.

    That one has 1 / k on the k classes of the judged images; a domain may lack some of them.
    """
    cell = method.cell(domain, BALANCED_ACCURACY.key)
    classes = [here.judged_classes or len(run.classes) for run, here in method.within(domain)]
    return cell is not None and cell.low <= 1 / min(classes)


def _clause(named: Sequence[Markup], one: str, several: str, rest: str) -> list[Markup]:
    """'A and B lose ...' as the only item; none where nothing is named."""
    verb = one if len(named) == 1 else several
    return [Markup("{} {}{}.").format(listing(named), verb, rest)] if named else []


def _figures(
    cells: Sequence[tuple[MethodResults, Cell]],
    show: Callable[[float], str],
    beside: Callable[[MethodResults], str],
) -> Markup:
    """Every method's figure; of many, the highest first."""
    if len(cells) > LISTED:
        cells = sorted(cells, key=lambda pair: -pair[1].value)
    return Markup(
        listing([_named(method, show(cell.value) + beside(method)) for method, cell in cells])
    )


def _winner(
    cells: Sequence[tuple[MethodResults, Cell]],
    praise: str,
    unlike: str | None,
    *,
    lowest: bool = False,
) -> Markup:
    """Which method is best; unlike: in what they were not measured alike."""
    if len(cells) < 2:
        return Markup()
    if unlike:
        return Markup("Not all have the same {}, so none is called best.").format(unlike)
    if not all(cell.known for _, cell in cells):
        return Markup("One image gives no interval, so none is called best.")
    method, best = (min if lowest else max)(cells, key=lambda pair: pair[1].value)
    rivals = [
        Markup("<b>{}</b>").format(rival.name)
        for rival, cell in cells
        if rival is not method and cell.overlaps(best)
    ]
    if not rivals:
        return _named(method, f"{praise}, clear of the others.")
    return Markup(
        "<b>{}</b> has the {} figure, but its interval overlaps with {}, so none is called best."
    ).format(method.name, "lowest" if lowest else "highest", listing(rivals))
