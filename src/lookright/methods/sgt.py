"""Saliency-guided training (SGT, Ismail et al., NeurIPS 2021, arXiv 2111.14338)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.explainers.explainer import class_score, gradient_at_pixels
from lookright.methods.method import Method, check_weights
from lookright.modes import frozen

Fill = Literal["random", "mean"]


class SGT(Method):
    """L = CE(f(x), y) + similarity KL(f(x) || f(x masked)) (algorithm 1).

    The masked pixels are those with the smallest gradient of the label's logit, averaged over
    channels and computed in evaluation mode, as in the authors' code. The published commands of
    that code rank by the signed gradient, which masks the most negative values. Here pixels are
    ranked by magnitude, since the paper masks small gradients; `signed` gives the other ranking.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        share: share of the pixels to mask; 0.5 as published.
        similarity: weight of the KL; 1 as published.
        fill: values of masked pixels: "random", uniform between the minimum and maximum of the
            image in each channel, as published, or "mean", the image's mean colour.
        signed: rank by the signed gradient instead of its magnitude.
    """

    explainer = InputGradient()

    def __init__(
        self,
        model: nn.Module,
        share: float = 0.5,
        similarity: float = 1.0,
        fill: Fill = "random",
        signed: bool = False,
    ) -> None:
        super().__init__(model)
        check_weights(similarity=similarity)
        if not 0 < share < 1:
            raise UserError(f"share is the share of pixels to mask, between 0 and 1; got {share}.")
        if fill not in ("random", "mean"):
            raise UserError(f"fill must be 'random' or 'mean', got '{fill}'.")
        self.share = share
        self.similarity = similarity
        self.fill = fill
        self.signed = signed

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        masked = self.model(self.masked(x, y)).log_softmax(1)
        clean = self.model(x)
        gap = F.kl_div(masked, clean.log_softmax(1), log_target=True, reduction="batchmean")
        return {"clean": self.cross_entropy(clean, y), "similarity": self.similarity * gap}

    def masked(self, x: Tensor, y: Tensor) -> Tensor:
        """The images (B, 3, H, W) with the pixels of smallest gradient replaced."""
        with frozen(self.model):
            pixels = x.detach().requires_grad_()
            score = class_score(self.model(pixels), y)
            gradient = gradient_at_pixels(score, pixels, keep=False, needed="SGT")
        order = gradient.mean(1).flatten(1)
        order = order if self.signed else order.abs()
        least = order.topk(max(1, int(self.share * order.shape[1])), largest=False).indices
        hidden = torch.zeros_like(order).scatter(1, least, 1.0).view_as(x[:, :1]) > 0
        return torch.where(hidden, self._filled(x), x)

    def _filled(self, x: Tensor) -> Tensor:
        if self.fill == "mean":
            return x.mean((2, 3), keepdim=True)
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return torch.lerp(low, high, torch.rand(x.shape, device=x.device).to(x))
