"""Explainers made of gradients with respect to the pixels; saliency at the image's own size.

To them the statistics of BatchNorm in training mode are constants, as to `GradCAM`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import LogitExplainer, differentiation, gradient_or_zero
from lookright.explainers.statistics import BatchStatistics
from lookright.modes import averaging_no_statistics, normalises_by_batch, ordinary

_Score = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class InputGradient(LogitExplainer):
    """The sum over channels of |d logit_y / d x| (Simonyan et al., ICLR workshop 2014).

    centred: explain the logit less the mean of all logits, as in `GradCAM`.
    """

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        logits, _, gradient = _gradient(self.score, model, x, y)
        return logits, gradient.abs().sum(1)


@dataclass(frozen=True)
class GradientTimesInput(LogitExplainer):
    """|sum over channels of x * d logit_y / d x| (Shrikumar et al., arXiv 1605.01713).

    centred: explain the logit less the mean of all logits, as in `GradCAM`.
    """

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        logits, pixels, gradient = _gradient(self.score, model, x, y)
        return logits, (pixels * gradient).sum(1).abs()


@dataclass(frozen=True)
class IntegratedGradients(LogitExplainer):
    """|sum over channels of integrated gradients| (Sundararajan et al., ICML 2017, eq. 1).

    The path runs from the constant image `baseline` (0 is black) to x; the integral is the
    midpoint rule with `steps` points, in one forward pass of (steps + 1) * B images; in two where
    BatchNorm normalises by the batch.

    centred: explain the logit less the mean of all logits, as in `GradCAM`.
    """

    steps: int = 16
    baseline: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"IntegratedGradients needs at least 1 step, got {self.steps}.")

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        at = torch.arange(self.steps, device=x.device, dtype=x.dtype).add(0.5) / self.steps
        path = self.baseline + at.view(-1, 1, 1, 1, 1) * (x - self.baseline)
        logits, pixels, gradient = _mean_gradient(self.score, model, x, path, y)
        return logits, ((pixels - self.baseline) * gradient).sum(1).abs()


@dataclass(frozen=True)
class SmoothGrad(LogitExplainer):
    """The sum over channels of |mean gradient over noisy copies| (Smilkov et al., 2017, eq. 1).

    `samples` copies with Gaussian noise of standard deviation `sigma` (pixel units, the paper's 10
    to 20% of the range) pass forward together with x, and by themselves where BatchNorm normalises
    by the batch. The noise comes from torch's global generator and is the same for all images of a
    batch, so that under one seed the map of an image does not depend on the images beside it.

    centred: explain the logit less the mean of all logits, as in `GradCAM`.
    """

    samples: int = 8
    sigma: float = 0.15

    def __post_init__(self) -> None:
        if self.samples < 1 or self.sigma < 0:
            raise UserError(
                f"SmoothGrad needs at least 1 sample and sigma >= 0, got samples={self.samples}, "
                f"sigma={self.sigma}."
            )

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        noise = torch.randn(self.samples, 1, *x.shape[1:], device=x.device, dtype=x.dtype)
        logits, _, gradient = _mean_gradient(self.score, model, x, x + self.sigma * noise, y)
        return logits, gradient.abs().sum(1)


def _gradient(
    score: _Score, model: nn.Module, x: Tensor, y: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (B, K), pixels and d score / d pixels (B, C, H, W)."""
    keep = torch.is_grad_enabled()
    statistics = BatchStatistics()
    with differentiation(keep):
        pixels = x if keep and x.requires_grad else ordinary(x).requires_grad_()
        with statistics.replacing():
            logits = model(pixels)
        with statistics.constant():
            gradient = gradient_or_zero(score(logits, y), pixels, keep)
    return (logits, pixels, gradient) if keep else (logits.detach(), pixels.detach(), gradient)


def _mean_gradient(
    score: _Score, model: nn.Module, x: Tensor, copies: Tensor, y: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of x (B, K), x, and the gradient averaged over `copies` (N, B, C, H, W).

    All pass together; where BatchNorm normalises by the batch, the copies pass by themselves, and
    it keeps none of their statistics.
    """
    keep = torch.is_grad_enabled()
    statistics = BatchStatistics()
    with differentiation(keep):
        x, copies = (x, copies) if keep else (ordinary(x), ordinary(copies))
        if not copies.requires_grad:
            copies = copies.requires_grad_()
        if normalises_by_batch(model):
            logits = model(x)
            with averaging_no_statistics(model), statistics.replacing():
                others = model(copies.flatten(0, 1))
        else:
            logits, others = model(torch.cat([x, copies.flatten(0, 1)])).tensor_split([len(x)])
        target = logits.argmax(1) if y is None else y
        with statistics.constant():
            explained = score(others, target.repeat(len(copies)))
            gradient = gradient_or_zero(explained, copies, keep)
    return (logits, x, gradient.mean(0)) if keep else (logits.detach(), x, gradient.mean(0))
