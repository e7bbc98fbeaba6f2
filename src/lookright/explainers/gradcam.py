"""Grad-CAM (Selvaraju et al., ICCV 2017), from the forward pass that also gives the logits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import Explainer, class_score, differentiation, gradient_or_zero
from lookright.explainers.layers import FeatureLayer, find_layer, named_layer


@dataclass(frozen=True)
class GradCAM(Explainer):
    """ReLU(sum_k alpha_k A_k), alpha_k the spatial mean of d logit_y / d A_k (eqs. 1 and 2).

    `layer` names the submodule whose output is A, as in `model.named_modules()`; None takes the
    last feature map, which is searched once per model and size of image (`layers.py` says how).
    Tokens and channels-last maps of timm's and torchvision's networks are arranged as a grid; for
    other layouts `grid` is a function that does this, from the layer's output to (B, C, h, w). The
    saliency has the size of A, not of the image. The backward pass runs only from the logits to A,
    so on the last feature map it costs almost nothing beyond the forward pass.

    Raises:
        UserError: no such layer (the nearest name is suggested); the layer's output has no known
            layout, or does not change the logits; no feature map was found in the model (candidates
            are listed).
    """

    layer: str | None = None
    grid: Callable[[Tensor], Tensor] | None = None

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        keep = torch.is_grad_enabled()
        layer = (
            named_layer(model, self.layer, x, any_layout=self.grid is not None)
            if self.layer
            else find_layer(model, x)
        )
        logits, features = _forward(model, layer, x, keep)
        with differentiation(keep):
            gradient = gradient_or_zero(class_score(logits, y), features, keep)
            grid = self.grid or layer.grid
            maps, gradients = grid(features), grid(gradient)
            saliency = (gradients.mean((2, 3), keepdim=True) * maps).sum(1).relu()
        return (logits, saliency) if keep else (logits.detach(), saliency.detach())


def _forward(model: nn.Module, layer: FeatureLayer, x: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
    """Logits and the layer's output; without `keep`, the graph starts at that output."""
    captured: list[Tensor] = []

    def capture(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not keep:
            torch.set_grad_enabled(True)
            output = output.detach().requires_grad_()
        elif not output.requires_grad:
            output = output.requires_grad_()
        captured[:] = [output]
        return output.clone()  # later layers may write in place

    handle = layer.module.register_forward_hook(capture)
    try:
        with differentiation(keep):
            torch.set_grad_enabled(keep)
            logits = model(x)
    finally:
        handle.remove()
    if not captured:
        raise UserError("Grad-CAM's layer was not run in the forward pass; name one that is.")
    return logits, captured[0]
