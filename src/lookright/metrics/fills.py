"""What removed pixels become: every fill maps images (B, 3, H, W) in [0, 1] to the same."""

from collections.abc import Callable

import torch
from torch import Tensor

from lookright.errors import UserError, did_you_mean

Fill = Callable[[Tensor], Tensor]


def blur(images: Tensor) -> Tensor:
    """Each image under a Gaussian, sigma a tenth of its height and width; weights renormalised."""
    h, w = images.shape[-2:]
    return (_gaussian(h, images) @ images @ _gaussian(w, images).T).clamp(0, 1)


def mean_colour(images: Tensor) -> Tensor:
    """Each image's mean colour."""
    return images.mean((-2, -1), keepdim=True).expand_as(images)


def black(images: Tensor) -> Tensor:
    """Zeros."""
    return torch.zeros_like(images)


FILLS: dict[str, Fill] = {"blur": blur, "mean": mean_colour, "black": black}


def fill_named(name: str) -> Fill:
    """The fill of that name; raises UserError with the nearest one."""
    if name not in FILLS:
        raise UserError(
            f"Unknown fill '{name}'; expected one of {', '.join(FILLS)}.{did_you_mean(name, FILLS)}"
        )
    return FILLS[name]


def _gaussian(size: int, like: Tensor) -> Tensor:
    """(size, size): row i weighs every pixel by its distance from i, summing to 1."""
    position = torch.arange(size, device=like.device, dtype=like.dtype)
    distance = (position[:, None] - position) / (0.1 * size)
    return (-distance.square() / 2).softmax(1)
