"""Random numbers derived from the image: the same in every batch and at every severity."""

from math import isqrt, prod, sqrt
from zlib import crc32

import torch
from torch import Tensor

from lookright.chance import image_chance


def uniform(images: Tensor, name: str, *shape: int) -> Tensor:
    """(B, *shape) uniform numbers in [0, 1), multiples of 2^-24; each name has its own numbers."""
    return image_chance(images, prod(shape), crc32(name.encode())).unflatten(1, shape)


def between(low: float, high: float, images: Tensor, name: str, *shape: int) -> Tensor:
    """(B, *shape) uniform numbers in [low, high)."""
    return low + (high - low) * uniform(images, name, *shape)


def normal(images: Tensor, name: str, *shape: int) -> Tensor:
    """(B, *shape) numbers of the standard normal distribution, none beyond 5.4."""
    return sqrt(2) * torch.erfinv(2 * uniform(images, name, *shape) - 1 + 2**-24)


def poisson(images: Tensor, name: str, rate: int) -> Tensor:
    """Poisson counts of the same shape as the images, with mean rate * image.

    Drawn by inversion. The mean is rounded to the nearest of 256 levels, as in an 8-bit image, so
    that one search in one table serves all pixels.
    """
    mean = rate * torch.arange(256, dtype=torch.float64)[:, None] / 255
    count = torch.arange(1, rate + 6 * isqrt(rate) + 16, dtype=torch.float64)
    chance = torch.special.gammaincc(count, mean)
    chance[:, -1] = 1
    table = ((torch.arange(256)[:, None] + chance) * 2**24).long().flatten().to(images.device)
    level = (255 * images).round().long()
    draw = (2**24 * uniform(images, name, *images.shape[1:])).long()
    found = torch.searchsorted(table, level * 2**24 + draw, right=True)
    return (found - len(count) * level).to(images.dtype)
