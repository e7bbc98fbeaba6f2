"""A grouped convolution whose second derivative does not take the groups one by one, as torch does.

<outer, conv(x, weight)> is linear in each of the three. So its derivative by one of them is linear
in the other two, and the derivatives of that are of the same kind. On a CPU that by the weight of a
depthwise layer is computed as a convolution, too (benchmarks/convolution.py).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Size = int | tuple[int, ...]


def grouped_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """`F.conv2d`, whose derivatives of any order are as fast with groups as without."""
    ours = groups > 1 and x.dim() == 4 and len(x) and x.is_floating_point() and not x.is_meta
    if isinstance(padding, str) or not ours:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        kind = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(kind), weight.to(kind)
        bias = None if bias is None else bias.to(kind)
    options = _pair(stride), _pair(padding), _pair(dilation), False, [0, 0], groups
    found: Tensor = _Derivative.apply(_OUTER, None, x, weight, options)
    return found if bias is None else found + bias.view(1, -1, 1, 1)


def _pair(size: Size) -> list[int]:
    values = [size] if isinstance(size, int) else list(size)
    return values * 2 if len(values) == 1 else values


_OUTER, _X, _WEIGHT = range(3)


class _Derivative(torch.autograd.Function):
    """That of <outer, conv(x, weight)> by one of the three, of which only the size is used."""

    @staticmethod
    def forward(
        ctx: Any, by: int, outer: Tensor | None, x: Tensor, weight: Tensor, options: Any
    ) -> Tensor:
        ctx.by, ctx.options = by, options
        ctx.save_for_backward(outer, x, weight)
        found: Tensor
        if by == _OUTER:
            found = torch.ops.aten.convolution(x, weight, None, *options)
        elif by == _WEIGHT and x.device.type == "cpu" and len(weight) == x.shape[1] == options[-1]:
            assert outer is not None
            found = _by_depthwise_weight(outer, x, weight.shape[2:], options)
        else:
            wanted = [by == _X, by == _WEIGHT, False]
            both = torch.ops.aten.convolution_backward(outer, x, weight, None, *options, wanted)
            found = both[by - 1]
        return found

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> tuple[Tensor | None, ...]:
        parts = list(ctx.saved_tensors)
        parts[ctx.by] = given[0]

        def by(one: int) -> Tensor | None:
            if one == ctx.by or not ctx.needs_input_grad[1 + one]:
                return None
            rest = [part.detach() if at == one else part for at, part in enumerate(parts)]
            found: Tensor = _Derivative.apply(one, *rest, ctx.options)
            return found

        return None, by(_OUTER), by(_X), by(_WEIGHT), None


def _by_depthwise_weight(outer: Tensor, x: Tensor, size: torch.Size, options: Any) -> Tensor:
    """Each channel of each image of x convolved with that of `outer`, summed over the images."""
    stride, padding, dilation, *_ = options
    maps, kernels = x.flatten(0, 1)[None], outer.flatten(0, 1)[:, None]
    # Padding as large as the kernel makes torch's convolution slow.
    if any(pad >= side for pad, side in zip(padding, kernels.shape[2:], strict=True)):
        maps, padding = F.pad(maps, [padding[1]] * 2 + [padding[0]] * 2), [0, 0]
    found = torch.ops.aten.convolution(
        maps, kernels, None, dilation, padding, stride, False, [0, 0], len(kernels)
    )
    each: Tensor = found[0, :, : size[0], : size[1]].unflatten(0, x.shape[:2])
    return each.sum(0)[:, None]
