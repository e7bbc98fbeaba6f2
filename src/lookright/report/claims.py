"""Claims as sentences that can be quoted."""

from collections.abc import Iterator
from dataclasses import dataclass

from lookright.claims import sentences
from lookright.drawing import Style
from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.evaluation.places import home_of
from lookright.evaluation.stages.claims import Claims as Stage


@dataclass(frozen=True)
class Claims:
    """The claims about one method in one domain; the seed is named where there are several."""

    method: str
    style: Style
    sentences: tuple[str, ...]


def claims(results: ResultSet) -> dict[str, list[Claims]]:
    """By domain; one without claims is left out."""
    found: dict[str, list[Claims]] = {}
    for index, method in enumerate(results.methods):
        said: dict[str, list[str]] = {}
        for domain, sentence in _said(method, results):
            said.setdefault(domain, []).append(sentence)
        for domain, here in said.items():
            claim = Claims(method.name, Style.of(index), tuple(here))
            found.setdefault(domain, []).append(claim)
    order = {domain: place for place, domain in enumerate(results.domains)}
    return dict(sorted(found.items(), key=lambda each: order.get(each[0], len(order))))


def _said(method: MethodResults, results: ResultSet) -> Iterator[tuple[str, str]]:
    """(domain, sentence) of its results, then of `lookright claim` in the folders of its runs."""
    for domain in results.domains:
        for run, here in method.within(domain):
            for claim in Stage.of(here):
                yield domain, method.of_seed(run, claim.sentence)
    for run in method.runs:
        if run.saved is None:
            continue
        folder = home_of(run.saved)
        weights = (run.config.get("judged") or {}).get("weights")
        for domain, claimed in sentences(folder / "claims.json", weights).items():
            for sentence in claimed:
                yield domain, method.of_seed(run, sentence)
