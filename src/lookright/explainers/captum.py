"""Any attribution of captum as an explainer, for evaluation."""

from collections.abc import Callable
from inspect import isclass
from typing import Any

import torch
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.explainers.explainer import Explainer
from lookright.modes import frozen, ordinary


class Captum(Explainer):
    """Wrap a captum attribution, for example `Captum(captum.attr.Occlusion, sliding_window_shapes=
    (3, 8, 8))` or `Captum(lambda model: LayerGradCam(model, model.network.layer4))`.

    `make` is a function that builds the attribution from the model, or the name of one in
    captum.attr, such as "Saliency". `arguments` are passed to its `attribute`. The saliency is the
    absolute value of the attribution summed over channels, (B, h, w). It is detached, for
    evaluation only; with gradients enabled it raises UserError, as a loss made of it would be
    constant.
    """

    differentiable = False

    def __init__(self, make: Callable[[nn.Module], Any] | str, **arguments: Any) -> None:
        self.make = _named(make) if isinstance(make, str) else make
        self.arguments = arguments

    def __repr__(self) -> str:
        made = getattr(self.make, "__qualname__", type(self.make).__name__)
        options = "".join(f", {name}={value!r}" for name, value in self.arguments.items())
        return f"Captum({made}{options})"

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


def _named(name: str) -> Callable[[nn.Module], Any]:
    """The attribution of that name in captum.attr."""
    try:
        from captum import attr
    except ImportError as error:
        raise UserError("captum is not installed: pip install 'lookright[captum]'.") from error
    known = [each for each, kind in vars(attr).items() if isclass(kind) and each[0].isupper()]
    last = name.removeprefix("captum.attr.")
    if last not in known:
        raise UserError(f"captum.attr has no attribution '{last}'.{did_you_mean(last, known)}")
    return getattr(attr, last)
