"""Maps that know nothing of the model: what every measure of an explanation is compared with."""

import torch
from torch import Tensor

from lookright.chance import image_chance

BASELINES = ("random", "centre")
_IN_WORDS = {"random": "a random map", "centre": "the middle of the image"}
_PURPOSE = 40


def baselines(images: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
    """A random map (B, h, w) and a centre prior for images (B, 3, H, W), by name.

    The random map is on the grid `size` = (h, w) of the explanation that it stands beside, to be as
    coarse: independent uniform numbers in [0, 1) that belong to the image (`image_chance`), the
    same in every batch and run, and unrelated in another view of the image. The centre prior is
    (B, H, W), as on a coarse grid it may be flat, and the same in every view.
    """
    h, w = size
    random = image_chance(images.detach(), h * w, purpose=_PURPOSE).view(-1, h, w)
    height, width = images.shape[-2:]
    centre = centre_prior((height, width), images).expand(len(images), height, width)
    return {"random": random, "centre": centre}


def in_words(baseline: str) -> str:
    """A baseline's name as said in a sentence."""
    return _IN_WORDS.get(baseline, baseline)


def centre_prior(size: tuple[int, int], like: Tensor, sigma: float = 0.25) -> Tensor:
    """(h, w): a Gaussian round the middle, 1 there; sigma is a share of each side."""
    down, across = ((-((_places(side).to(like) / sigma) ** 2) / 2).exp() for side in size)
    return down[:, None] * across


def _places(side: int) -> Tensor:
    """The middles of a side's pixels, from -1/2 to 1/2."""
    return (torch.arange(side) + 0.5) / side - 0.5
