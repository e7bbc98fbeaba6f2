"""The stage of claims: exact lower bounds that hold for images that were not seen."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lookright.claims import Claim, claim_values
from lookright.claims.values import check_tau
from lookright.evaluation.column import Columns
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.answers import RIGHT, Answers
from lookright.evaluation.stages.attacks import KEPT, STAYS, Attacks
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.perturbations import attack_in_words
from lookright.statistics.bounds import check_delta


@dataclass(frozen=True)
class Claims(Stage):
    """Exact bounds on the shares of right answers and of explanations that the main attack leaves.

    Args:
        tau: an explanation counts as kept if its cosine with the clean one is tau or more.
        delta: the claims of a domain hold together with probability 1 - delta.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Answers, Attacks)

    tau: float = 0.8
    delta: float = 0.05

    def check(self, protocol: Protocol) -> None:
        check_tau(self.tau)
        check_delta(self.delta)

    def see(self, view: View) -> Columns:
        """Nothing of its own: the attacks have found all that it needs."""
        return {}

    def summary(self, joined: Joined) -> tuple[Claim, ...]:
        """The claims; an image that the model answers wrongly, with NaN or infinity is not kept,
        since the attack is on the label."""
        protocol = joined.protocol
        stays = joined[STAYS].where(joined[RIGHT].bool(), torch.nan)
        kept, stays = (
            torch.cat([values, values.new_zeros(joined.unanswered)])
            for values in (joined[KEPT], stays)
        )
        return claim_values(
            kept,
            stays,
            perturbation=attack_in_words(protocol.stage(Attacks).main(protocol.ball)),
            delta=self.delta,
            tau=self.tau,
            similarity_name=f"cosine of {type(protocol.explainer).__name__}",
            distribution=f'the domain "{joined.domain}"',
            right=True,
        )

    @classmethod
    def of(cls, here: DomainResult) -> tuple[Claim, ...]:
        """The claims of a domain."""
        return read_as(tuple[Claim, ...], here.stages.get(cls.name, []))
