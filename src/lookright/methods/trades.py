"""TRADES (Zhang et al., ICML 2019)."""

import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import PGD, Attack, KLDivergence
from lookright.batch import Batch
from lookright.methods.method import Method, check_weights


class TRADES(Method):
    """L = CE(f(x), y) + beta * KL(f(x) || f(x')), where x' maximises the KL (eq. 5).

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: computes x'; the default maximises the KL, as in the paper.
        beta: weight of the KL; 6 in the paper's CIFAR experiments.
    """

    attack: Attack

    def __init__(
        self,
        model: nn.Module,
        attack: Attack = PGD(objective=KLDivergence()),
        beta: float = 6.0,
    ) -> None:
        super().__init__(model)
        check_weights(beta=beta)
        self.attack = attack
        self.beta = beta

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        attacked = self.attacked(batch)
        clean, adversarial = self.model(x), self.model(attacked)
        stability = self.beta * answer_change(clean, adversarial)
        return {"clean": self.cross_entropy(clean, y), "stability": stability}


def answer_change(clean: Tensor, adversarial: Tensor) -> Tensor:
    """The mean of KL(clean || adversarial), of logits (B, K)."""
    return F.kl_div(
        adversarial.log_softmax(1), clean.log_softmax(1), log_target=True, reduction="batchmean"
    )
