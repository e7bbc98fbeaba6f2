"""MART: misclassification-aware adversarial training (Wang et al., ICLR 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.methods.method import Method, check_weights


class MART(Method):
    """L = BCE(f(x'), y) + beta * mean KL(f(x) || f(x')) (1 - p_y(x)).

    BCE(f(x'), y) = -log p_y(x') - log(1.0001 - max_{k != y} p_k(x')), the boosted cross-entropy,
    also lowers the probability of the most likely wrong class. The paper has 1 instead of the
    1.0001 of the authors' code, which bounds the loss of a hopelessly misclassified image. The
    weight 1 - p_y(x) puts the KL on images that are not yet classified well without attack; it has
    a gradient too, as in the authors' code.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: computes x'; the default is the paper's: eps 8/255, 10 steps of eps/4.
        beta: weight of the KL, the paper's lambda; 5 in its experiments.
    """

    attack: Attack

    def __init__(
        self,
        model: nn.Module,
        attack: Attack = PGD(),
        beta: float = 5.0,
    ) -> None:
        super().__init__(model)
        check_weights(beta=beta)
        self.attack = attack
        self.beta = beta

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        attacked = self.attacked(batch)
        clean, adversarial = self.model(x), self.model(attacked)
        moved = F.kl_div(
            adversarial.log_softmax(1), clean.log_softmax(1), log_target=True, reduction="none"
        ).sum(1)
        wrong = 1 - clean.softmax(1).gather(1, y[:, None])[:, 0]
        return {
            "adversarial": boosted_cross_entropy(adversarial, y, self.label_smoothing),
            "stability": self.beta * (moved * wrong).mean(),
        }


def boosted_cross_entropy(logits: Tensor, y: Tensor, smoothing: float = 0.0) -> Tensor:
    """The mean of -log p_y - log(1.0001 - max_{k != y} p_k), of logits (B, K) and labels (B,).

    smoothing: of the labels in the first part. Half precision, in which 1.0001 is 1, is computed in
    float32.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    label = F.one_hot(y, logits.shape[1]).bool()
    rival = logits.softmax(1).masked_fill(label, 0).amax(1)
    return F.cross_entropy(logits, y, label_smoothing=smoothing) - (1.0001 - rival).log().mean()
