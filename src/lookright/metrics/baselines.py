"""Baseline maps that do not depend on the model; every measure is compared with theirs."""

import torch
from torch import Tensor

from lookright.chance import image_chance

BASELINES = ("random", "centre")
_IN_WORDS = {"random": "a random map", "centre": "the middle of the image"}
_PURPOSE = 40
_LEVELS = 2**15
"""So fine that an image changed by less than half a level of 8 bits is another one."""


def baselines(images: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """A random map (B, h, w) and a centre prior (B, H, W) for images (B, 3, H, W), by name.

    The random map has the size (h, w) of the explanation that it is compared with, so that both are
    equally coarse. Its values are independent and uniform in [0, 1), and are derived from the image
    (`image_chance`): the same in every batch and run, but unrelated for another view of the image.
    The centre prior is the same in every view. It has the size of the image, since it could be
    constant on a coarse grid.
    """
    h, w = size
    random = image_chance(images.detach(), h * w, purpose=_PURPOSE, levels=_LEVELS)
    random = random.view(-1, h, w)
    height, width = images.shape[-2:]
    centre = centre_prior((height, width), images).expand(len(images), height, width)
    return {"random": random, "centre": centre}


def in_words(baseline: str) -> str:
    """A baseline's name for use in a sentence."""
    return _IN_WORDS.get(baseline, baseline)


def centre_prior(size: tuple[int, int], like: Tensor, sigma: float = 0.25) -> Tensor:
    """(h, w): a Gaussian with its peak of 1 in the middle; sigma is a share of each side."""
    down, across = ((-((_places(side).to(like) / sigma) ** 2) / 2).exp() for side in size)
    return down[:, None] * across


def _places(side: int) -> Tensor:
    """The coordinates of the pixel centres along one side, from -1/2 to 1/2."""
    return (torch.arange(side) + 0.5) / side - 0.5
