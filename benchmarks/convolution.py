"""The second derivative of depthwise convolutions, ours and torch's.

The layers are those of EfficientNet-Lite0 at 64 px with a batch of 32. An explanation is a gradient
by a layer's input; what is timed is the gradient, by input and weight, of its square.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.convolution import grouped_conv2d
from timing import Options, Table, compare, options, report

LAYERS = ((96, 32, 3, 2), (144, 16, 5, 2), (240, 8, 3, 2), (672, 4, 5, 1), (1152, 2, 5, 1))
"""Channels, side, kernel and stride."""


def tables(given: Options) -> list[Table]:
    """One for each layer."""
    torch.manual_seed(0)
    return [_table(*layer, given) for layer in LAYERS]


def _table(channels: int, side: int, kernel: int, stride: int, given: Options) -> Table:
    x = torch.rand(32, channels, side, side, device=given.device)
    weight = torch.randn(channels, 1, kernel, kernel, device=given.device)

    def second(convolve: Callable[..., Tensor]) -> tuple[Tensor, ...]:
        ends = x.clone().requires_grad_(), weight.clone().requires_grad_()
        found = convolve(*ends, None, stride, kernel // 2, 1, channels)
        (gradient,) = torch.autograd.grad(found.square().sum(), ends[0], create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), ends)

    pairs = zip(second(F.conv2d), second(grouped_conv2d), strict=True)
    apart = max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)
    return compare(
        f"{channels} channels of {side} x {side}, kernel {kernel}, stride {stride}",
        {"lookright": lambda: second(grouped_conv2d), "torch": lambda: second(F.conv2d)},
        given.rounds,
        given.device,
        [f"Largest difference: {apart:.1e} of the largest value."],
    )


if __name__ == "__main__":
    given = options(__file__, __doc__)
    report(tables(given), given)
