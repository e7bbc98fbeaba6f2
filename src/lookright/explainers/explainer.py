"""What an explainer is, and the parts that its members share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lookright.modes import ordinary


class Explainer(ABC):
    """`explainer(model, x, y)` gives logits (B, K) and saliency (B, h, w), from one forward pass.

    x is (B, 3, H, W) in [0, 1]; y (B,) the classes explained, the predicted ones where it is None.
    The saliency is non-negative and finite, and zero where a gradient is explained and the model
    passes none on. With gradients on, both are part of the graph, to any order; under
    `torch.no_grad()` both are detached and as cheap as they can be. One that is not
    `differentiable` works under `torch.no_grad()` alone.
    """

    differentiable: ClassVar[bool] = True

    @abstractmethod
    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and saliency of x."""


def explain_together(
    explainer: Explainer, model: nn.Module, *parts: tuple[Tensor, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """(logits, saliency) of each (images, classes), all from one forward pass."""
    logits, saliency = explainer(
        model, torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    )
    sizes = [len(x) for x, _ in parts]
    return list(zip(logits.split(sizes), saliency.split(sizes), strict=True))


@contextmanager
def differentiation(enabled: bool) -> Iterator[None]:
    """Gradients on inside; where they will be differentiated again, attention by its math kernel.

    The fused attention kernels have no second derivative (pytorch/pytorch#116350).
    """
    with torch.inference_mode(False), torch.enable_grad():
        if enabled:
            with sdpa_kernel(SDPBackend.MATH):
                yield
        else:
            yield


def gradient_or_zero(score: Tensor, at: Tensor, keep: bool) -> Tensor:
    """d score / d at, in the graph where `keep`; zero where the model passes no gradient on."""
    if not score.requires_grad:
        return torch.zeros_like(at)
    return torch.autograd.grad(score, at, create_graph=keep, materialize_grads=True)[0]


def class_score(logits: Tensor, y: Tensor | None) -> Tensor:
    """The sum over the batch of each image's logit of class y, its predicted class by default."""
    if y is None:
        return logits.amax(1).sum()
    return logits.gather(1, ordinary(y)[:, None]).sum()
