"""Independent noise in each pixel; its strength does not depend on the size of the image."""

import torch
from torch import Tensor

from lookright.corruptions.corruption import Corruption
from lookright.corruptions.draws import normal, poisson, uniform


def gaussian_noise(images: Tensor, severity: int) -> Tensor:
    """Gaussian noise, as of a sensor in low light."""
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return images + sigma * normal(images, "gaussian_noise", *images.shape[1:])


def shot_noise(images: Tensor, severity: int) -> Tensor:
    """Shot noise: Poisson counts of photons, with a mean for white of 60 down to 3."""
    rate = (60, 25, 12, 5, 3)[severity - 1]
    return poisson(images, "shot_noise", rate) / rate


def impulse_noise(images: Tensor, severity: int) -> Tensor:
    """Salt-and-pepper noise: a share of the values becomes 0 or 1, each channel on its own."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    chance = uniform(images, "impulse_noise", *images.shape[1:])
    noisy = torch.where(chance < share / 2, 0.0, images)
    return torch.where(chance >= 1 - share / 2, 1.0, noisy)


def speckle_noise(images: Tensor, severity: int) -> Tensor:
    """Gaussian noise in proportion to the pixel value."""
    sigma = (0.15, 0.2, 0.35, 0.45, 0.6)[severity - 1]
    return images + images * sigma * normal(images, "speckle_noise", *images.shape[1:])


NOISES = (
    Corruption("gaussian_noise", "noise", gaussian_noise),
    Corruption("shot_noise", "noise", shot_noise),
    Corruption("impulse_noise", "noise", impulse_noise),
)
SPECKLE = Corruption("speckle_noise", "noise", speckle_noise)
