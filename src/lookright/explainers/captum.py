"""Any of captum's attributions as an explainer, for evaluation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import Explainer
from lookright.modes import frozen, ordinary


class Captum(Explainer):
    """Wrap a captum attribution, for example `Captum(captum.attr.Occlusion, sliding_window_shapes=
    (3, 8, 8))` or `Captum(lambda model: LayerGradCam(model, model.network.layer4))`.

    `make(model)` builds the attribution, `arguments` go to its `attribute`. The saliency is the
    absolute value of the attribution summed over channels, (B, h, w), detached: it is for
    evaluation, and asking for it with gradients on is an error rather than a loss that is silently
    constant.
    """

    differentiable = False

    def __init__(self, make: Callable[[nn.Module], Any], **arguments: Any) -> None:
        self.make = make
        self.arguments = arguments

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if torch.is_grad_enabled():
            raise UserError(
                "A captum attribution is not differentiable here and serves evaluation only: call "
                "it under torch.no_grad(), or train with one of lookright's own explainers."
            )
        with frozen(model):
            x = ordinary(x)
            with torch.no_grad():
                logits = model(x)
            target = logits.argmax(1) if y is None else ordinary(y)
            attribution = self.make(model).attribute(
                x.clone().requires_grad_(), target=target, **self.arguments
            )
        return logits, attribution.detach().sum(1).abs()
