"""A ReLU network made smooth while an attack computes its gradient."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.replaced import Replaced


class Softened(Replaced):
    """Within `with Softened(beta):` every ReLU computes softplus(beta x) / beta.

    The gradient of a ReLU network is piecewise constant, so the gradient of a gradient explanation
    is zero; Dombrowski et al. (NeurIPS 2019) and Ghorbani et al. (AAAI 2019) attack the softplus
    network instead. ReLU6, hardtanh and leaky ReLU become sums of softplus in the same way. This
    covers functions, methods and modules, in-place variants and exported programs. Smooth
    activations and the model itself are not changed. Activations inside a TorchScript program
    cannot be replaced.
    """

    def __init__(self, beta: float) -> None:
        super().__init__({function: partial(smooth, beta) for function, smooth in _SMOOTH.items()})


def _relu(beta: float, x: Tensor) -> Tensor:
    return F.softplus(x, beta)


def _hardtanh(beta: float, x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    return min_val + F.softplus(x - min_val, beta) - F.softplus(x - max_val, beta)


def _relu6(beta: float, x: Tensor) -> Tensor:
    return _hardtanh(beta, x, 0.0, 6.0)


def _leaky_relu(beta: float, x: Tensor, negative_slope: float = 0.01) -> Tensor:
    return negative_slope * x + (1 - negative_slope) * F.softplus(x, beta)


_aten = torch.ops.aten
_SMOOTH: dict[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), _relu),
    **dict.fromkeys((_aten.relu.default, _aten.relu_.default), _relu),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), _hardtanh),
    **dict.fromkeys((_aten.hardtanh.default, _aten.hardtanh_.default), _hardtanh),
    F.relu6: _relu6,
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_), _leaky_relu),
    **dict.fromkeys((_aten.leaky_relu.default, _aten.leaky_relu_.default), _leaky_relu),
}
