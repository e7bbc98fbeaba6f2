"""What the outputs of a network are, and the logits (B, K) that they stand for."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.modes import frozen

_SHAPES: Final = (
    "Alias",
    "Clone",
    "Expand",
    "Permute",
    "Reshape",
    "Select",
    "Slice",
    "Squeeze",
    "ToCopy",
    "Transpose",
    "TBackward",
    "Unsqueeze",
    "UnsafeView",
    "View",
)
"""Operations, as autograd names them, that change the shape or type of values only."""


class Outputs(StrEnum):
    """What a network gives; called with its outputs, each kind gives the logits (B, K).

    The logits of probabilities are their logarithms less the mean of these: the network's own
    logits, before its softmax, less their mean. They have the same softmax, and keep a gradient
    where the network is certain, which the logarithm of a probability near 1 does not.
    """

    LOGITS = "logits"
    PROBABILITIES = "probabilities"
    """(B, K), which sum to 1: after a softmax."""
    SIGMOIDS = "sigmoids"
    """(B, K), each in [0, 1]: a logistic unit for each class."""
    ONE_LOGIT = "one_logit"
    """(B,) or (B, 1): above 0 for class 1, as of two."""
    ONE_PROBABILITY = "one_probability"
    """(B,) or (B, 1): of class 1, as of two."""

    def __call__(self, raw: Any) -> Tensor:
        values = main_output(raw)
        if self is Outputs.LOGITS:
            return values
        if self is Outputs.PROBABILITIES:
            return _centred(values.clamp_min(_smallest(values)).log())
        if self is Outputs.SIGMOIDS:
            return _logit(values)
        z = values.flatten() if self is Outputs.ONE_LOGIT else _logit(values.flatten())
        return torch.stack([-z / 2, z / 2], 1)

    def said_of(self, called: str, classes: Sequence[str] = ()) -> str:
        """One line that says how the outputs of that model are read."""
        negative, positive = classes if len(classes) == 2 else ("the first", "the second")
        one = f"two classes, {negative} (negative) and {positive} (positive)"
        return {
            Outputs.LOGITS: f"{called} gives logits.",
            Outputs.PROBABILITIES: f"{called} gives probabilities, as after a softmax: their "
            "logarithms are taken as its logits.",
            Outputs.SIGMOIDS: f"{called} gives a probability for each class by itself, as after a "
            "sigmoid: log(p / (1 - p)) is taken as its logits, and an image has one class.",
            Outputs.ONE_LOGIT: f"{called} gives one logit z: it counts as {one}, with logits -z/2 "
            "and z/2.",
            Outputs.ONE_PROBABILITY: f"{called} gives one probability p: it counts as {one}, with "
            "logits of probability 1 - p and p.",
        }[self]


def main_output(raw: Any) -> Tensor:
    """The tensor of class scores among what a network returns.

    It is the tensor itself; the attribute or key `logits`, as in outputs of Hugging Face and
    torchvision; or, of several tensors of one shape, the first, since auxiliary heads follow the
    main one. Scores (B, K, 1, 1) become (B, K).

    Raises:
        UserError: something else, such as features beside logits.
    """
    values = raw
    if not isinstance(raw, Tensor):
        values = raw.get("logits") if isinstance(raw, Mapping) else getattr(raw, "logits", None)
    if values is None:
        parts = raw.values() if isinstance(raw, Mapping) else raw
        parts = [*parts] if isinstance(raw, Mapping | tuple | list) else []
        found = [each for each in parts if isinstance(each, Tensor)]
        if found and found[0].ndim <= 2 and len({each.shape for each in found}) == 1:
            values = found[0]
    if not isinstance(values, Tensor):
        raise UserError(
            f"Expected logits (B, K) from the network, got {_described(raw)}: wrap it so that it "
            "returns only its logits."
        )
    return values[..., 0, 0] if values.ndim == 4 and values.shape[2:] == (1, 1) else values


def kind_of(values: Tensor, model: nn.Module, x: Tensor) -> Outputs:
    """What the model's outputs `values` are, those of varied images x.

    Outputs in [0, 1] that sum to 1 for every image are probabilities. Other values in [0, 1] are
    probabilities only if the last operation is a sigmoid or is unknown, because the logits of an
    untrained network may happen to lie there.
    """
    single = values.ndim == 1 or values.shape[1] == 1
    if not bool(((values >= 0) & (values <= 1)).all()):
        return Outputs.ONE_LOGIT if single else Outputs.LOGITS
    if not single and bool(((values.sum(1) - 1).abs() < 1e-3).all()):
        return Outputs.PROBABILITIES
    operation = _last_operation(model, x[:1])
    if "igmoid" in operation or (not operation and bool((values != values[:1]).any())):
        return Outputs.ONE_PROBABILITY if single else Outputs.SIGMOIDS
    return Outputs.ONE_LOGIT if single else Outputs.LOGITS


def _last_operation(model: nn.Module, x: Tensor) -> str:
    """Autograd's name of the last operation that changes values; empty if it is unknown."""
    with frozen(model):
        node = main_output(model(x.detach().requires_grad_().clone())).grad_fn
    while node is not None and node.name().startswith(_SHAPES):
        node = node.next_functions[0][0]
    name = "" if node is None else node.name()
    return "" if "jit" in name else name


def _smallest(values: Tensor) -> float:
    """The smallest probability p for which the second derivative of log p is finite, 1 / p^2."""
    return float(torch.finfo(values.dtype).tiny) ** 0.5


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(1, keepdim=True)


def _logit(p: Tensor) -> Tensor:
    """log(p / (1 - p)), at most that of the largest p below 1."""
    below = torch.finfo(p.dtype).eps / 2
    return p.clamp_min(_smallest(p)).log() - (1 - p).clamp_min(below).log()


def _described(raw: Any) -> str:
    if not isinstance(raw, Mapping | tuple | list):
        return type(raw).__name__
    parts = raw.items() if isinstance(raw, Mapping) else enumerate(raw)
    shapes = [
        f"{name}: {tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__}"
        for name, each in parts
    ]
    return f"{type(raw).__name__} of {', '.join(shapes) or 'nothing'}"
