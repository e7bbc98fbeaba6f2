"""The interface of an explainer, and functions that explainers share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from lookright.distances import Distance
from lookright.errors import UserError
from lookright.modes import ordinary, uncompiled
from lookright.replaced import differentiable_twice


class Explainer(ABC):
    """`explainer(model, x, y)` gives logits (B, K) and saliency (B, h, w) in one forward pass.

    x is (B, 3, H, W) in [0, 1]; y (B,) the classes to explain, by default the predicted ones. The
    saliency is non-negative and finite; it is zero if it is made of gradients and the model blocks
    them. With gradients enabled, logits and saliency are differentiable to any order; under
    `torch.no_grad()` both are detached and as cheap as possible. An explainer that is not
    `differentiable` works only under `torch.no_grad()`.

    The saliency of a `signed` explainer has values of either sign, for distances that take them.
    Measures and pictures need the non-negative one that is `shown` in its place.
    """

    differentiable: ClassVar[bool] = True

    @property
    def signed(self) -> bool:
        return False

    @property
    def shown(self) -> "Explainer":
        return self

    @property
    def of_answer(self) -> "Explainer | None":
        """The same explainer without what all logits share (docs/theory.md); None if it has none,
        or is that."""
        return None

    @abstractmethod
    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits and saliency of x."""


@dataclass(frozen=True)
class LogitExplainer(Explainer):
    """An explainer of one logit, that of the class to explain. A subclass explains `self.score`.

    centred: explain the logit less the mean of all logits. What is added to all of them changes no
    answer, but an explanation of one logit shows it too, and training can hide in it
    (docs/theory.md).
    """

    centred: bool = field(default=False, kw_only=True)

    @property
    def of_answer(self) -> Explainer | None:
        return None if self.centred else replace(self, centred=True)

    def score(self, logits: Tensor, y: Tensor | None) -> Tensor:
        """What is explained of logits (B, K), by default of the predicted class, summed over B."""
        score = class_score(logits, y)
        return score - logits.mean(1).sum() if self.centred else score


def check_shown(explainer: Explainer) -> None:
    """Raise UserError on a signed explainer where measures or pictures are made of the map."""
    if explainer.signed:
        raise UserError(
            f"Expected an explainer of non-negative maps, got {explainer}, which is for training: "
            f"give {explainer.shown}."
        )


def check_signs(explainer: Explainer, *distances: Distance) -> None:
    """Raise UserError on an explainer without gradients, and on a distance that does not take its
    signed maps."""
    if not explainer.differentiable:
        raise UserError(
            f"{explainer} has no gradients to train or attack by: choose another, such as GradCAM "
            "or InputGradient."
        )
    for distance in distances:
        if explainer.signed and not distance.signed:
            raise UserError(
                f"{distance} compares non-negative maps, but those of {explainer} are signed: "
                f"compare those of {explainer.shown}, or by Correlation()."
            )


def explain_together(
    explainer: Explainer, model: nn.Module, *parts: tuple[Tensor, Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """(logits, saliency) for each (images, classes), all in one forward pass."""
    logits, saliency = explainer(
        model, torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
    )
    sizes = [len(x) for x, _ in parts]
    return list(zip(logits.split(sizes), saliency.split(sizes), strict=True))


@contextmanager
def differentiation(enabled: bool) -> Iterator[None]:
    """Enable gradients; if they will be differentiated again, every function can be.

    The fused attention kernels have no second derivative (pytorch/pytorch#116350), so attention
    uses its math kernel; nor has torch's hard sigmoid, which is computed from a ReLU6, nor what
    `torch.compile` makes, which runs uncompiled.
    """
    with torch.inference_mode(False), torch.enable_grad(), uncompiled():
        if enabled:
            with sdpa_kernel(SDPBackend.MATH), differentiable_twice():
                yield
        else:
            yield


def gradient_or_zero(score: Tensor, at: Tensor, keep: bool) -> Tensor:
    """d score / d at, differentiable if `keep`; zero if the model blocks the gradient."""
    if not score.requires_grad:
        return torch.zeros_like(at)
    return torch.autograd.grad(score, at, create_graph=keep, materialize_grads=True)[0]


def reached(score: Tensor, outputs: Sequence[Tensor]) -> list[bool]:
    """Whether a score depends on each of these outputs; its graph is kept."""
    if not outputs or not score.requires_grad:
        return [False] * len(outputs)
    gradients = torch.autograd.grad(score, outputs, retain_graph=True, allow_unused=True)
    return [gradient is not None for gradient in gradients]


def gradient_at_pixels(score: Tensor, pixels: Tensor, keep: bool, needed: str) -> Tensor:
    """d score / d pixels (B, C, H, W), differentiable if `keep`; needed: what needs it.

    Raises:
        UserError: the model blocks the gradient.
    """
    if score.requires_grad:
        (found,) = torch.autograd.grad(score, pixels, create_graph=keep, allow_unused=True)
        if found is not None:
            return found
    raise UserError(
        f"{needed} needs the gradient of the logits by the pixels, but the model passes none on: "
        "look for no_grad, detach() or an operation without a gradient in its forward."
    )


def class_score(logits: Tensor, y: Tensor | None) -> Tensor:
    """The logit of class y (by default the predicted class), summed over the batch."""
    if y is None:
        return logits.amax(1).sum()
    return logits.gather(1, ordinary(y)[:, None]).sum()
