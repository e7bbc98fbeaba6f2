"""AWP: adversarial weight perturbation (Wu et al., NeurIPS 2020)."""

from math import inf
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from lookright.attacks import Attack, Ball
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods.method import Method
from lookright.methods.wrapper import Wrapper
from lookright.processes import common


class AWP(Wrapper):
    """The loss of an adversarial method at weights w + v, where v maximises that loss (section 4).

        x'  = attack(f_w, x, y)
        v_l = gamma ||w_l|| g_l / ||g_l||,  g = the gradient of the method's loss on x' at w

    The gradient at w + v is applied to w. v is one ascent step in each layer l, on weights with two
    or more dimensions, as in the authors' code: biases and normalisation layers are not perturbed,
    nor are the weights of a learned guide. The pass that computes v does not update BatchNorm's
    statistics; it adds one forward and backward pass to each training step.

    Args:
        method: any method with an attack.
        gamma: length of v_l relative to w_l; 5e-3 in the authors' code of TRADES-AWP, 1e-2 in that
            of AT-AWP.

    Raises:
        UserError: a method without an attack, or one that goes round another, whose model
            `functional_call` would know by two names; gamma out of range.
    """

    OPTION = "--awp 0.005"

    def __init__(self, method: Method, gamma: float = 5e-3) -> None:
        super().__init__(method)
        if any(isinstance(each, Method) for each in method.modules() if each is not method):
            raise UserError(
                f"AWP goes round one method, got {type(method).__name__}, which goes round another:"
                " put AWP next to the method, as in GradientPenalty(AWP(AT(model)))."
            )
        if method.attack is None:
            raise UserError(
                f"AWP needs a method that trains against an attack, got {type(method).__name__}: "
                f"use one, as in AWP(AT(model)) or --method AT {self.OPTION}, or leave AWP out."
            )
        if not 0 < gamma < inf:
            raise UserError(
                f"gamma is a length relative to that of the weights, above 0; got {gamma}."
            )
        self.gamma = gamma

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        attack = cast(Attack, self.attack)
        self.attack = _Found(batch.images, self.attacked(batch), attack)
        try:
            perturbed = self._perturbed(batch)
            return cast(dict[str, Tensor], functional_call(self.method, perturbed, (batch,)))
        finally:
            self.attack = attack

    def _perturbed(self, batch: Batch) -> dict[str, Tensor]:
        """The perturbed weights w + v by name, through which gradients flow to w."""
        weights = {
            f"model.{name}": weight
            for name, weight in self.model.named_parameters()
            if weight.requires_grad and weight.ndim > 1
        }
        if not weights:
            return {}
        buffers = {name: buffer.clone() for name, buffer in self.method.named_buffers()}
        with torch.enable_grad():
            terms = functional_call(self.method, buffers, (batch,))
            loss = torch.stack([*terms.values()]).sum()
            gradients = torch.autograd.grad(
                loss, [*weights.values()], allow_unused=True, materialize_grads=True
            )
        return {
            name: weight + self._ascent(weight.detach(), common(gradient))
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }

    def _ascent(self, weight: Tensor, gradient: Tensor) -> Tensor:
        tiny = torch.finfo(gradient.dtype).tiny
        return self.gamma * weight.norm() * gradient / gradient.norm().clamp_min(tiny)


class _Found(Attack):
    """An attack that returns `attacked`, computed before, when it is given `images`."""

    def __init__(self, images: Tensor, attacked: Tensor, attack: Attack) -> None:
        self.images, self.attacked, self.attack = images, attacked, attack

    @property
    def ball(self) -> Ball | None:
        return self.attack.ball

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return self.attacked if x is self.images else self.attack(model, x, y, generator)
