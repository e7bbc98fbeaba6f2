"""Gradients through BatchNorm in training mode that do not mix the images of a batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.replaced import Replaced


class BatchStatistics:
    """The statistics by which BatchNorm normalises a batch, which a gradient can take as constants.

    In training mode they depend on all images of the batch, so the gradient of one image's logit
    passes through them to the features of the others. An explanation made of such gradients depends
    on what is explained for the other images; of a batch with one class it can vanish.
    """

    def __init__(self) -> None:
        self._constant = False

    @contextmanager
    def constant(self) -> Iterator[None]:
        """Gradients taken inside hold the statistics fixed; those of the gradients, taken later,
        do not."""
        self._constant = True
        try:
            yield
        finally:
            self._constant = False

    def replacing(self, begun: Callable[[], object] = lambda: True) -> Replaced:
        """What lets `constant` have its effect on layers that run inside once `begun()` is true."""

        def batch_norm(
            x: Tensor,
            running_mean: Tensor | None,
            running_var: Tensor | None,
            weight: Tensor | None = None,
            bias: Tensor | None = None,
            training: bool = False,
            momentum: float = 0.1,
            eps: float = 1e-5,
        ) -> Tensor:
            samples = x.numel() // x.shape[1]
            if not (training and begun() and samples > 1):
                buffers = running_mean, running_var
                return F.batch_norm(x, *buffers, weight, bias, training, momentum, eps)
            values = x.to(torch.promote_types(x.dtype, torch.float32))
            over = [0, *range(2, x.dim())]
            mean = values.mean(over, keepdim=True)
            centred = values - self._held(mean)
            variance = centred.square().mean(over, keepdim=True)
            with torch.no_grad():
                if running_mean is not None:
                    running_mean.lerp_(mean.flatten().to(running_mean.dtype), momentum)
                if running_var is not None:
                    unbiased = variance.flatten() * (samples / (samples - 1))
                    running_var.lerp_(unbiased.to(running_var.dtype), momentum)
            scale = (self._held(variance) + eps).rsqrt()
            channels = (1, -1, *[1] * (x.dim() - 2))
            if weight is not None:
                scale = scale * weight.view(channels)
            found = centred * scale
            if bias is not None:
                found = found + bias.view(channels)
            return found.to(x.dtype)

        return Replaced({F.batch_norm: batch_norm})

    def _held(self, statistics: Tensor) -> Tensor:
        held: Tensor = _Held.apply(statistics, self)
        return held


class _Held(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, statistics: Tensor, of: BatchStatistics) -> Tensor:
        ctx.of = of
        return statistics.view_as(statistics)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        return None if ctx.of._constant else gradients[0], None
