"""The stage of diagnostics: can the robust figures be what a working attack would give."""

from dataclasses import dataclass
from typing import ClassVar

from lookright.diagnostics import Diagnosis, Diagnostic
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns
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
        images: of a domain, about how many the checks look at; a few hundred are enough.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Attacks,)

    images: int = 256

    def check(self, protocol: Protocol) -> None:
        if self.images < 1:
            raise UserError(f"Diagnostics look at 1 image or more, got images={self.images}.")

    def diagnosis(self, protocol: Protocol, total: int) -> Diagnosis:
        """The checks of a domain of so many images."""
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
        """The checks of a domain; none where there were no attacks to be checked."""
        return read_as(tuple[Diagnostic, ...], here.stages.get(cls.name, []))
