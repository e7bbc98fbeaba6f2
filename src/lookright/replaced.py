"""Functions of a model computed in another way for a while, the model itself unchanged."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lookright.convolution import grouped_conv2d

Functions = Mapping[Callable[..., Any], Callable[..., Tensor]]


class Replaced(TorchFunctionMode):
    """Within `with Replaced(table):` each function that is a key computes what its value does.

    Args:
        table: functions as called by modules, methods and exported programs, in-place variants
            among them, to functions of the same arguments that change nothing in place; what is
            computed in place is then copied there. What a TorchScript program calls is not
            replaced.
    """

    def __init__(self, table: Functions) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        replacing = self.table.get(func)
        if replacing is None or not args:
            return func(*args, **options)
        x, *rest = args
        in_place = options.pop("inplace", False) or func.__name__.split(".")[0].endswith("_")
        found = replacing(x.clone() if in_place else x, *rest, **options)
        return x.copy_(found) if in_place else found


def differentiable_twice() -> Replaced:
    """The functions whose derivative torch does not differentiate, or slowly, by others of the same
    values."""
    return Replaced(_TWICE)


def _hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


_aten = torch.ops.aten
_TWICE: Functions = {
    F.hardsigmoid: _hard_sigmoid,
    _aten.hardsigmoid.default: _hard_sigmoid,
    _aten.hardsigmoid_.default: _hard_sigmoid,
    F.conv2d: grouped_conv2d,
    _aten.conv2d.default: grouped_conv2d,
}
