"""Blur by the lens, by frosted glass and by camera motion; lengths scale with the image."""

import torch
from torch import Tensor

from lookright.corruptions import filters
from lookright.corruptions.corruption import Corruption
from lookright.corruptions.draws import between, uniform
from lookright.corruptions.filters import scale


def defocus_blur(images: Tensor, severity: int) -> Tensor:
    """Out of focus: the mean over a disc."""
    return filters.disc(images, (3, 4, 6, 8, 10)[severity - 1] * scale(images))


def glass_blur(images: Tensor, severity: int) -> Tensor:
    """Frosted glass: Gaussian blur, each pixel takes the value of a close one, then blur again.

    If the distance is below one pixel (small images), only that share of the pixels moves.
    """
    sigma, reach, rounds = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[
        severity - 1
    ]
    sigma, wished = sigma * scale(images), reach * scale(images)
    reach = max(1, round(wished))
    number, share = (2 * reach) ** 2, min(1, wished / reach)
    chance = uniform(images, "glass_blur", rounds, *images.shape[-2:])
    middle = reach * (2 * reach + 1)  # the index of the zero offset
    offsets = (number * chance / share).long().clamp_max(number - 1)
    offsets = torch.where(chance < share, offsets, middle)
    blurred = filters.gaussian(images, sigma)
    for offset in offsets.unbind(1):
        down, right = offset // (2 * reach) - reach, offset % (2 * reach) - reach
        source = _taken_from(down, right, reach).flatten(1)[:, None].expand(-1, 3, -1)
        blurred = blurred.flatten(2).gather(2, source).view_as(images)
    return filters.gaussian(blurred, sigma)


def _taken_from(down: Tensor, right: Tensor, reach: int) -> Tensor:
    """(B, H, W): the index of the pixel whose original value each pixel ends up with.

    down, right: offsets (B, H, W), at most `reach`. ImageNet-C visits the pixels from the last to
    the first, and each takes the current value of the pixel at its offset; a pixel visited earlier
    already has its new value. The values therefore travel along chains. Here all chains are
    followed at once, by pointer doubling.
    """
    b, h, w = down.shape
    place = torch.arange(h * w, device=down.device).view(h, w)
    row, column = place // w, place % w
    moves = (row > reach) & (row <= h - reach) & (column > reach) & (column <= w - reach)
    taken = torch.where(moves, place + down * w + right, place)
    goes_on = (taken > place) & moves.flatten()[taken]
    following = torch.where(goes_on, taken, taken + h * w).flatten(1)
    ends = (place + h * w).flatten().expand(b, -1)
    following = torch.cat([following, ends], 1)
    while (following < h * w).any():
        following = following.gather(1, following)
    return (following[:, : h * w] - h * w).view(b, h, w)


def motion_blur(images: Tensor, severity: int) -> Tensor:
    """The camera moves at an angle between -45 and 45 degrees."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    angle = between(-45, 45, images, "motion_blur", 1)[:, 0]
    return filters.motion(images, radius * scale(images), sigma * scale(images), angle)


def zoom_blur(images: Tensor, severity: int) -> Tensor:
    """The camera moves towards the scene: the mean of the image and its enlargements."""
    count, step = ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03))[severity - 1]
    total = images.clone()
    for number in range(count):
        total += filters.zoom(images, 1 + number * step)
    return total / (count + 1)


def gaussian_blur(images: Tensor, severity: int) -> Tensor:
    """A Gaussian blur."""
    return filters.gaussian(images, (1, 2, 3, 4, 6)[severity - 1] * scale(images))


BLURS = (
    Corruption("defocus_blur", "blur", defocus_blur),
    Corruption("glass_blur", "blur", glass_blur),
    Corruption("motion_blur", "blur", motion_blur),
    Corruption("zoom_blur", "blur", zoom_blur),
)
GAUSSIAN = Corruption("gaussian_blur", "blur", gaussian_blur)
