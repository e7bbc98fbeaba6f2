"""The input features of the head of any network."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from lookright.errors import UserError
from lookright.explainers.explainer import reached
from lookright.modes import frozen, not_recomputing, uncompiled


@dataclass(frozen=True)
class Head:
    """The last linear layer or convolution that the logits come from; its input: the features."""

    layer: nn.Module

    def scores(self, features: Tensor) -> Tensor:
        """The head's class scores (B, K): the logits, unless the network processes them further."""
        return self.pooled(self.layer.forward(features))

    def pooled(self, values: Tensor) -> Tensor:
        """The head's input or output as (B, C), averaged over places if there are any."""
        if isinstance(self.layer, nn.Linear):
            return values if values.ndim == 2 else values.flatten(1, -2).mean(1)
        return values.flatten(2).mean(2)


def head_of(model: nn.Module, x: Tensor) -> nn.Module:
    """The layer of the head, found by running the first of the images x.

    Raises:
        UserError: the logits come from no linear layer or convolution, or the model has several
            heads.
    """
    return model.get_submodule(_name_of_head(model, x))


def change_features(
    model: nn.Module, x: Tensor, change: Callable[[Head, Tensor], Tensor]
) -> Tensor:
    """The logits (B, K) of a forward pass in which `change(head, z)` replaces the features z.

    z is (B, C), or (B, places..., C) for a linear head over places, or (B, C, h, w) for a
    convolution.

    Raises:
        UserError: the logits come from no linear layer or convolution, or the model has several
            heads.
    """
    head = Head(head_of(model, x))
    changed = []

    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        changed.append(change(head, inputs[0]))
        return (changed[-1], *inputs[1:])

    handle = head.layer.register_forward_pre_hook(enter)
    try:
        with uncompiled():
            logits = model(x)
    finally:
        handle.remove()
    if not changed:
        raise UserError(
            f"The layer that runs last in evaluation mode, {_name_of_head(model, x)}, does not run "
            "in training mode: give a network with a single head."
        )
    return logits


_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_found: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()


def _name_of_head(model: nn.Module, x: Tensor) -> str:
    """The name of the head, found by running one image: layers are registered in any order."""
    if model not in _found:
        _refuse_several(model)
        ran: list[tuple[str, Tensor]] = []

        def leave(name: str, output: Tensor) -> Tensor:
            ran.append((name, output if output.requires_grad else output.requires_grad_()))
            return output.clone()  # later layers may write in place

        handles = [
            module.register_forward_hook(lambda *called, name=name: leave(name, called[-1]))
            for name, module in model.named_modules()
            if isinstance(module, _LAYERS)
        ]
        try:
            with frozen(model), uncompiled(), not_recomputing(model):
                logits = model(x[:1])
        finally:
            for handle in handles:
                handle.remove()
        _found[model] = _last_read(model, logits, ran)
    return _found[model]


def _last_read(model: nn.Module, logits: Tensor, ran: list[tuple[str, Tensor]]) -> str:
    """The last of the layers that ran whose output the logits depend on."""
    read = [*compress(ran, reached(logits.sum(), [output for _, output in ran]))]
    if read:
        return read[-1][0]
    raise UserError(
        "Expected a network that ends in a linear layer or a convolution, whose input is the "
        f"features; the logits come from none in {type(model).__name__}: make its head an "
        "nn.Linear."
    )


def _refuse_several(model: nn.Module) -> None:
    """Raise UserError on a network of timm whose logits are the mean of several heads'."""
    configs = (getattr(module, "pretrained_cfg", None) for module in model.modules())
    names = next((config["classifier"] for config in configs if config), None)
    if isinstance(names, tuple | list) and len(names) > 1:
        raise UserError(
            f"Expected a network with one head; this has {' and '.join(names)}: give another, or "
            "leave out what is about the head alone (head_lr, RSC, CORAL)."
        )
