"""Certificates as the sentences that can be quoted."""

from dataclasses import dataclass

from lookright.report.figures import Style
from lookright.report.grouping import Comparison


@dataclass(frozen=True)
class Claims:
    """What can be claimed of one method in one domain, the seed named where there are several."""

    method: str
    style: Style
    sentences: tuple[str, ...]


def claims(comparison: Comparison) -> dict[str, list[Claims]]:
    """By domain; one without certificates is left out."""
    found: dict[str, list[Claims]] = {}
    for domain in comparison.domains:
        for index, method in enumerate(comparison.methods):
            sentences = tuple(
                method.of_seed(run, certificate.sentence)
                for run, here in method.within(domain)
                for certificate in here.certificates
            )
            if sentences:
                found.setdefault(domain, []).append(Claims(method.name, Style.of(index), sentences))
    return found
