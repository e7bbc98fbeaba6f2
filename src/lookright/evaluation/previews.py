"""Images and maps as 8 bits, for display only."""

import torch
from torch import Tensor


def pixels(images: Tensor) -> Tensor:
    """(..., 3, H, W) in [0, 1] as (..., H, W, 3) uint8."""
    return (images.movedim(-3, -1) * 255).round().byte()


def grey(masks: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] as (B, H, W) uint8."""
    return (masks[:, 0] * 255).round().byte()


def heat(saliency: Tensor) -> Tensor:
    """(..., h, w) scaled to its own peak, uint8."""
    peak = saliency.amax((-2, -1), keepdim=True).clamp_min(torch.finfo(saliency.dtype).tiny)
    return (saliency / peak * 255).round().byte()
