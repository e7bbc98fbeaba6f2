"""Adapters that run pyautoattack's attacks as ours: the model, the random numbers, the norm."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf

import torch
from torch import Generator, Tensor

from lookright.attacks.ball import Ball
from lookright.attacks.norms import L2, LInf, Norm
from lookright.attacks.objectives import logits_of
from lookright.errors import UserError

Predict = Callable[[Tensor], Tensor]


def norm_name(norm: Norm) -> str:
    """pyautoattack's name of a norm."""
    for known, name in ((LInf, "Linf"), (L2, "L2")):
        if isinstance(norm, known):
            return name
    raise UserError(f"This attack knows LInf() and L2(), got {norm}.")


@contextmanager
def seeded(generator: Generator | None) -> Iterator[int]:
    """A seed drawn from the generator, for a library that seeds torch's global random state.

    The global state is restored afterwards. Without a generator the seed is drawn from it.
    """
    device = "cpu" if generator is None else generator.device
    seed = int(torch.randint(2**31, (), generator=generator, device=device))
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        yield seed


def as_float32(model: Predict, dtype: torch.dtype) -> Predict:
    """The model as a function from float32 to float32, as pyautoattack expects.

    The model itself sees images of `dtype`. The logits are a copy that may be written into. The
    gradient is zero where it is NaN or the model blocks it.
    """

    def predict(z: Tensor) -> Tensor:
        logits = logits_of(model, z.to(dtype)).to(torch.float32, copy=True)
        if z.requires_grad and torch.is_grad_enabled():
            z.register_hook(lambda gradient: gradient.nan_to_num(0, inf, -inf))
            if not logits.requires_grad:
                logits = logits + 0 * z.flatten(1).sum(1, keepdim=True)
        return logits

    return predict


def inside(ball: Ball, z: Tensor, x: Tensor) -> Tensor:
    """z (B, C, H, W) of any floating type, projected into the ball around x, in x's dtype.

    An image of z that is not finite is replaced by that of x.
    """
    whole = z.isfinite().flatten(1).all(1).view(-1, 1, 1, 1)
    delta = torch.where(whole, z.to(x.dtype) - x, 0)
    return ball.moved(x, delta)
