"""The stage of diagnostics: can the accuracy under attack be trusted, or did the attack fail?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lookright.diagnostics import Diagnosis, Diagnostic
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns
from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.attacks import ATTACKED, Attacks, right_at
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View


@dataclass(frozen=True)
class Diagnostics(Stage):
    """Checks for masked gradients and other ways in which the main attack may have failed.

    Args:
        images: about how many images of a domain the checks look at; a few hundred are enough.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Attacks,)
    place: ClassVar[int] = 20

    images: int = 256

    def check(self, protocol: Protocol) -> None:
        if self.images < 1:
            raise UserError(f"Diagnostics look at 1 image or more, got images={self.images}.")

    def diagnosis(self, protocol: Protocol, total: int) -> Diagnosis:
        """The checks of a domain with `total` images."""
        steps = protocol.stage(Attacks).steps
        return Diagnosis(protocol.ball, steps, share=min(1.0, self.images / total))

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return tuple(map(Column, self.diagnosis(protocol, 1).names))

    def see(self, view: View) -> Columns:
        found = self.diagnosis(view.protocol, view.total).see(
            view.model,
            view.batch.images,
            view.batch.labels,
            view[ATTACKED],
            view.generator("diagnosis"),
        )
        return {Column(name): of for name, of in found.items()}

    def summary(self, joined: Joined) -> list[Diagnostic]:
        protocol = joined.protocol
        radii = protocol.stage(Attacks).radii(protocol.ball)
        return self.diagnosis(protocol, joined.total).verdicts(
            {column.key: joined[column] for column in self.columns(protocol)},
            joined.model,
            {eps: joined[right_at(eps)] for eps in radii},
        )

    @classmethod
    def of(cls, here: DomainResult) -> tuple[Diagnostic, ...]:
        """The checks of a domain; none where it was not attacked."""
        return read_as(tuple[Diagnostic, ...], here.stages.get(cls.name, []))

    @classmethod
    def section(cls, results: ResultSet) -> Mapping[str, Any] | None:
        """The verdicts of the domains that have any."""
        found = verdicts(results)
        return {"trust": found} if found else None


@dataclass(frozen=True)
class Check:
    """One diagnostic over all seeds: suspect where any seed is."""

    name: str
    suspect: bool
    reasons: tuple[str, ...]

    @property
    def word(self) -> str:
        return "suspect" if self.suspect else "fine"

    @property
    def reason(self) -> str:
        return "; ".join(self.reasons)


@dataclass(frozen=True)
class Trust:
    """The outcome of all checks of a method's robust figures in one domain."""

    method: str
    checks: tuple[Check, ...]

    @property
    def suspects(self) -> list[Check]:
        return [check for check in self.checks if check.suspect]

    @property
    def word(self) -> str:
        return "suspect" if self.suspects else "fine"

    @property
    def reason(self) -> str:
        """The reasons of the suspect checks, or that there are none."""
        if self.suspects:
            return "; ".join(check.reason for check in self.suspects)
        return f"{', '.join(check.name for check in self.checks)}: nothing suspect"


def verdict(method: MethodResults, domain: str) -> Trust | None:
    """None where nothing was checked."""
    reasons: dict[str, list[str]] = {}
    suspect: set[str] = set()
    for run, here in method.within(domain):
        for each in Diagnostics.of(here):
            reasons.setdefault(each.name, []).append(method.of_seed(run, each.reason))
            suspect |= {each.name} if each.verdict == "suspect" else set()
    checks = tuple(Check(name, name in suspect, tuple(why)) for name, why in reasons.items())
    return Trust(method.name, checks) if checks else None


def notes(method: MethodResults, domain: str) -> tuple[str, ...]:
    """Warnings about a method in a domain, such as that its maps are empty."""
    return tuple(
        method.of_seed(run, warning)
        for run, here in method.within(domain)
        for warning in here.warnings
    )


def verdicts(results: ResultSet) -> dict[str, list[Trust]]:
    """The verdicts of every domain that has any, by domain."""
    found = {
        domain: [one for method in results.methods if (one := verdict(method, domain))]
        for domain in results.domains
    }
    return {domain: of for domain, of in found.items() if of}
