"""Adversarial training for free (Shafahi et al., NeurIPS 2019)."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from lookright.attacks import FGSM, Attack, Ball
from lookright.attacks.gradient import check_input
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.method import Method


class FreeAT(Method):
    """L = CE(f(x + delta), y); one backward pass updates both weights and delta (algorithm 1).

    delta <- clip(delta + eps sign(dL/d delta), -eps, eps) is kept over the replays of a batch and
    for the next batch. A step costs as much as one of ERM. `fit` takes `replays` steps on each
    batch, so train for 1/replays of the epochs; your own loop should call the method `replays`
    times per batch, with an optimiser step after each call.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        eps: radius of the L-inf ball.
        replays: m, the number of consecutive steps on each batch; 8 was best in the paper's CIFAR
            experiments.

    Raises:
        UserError: eps or replays out of range.
    """

    attack: "_CarriedPerturbation"

    def __init__(self, model: nn.Module, eps: float = 8 / 255, replays: int = 8) -> None:
        super().__init__(model)
        if replays < 1:
            raise UserError(
                f"replays is the number of steps on each batch, 1 or more; got {replays}."
            )
        self.attack = _CarriedPerturbation(eps)
        self.eps = eps
        self.replays = replays

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        attacked = self.attacked(batch)
        return {"adversarial": self.cross_entropy(self.model(attacked), batch.labels)}

    def get_extra_state(self) -> Tensor:
        return self.attack.delta

    def set_extra_state(self, state: Any) -> None:
        self.attack.delta = state


class _CarriedPerturbation(Attack):
    """x + delta; every backward pass through it updates delta by eps sign(gradient).

    A smaller batch uses and updates the first rows of delta. For a larger batch the missing rows
    start at 0, and for images of another size all of delta does.
    """

    def __init__(self, eps: float) -> None:
        self.eps = Ball(eps=eps).eps
        self.delta = torch.empty(0)

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        carried = self.delta.to(x) if self.delta.shape[1:] == x.shape[1:] else x[:0]
        missing = x.new_zeros(max(0, len(x) - len(carried)), *x.shape[1:])
        self.delta = torch.cat([carried, missing])
        attacked = (x + self.delta[: len(x)]).clamp(0, 1).detach().requires_grad_()
        attacked.register_hook(self._ascend)
        return attacked

    def _ascend(self, gradient: Tensor) -> None:
        moved, rest = self.delta.split([len(gradient), len(self.delta) - len(gradient)])
        moved = (moved + self.eps * gradient.sign()).clamp(-self.eps, self.eps)
        self.delta = torch.cat([moved, rest])


def without_memory(attack: Attack | None) -> Attack | None:
    """The attack, but FGSM instead of FreeAT's perturbation, which changes with every use."""
    return FGSM(attack.eps) if isinstance(attack, _CarriedPerturbation) else attack
