"""Grad-CAM (Selvaraju et al., ICCV 2017), from the forward pass that also gives the logits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import (
    Explainer,
    LogitExplainer,
    differentiation,
    gradient_or_zero,
    reached,
)
from lookright.explainers.layers import FeatureLayer, find_layer, named_layer
from lookright.explainers.statistics import BatchStatistics


@dataclass(frozen=True)
class GradCAM(LogitExplainer):
    """ReLU(sum_k alpha_k A_k), alpha_k the spatial mean of d logit_y / d A_k (eqs. 1 and 2).

    `layer` names the submodule whose output is A, as in `model.named_modules()`; None takes the
    last feature map, which is searched once per model and size of image (`layers.py` says how).
    Tokens and channels-last maps of timm's and torchvision's networks are arranged as a grid; for
    other layouts `grid` is a function that does this, from the layer's output to (B, C, h, w). The
    saliency has the size of A, not of the image. The backward pass runs only from the logits to A,
    so on the last feature map it costs almost nothing beyond the forward pass. To it the statistics
    of BatchNorm behind A in training mode are constants, so that the map of an image does not
    depend on the classes of the others; gradients of the map know of them.

    relu: False leaves the ReLU out, as captum's `relu_attributions=False`: the map is then signed,
    for training. Where a linear layer follows the mean of A it is the class activation map of Zhou
    et al. (CVPR 2016), divided by the number of places.

    centred: explain the logit less the mean of all logits. What is added to all of them changes no
    answer, but the map of a logit shows it too, and training can hide in it (docs/theory.md).

    places: without a `layer`, the least number of places a side of A, where a map behind the
    network's first quarter has as many; of a small image the last map may have 2 x 2. Not where the
    logits are read from a class token.

    Raises:
        UserError: no such layer (the nearest name is suggested); the layer's output has no known
            layout, or does not change the logits; no feature map was found in the model (candidates
            are listed).
    """

    layer: str | None = None
    grid: Callable[[Tensor], Tensor] | None = None
    relu: bool = True
    places: int = 1

    @property
    def signed(self) -> bool:
        return not self.relu

    @property
    def shown(self) -> Explainer:
        return self if self.relu else replace(self, relu=True)

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        logits, saliency = weighted_features(
            model, x, self.layer, self.grid, lambda logits: self.score(logits, y), self.places
        )
        return logits, saliency.relu() if self.relu else saliency


def weighted_features(
    model: nn.Module,
    x: Tensor,
    layer: str | None,
    grid: Callable[[Tensor], Tensor] | None,
    score: Callable[[Tensor], Tensor],
    places: int = 1,
) -> tuple[Tensor, Tensor]:
    """Logits (B, K) and sum_k alpha_k A_k (B, h, w), alpha_k the spatial mean of d score / d A_k.

    layer, grid, places: as in `GradCAM`; score: the logits (B, K) to a scalar, the sum over B.
    """
    keep = torch.is_grad_enabled()
    if layer:
        found = named_layer(model, layer, x, any_layout=grid is not None)
    else:
        found = find_layer(model, x, places)
    statistics = BatchStatistics()
    logits, runs = _forward(model, found, x, keep, statistics)
    with differentiation(keep), statistics.constant():
        features, gradient = _read(score(logits), runs, keep)
        arranged = grid or found.grid
        maps, gradients = arranged(features), arranged(gradient)
        weighted = (gradients.mean((2, 3), keepdim=True) * maps).sum(1)
    return (logits, weighted) if keep else (logits.detach(), weighted.detach())


def _read(score: Tensor, runs: Sequence[Tensor], keep: bool) -> tuple[Tensor, Tensor]:
    """The last of a layer's outputs that the score depends on, and its gradient.

    A network may run a layer once more in training, for an auxiliary loss.
    """
    if len(runs) > 1:
        runs = list(compress(runs, reached(score, runs))) or runs
    return runs[-1], gradient_or_zero(score, runs[-1], keep)


def _forward(
    model: nn.Module, layer: FeatureLayer, x: Tensor, keep: bool, statistics: BatchStatistics
) -> tuple[Tensor, list[Tensor]]:
    """Logits and the layer's outputs, in turn; without `keep`, the graph starts at the last."""
    captured: list[Tensor] = []

    def capture(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not keep:
            torch.set_grad_enabled(True)
            output = output.detach().requires_grad_()
        elif not output.requires_grad:
            output = output.requires_grad_()
        captured.append(output)
        return output.clone()  # later layers may write in place

    handle = layer.module.register_forward_hook(capture)
    try:
        with differentiation(keep), statistics.replacing(lambda: captured):
            torch.set_grad_enabled(keep)
            logits = model(x)
    finally:
        handle.remove()
    if not captured:
        raise UserError("Grad-CAM's layer was not run in the forward pass; name one that is.")
    return logits, captured
