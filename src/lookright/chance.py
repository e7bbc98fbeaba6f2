"""Chance that belongs to an image: drawn at random, and the same whenever the image is seen."""

import torch
from torch import Tensor

_CUT = 2**31 - 1


def image_chance(images: Tensor, count: int, purpose: int) -> Tensor:
    """(B, count) numbers, as if uniform in [0, 1), that follow from each image (B, ...) alone.

    An image is known by its pixels in 8 bits, so its numbers are the same in every epoch, batch and
    run and on every device. An augmented view is an image of its own. purpose: numbers for another
    purpose are others.
    """
    levels = (images.flatten(1) * 255).round().long()
    place = torch.arange(levels.shape[1], device=images.device) + purpose
    name = (levels * _scattered(place)).sum(1)
    number = torch.arange(count, device=images.device)
    return (_scattered(name[:, None] + _scattered(number)) >> 7).to(images.dtype) / 2**24


def _scattered(number: Tensor) -> Tensor:
    """Whole numbers to others in [0, 2^31) that seem unrelated: shifted, multiplied, cut off."""
    number = (number + 0x2545F491) & _CUT
    number = (number ^ number >> 16) * 0x45D9F3B & _CUT
    number = (number ^ number >> 15) * 0x45D9F3B & _CUT
    return number ^ number >> 16
