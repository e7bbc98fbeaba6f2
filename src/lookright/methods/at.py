"""Adversarial training (Madry et al., ICLR 2018)."""

from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.methods.method import Method


class AT(Method):
    """L = CE(f(x'), y), with x' from the attack (eq. 2.1).

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: computes x'; by default with eps 8/255 and steps of 2/255 as in the paper's CIFAR
            setting, and 10 steps, as is common today.
    """

    attack: Attack

    def __init__(self, model: nn.Module, attack: Attack = PGD()) -> None:
        super().__init__(model)
        self.attack = attack

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        attacked = self.attacked(batch)
        return {"adversarial": self.cross_entropy(self.model(attacked), batch.labels)}
