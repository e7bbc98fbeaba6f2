"""Losses that several processes compute together, each of its own part of a batch.

Data-parallel training averages the gradients of its processes. Where a loss is a mean over images,
and each process has equally many, that is the gradient of the whole batch. What stands here is for
losses that are not: within `together`, they are computed as for the whole batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor

_TOGETHER = ContextVar("together", default=False)


@contextmanager
def together(shared: bool = True) -> Iterator[None]:
    """Within it, the processes of torch's default group compute one loss; all must be within.

    shared: False changes nothing.
    """
    before = _TOGETHER.set(shared and dist.is_available() and dist.is_initialized())
    try:
        yield
    finally:
        _TOGETHER.reset(before)


def common(value: Tensor) -> Tensor:
    """The mean of `value` over the processes, with the gradient of this process's value.

    So a function of means over images is a function of their means over the whole batch, and the
    mean of its gradients over the processes is its gradient.
    """
    if not _TOGETHER.get():
        return value
    mean = value.detach().clone()
    dist.all_reduce(mean)
    mean /= dist.get_world_size()
    return mean + (value - value.detach())


def weight(count: Tensor | int, like: Tensor) -> Tensor | float:
    """The factor of a mean over `count` samples of this process; 1 where there is one process.

    With it, the mean over the processes is the mean over the samples of all of them. like: the
    values that the mean is of.
    """
    if not _TOGETHER.get():
        return 1.0
    precise = torch.promote_types(like.dtype, torch.float32)
    own = torch.as_tensor(count, dtype=precise, device=like.device)
    return own / common(own).clamp_min(1 / dist.get_world_size())
