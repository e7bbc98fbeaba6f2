"""Operations that several corruptions share: lengths, blurs, zoom and clouds, all batched."""

from math import ceil
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor


def scale(images: Tensor) -> float:
    """Factor for ImageNet-C's lengths, which are for images of side 224: shorter side / 224."""
    return min(images.shape[-2:]) / 224


def gaussian(
    images: Tensor,
    sigma: float,
    truncate: float = 4,
    edge: Literal["repeat", "mirror"] = "repeat",
) -> Tensor:
    """Gaussian blur of (..., H, W), cut off at `truncate` sigma (SciPy's default).

    edge: beyond the border the last pixel is repeated, or the image is mirrored, including its last
    pixel.
    """
    h, w = images.shape[-2:]
    rows, columns = (_gaussian(size, sigma, truncate, edge).to(images) for size in (h, w))
    return rows @ images @ columns.T


def _gaussian(size: int, sigma: float, truncate: float, edge: str) -> Tensor:
    """(size, size): row i holds the weights of all pixels for pixel i."""
    reach = int(truncate * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1)
    weight = (-(offset / sigma).square() / 2).softmax(0)
    place = torch.arange(size)[:, None] + offset
    if edge == "mirror":
        place = place % (2 * size)
        place = torch.minimum(place, 2 * size - 1 - place)
    place = place.clamp(0, size - 1)
    return torch.zeros(size, size).scatter_add(1, place, weight.expand_as(place))


def disc(images: Tensor, radius: float) -> Tensor:
    """(B, C, H, W) averaged over a disc, with bilinear interpolation between pixels.

    A radius below one pixel therefore still blurs. The image is mirrored at the border, without
    repeating its last pixel.
    """
    line = torch.linspace(-radius, radius, 201)
    inside = (line[:, None].square() + line.square() <= radius**2).float()
    reach = ceil(radius)
    hat = (1 - (torch.arange(-reach, reach + 1)[:, None] - line).abs()).clamp_min(0)
    kernel = hat @ inside @ hat.T
    kernel = (kernel / kernel.sum()).to(images)
    padded = F.pad(images, [reach] * 4, mode="reflect")
    size = padded.shape[-2:]
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernel, s=size)
    return torch.fft.irfft2(spectrum, s=size)[..., 2 * reach :, 2 * reach :]


def motion(images: Tensor, radius: float, sigma: float, angle: Tensor) -> Tensor:
    """(B, C, H, W) smeared in one direction, at `angle` (B,) in degrees; borders are replicated.

    It takes 2 * radius + 1 steps of one pixel, weighted by half a Gaussian: ImageMagick's motion
    blur as implemented in imagecorruptions.
    """
    h, w = images.shape[-2:]
    reach = 2 * max(1, round(radius))
    weight = (-(torch.arange(reach + 1) / sigma).square() / 2).softmax(0).tolist()
    windows = F.pad(images, [reach] * 4, mode="replicate").unfold(2, h, 1).unfold(3, w, 1)
    along = torch.arange(reach + 1, device=images.device)[:, None]
    down = (along * angle.deg2rad().sin() - 0.5).ceil().long() + reach
    right = (along * angle.deg2rad().cos() - 0.5).ceil().long() + reach
    number = torch.arange(len(images), device=images.device)
    smeared = torch.zeros_like(images)
    for step, share in enumerate(weight):
        smeared.add_(windows[number, :, down[step], right[step]], alpha=share)
    return smeared


def zoom(images: Tensor, factor: float) -> Tensor:
    """(B, C, H, W): the middle of each image, enlarged bilinearly to the image's size."""
    h, w = images.shape[-2:]
    ch, cw = ceil(h / factor), ceil(w / factor)
    top, left = (h - ch) // 2, (w - cw) // 2
    middle = images[..., top : top + ch, left : left + cw]
    size = (round(ch * factor), round(cw * factor))
    large = F.interpolate(middle, size, mode="bilinear", align_corners=True)
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    return large[..., top : top + h, left : left + w]


def plasma(chance: Tensor, decay: float) -> Tensor:
    """(B, n, n) clouds in [0, 1] by the diamond-square algorithm, periodic at the borders.

    chance: (B, n, n) uniform in [0, 1), n a power of 2. The noise is divided by decay^2 each time
    the step halves.
    """
    n = chance.shape[-1]
    chance = 2 * chance - 1
    clouds = torch.zeros_like(chance)
    size = 1.0
    step = n
    while step > 1:
        whole, half = slice(0, n, step), slice(step // 2, n, step)
        corners = clouds[:, whole, whole]
        below, beside = corners + corners.roll(-1, 1), corners + corners.roll(-1, 2)
        centres = (below + below.roll(-1, 2)) / 4 + size * chance[:, half, half]
        above, before = centres + centres.roll(1, 1), centres + centres.roll(1, 2)
        clouds[:, half, half] = centres
        clouds[:, whole, half] = (above + beside) / 4 + size * chance[:, whole, half]
        clouds[:, half, whole] = (before + below) / 4 + size * chance[:, half, whole]
        size /= decay**2
        step //= 2
    low, high = clouds.amin((1, 2), keepdim=True), clouds.amax((1, 2), keepdim=True)
    return (clouds - low) / (high - low)
