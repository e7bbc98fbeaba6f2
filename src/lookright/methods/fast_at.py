"""Fast adversarial training (Wong et al., ICLR 2020)."""

from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.methods.method import Method


class FastAT(Method):
    """L = CE(f(x'), y), with x' from one step at a random start in the ball (algorithm 3).

    The start is uniform in the ball. A training step costs two forward and backward passes. The
    method can overfit to its own attack and lose all other robustness ("catastrophic overfitting");
    `fit` warns when this happens.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        eps: radius of the L-inf ball.
        step: length of the step in units of eps; 1.25 in the paper (10/255 for eps 8/255), where
            longer steps overfit.

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
        attacked = self.attacked(batch)
        return {"adversarial": self.cross_entropy(self.model(attacked), batch.labels)}
