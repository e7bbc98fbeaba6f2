"""Whether a method's robust figures can be trusted: one word, with the reasons."""

from dataclasses import dataclass

from lookright.evaluation.grouping import MethodResults, ResultSet
from lookright.evaluation.stages.diagnostics import Diagnostics

_OLD = "suspect: "


@dataclass(frozen=True)
class Check:
    """One diagnostic, over the seeds: suspect where it is so for any; `name` is '' for a warning
    of results that had no diagnostics yet."""

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
    """What all checks of a method's robust figures in one domain come to."""

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
        for warning in here.warnings:
            if warning.startswith(_OLD):
                reason = method.of_seed(run, warning.removeprefix(_OLD))
                reasons.setdefault("", []).append(reason)
                suspect.add("")
    checks = tuple(Check(name, name in suspect, tuple(why)) for name, why in reasons.items())
    return Trust(method.name, checks) if checks else None


def notes(method: MethodResults, domain: str) -> tuple[str, ...]:
    """What else is to be known of a method in a domain, such as that its maps are empty."""
    return tuple(
        method.of_seed(run, warning)
        for run, here in method.within(domain)
        for warning in here.warnings
        if not warning.startswith(_OLD)
    )


def verdicts(results: ResultSet) -> dict[str, list[Trust]]:
    """The verdicts of every domain that has any, by domain."""
    found = {
        domain: [one for method in results.methods if (one := verdict(method, domain))]
        for domain in results.domains
    }
    return {domain: of for domain, of in found.items() if of}
