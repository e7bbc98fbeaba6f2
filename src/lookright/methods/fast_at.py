"""Fast adversarial training (Wong et al., ICLR 2020)."""

import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.methods.method import Method


class FastAT(Method):
    """L = CE(f(x'), y), x' by one step from a uniformly random point of the ball (Algorithm 3).

    A step costs two passes forward and back. It can overfit to its own attack and lose all other
    robustness, catastrophic overfitting in the paper's words: `fit` says so when it happens.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        eps: radius of the L-inf ball.
        step: length of the step, in eps; the paper's is 1.25 (10/255 at 8/255), and longer ones
            overfit there.

    Raises:
        UserError: eps or step out of range.
    """

    attack: Attack

    def __init__(self, model: nn.Module, eps: float = 8 / 255, step: float = 1.25) -> None:
        super().__init__(model)
        self.attack = PGD(eps, steps=1, step_size=step * eps)
        self.eps = eps
        self.step = step

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        attacked = self.attack(self.model, batch.images, batch.labels)
        return {"adversarial": F.cross_entropy(self.model(attacked), batch.labels)}
