"""The moving average of a network's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def tensors_of(network: nn.Module) -> dict[str, Tensor]:
    """The network's weights and buffers by name, each once, also where layers share one."""
    parameters = {name: each.detach() for name, each in network.named_parameters()}
    return parameters | dict(network.named_buffers())


@torch.no_grad()
def average_in(
    average: Mapping[str, Tensor], own: Mapping[str, Tensor], decay: float, steps: int
) -> None:
    """average <- d average + (1 - d) own, in place, with d = min(decay, (1 + t) / (10 + t)).

    steps: t, those before. So the first weights soon count for little. Tensors of whole numbers
    are copied.
    """
    kept = min(decay, (1 + steps) / (10 + steps))
    for name, each in own.items():
        if each.is_floating_point():
            average[name].lerp_(each, 1 - kept)
        else:
            average[name].copy_(each)
