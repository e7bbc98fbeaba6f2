"""Spatter: drops of water or mud on the lens, from the image operations of OpenCV."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.corruptions import filters
from lookright.corruptions.corruption import Corruption
from lookright.corruptions.draws import normal
from lookright.corruptions.filters import scale
from lookright.distances import resize


def spatter(images: Tensor, severity: int) -> Tensor:
    """Drops where smoothed noise is high: water, shaded as a relief, or mud at severity 4 and 5.

    Computed for a shorter side of 224 px and resized, since drops are finer than the pixels of
    small images.
    """
    mean, deviation, sigma, threshold, strength = (
        (0.65, 0.3, 4, 0.69, 0.6),
        (0.65, 0.3, 3, 0.68, 0.6),
        (0.65, 0.3, 2, 0.68, 0.5),
        (0.65, 0.3, 1, 0.65, 1.5),
        (0.67, 0.4, 1, 0.65, 1.5),
    )[severity - 1]
    h, w = (round(side / scale(images)) for side in images.shape[-2:])
    liquid = filters.gaussian(mean + deviation * normal(images, "spatter", h, w), sigma)
    liquid = torch.where(liquid < threshold, 0, liquid)
    if severity > 3:
        mud = filters.gaussian((liquid > threshold).float(), strength)
        mud = resize(torch.where(mud < 0.8, 0, mud), images.shape[-2:])[:, None]
        return images * (1 - mud) + mud * images.new_tensor([63, 42, 20])[:, None, None] / 255
    level = (255 * liquid).floor()
    water = level * _relief(level)
    water = strength * water / water.amax((1, 2), keepdim=True).clamp_min(1)
    water = resize(water, images.shape[-2:])[:, None]
    return images + water * images.new_tensor([175, 238, 238])[:, None, None] / 255


def _relief(level: Tensor) -> Tensor:
    """(B, H, W) in 0 to 255: shading from the distance to the drops' edges, equalised."""
    depth = _smooth(_distance(_edges(level), reach=20).clamp_max(20)).floor()
    counts = torch.stack([(depth == k).sum((1, 2)) for k in range(21)], 1)
    first = counts.gather(1, (counts > 0).int().argmax(1, keepdim=True))
    others = (depth[0].numel() - first).clamp_min(1)
    equal = (255 * (counts.cumsum(1) - first) / others).round()
    height = equal.gather(1, depth.flatten(1).long()).view_as(depth)
    light = height.new_tensor([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])[None, None]
    lit = F.conv2d(F.pad(height[:, None], [1] * 4, mode="reflect"), light)[:, 0]
    return _smooth(lit.clamp(0, 255)).round()


def _edges(level: Tensor) -> Tensor:
    """(B, H, W) bool: the gradient is above 150 and a maximum along its direction (Canny)."""
    sobel = level.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    around = F.pad(level[:, None], [1] * 4, mode="replicate")
    across, down = F.conv2d(around, torch.stack([sobel, sobel.T])[:, None]).unbind(1)
    slope = across.abs() + down.abs()
    near = F.pad(slope, [1] * 4).unfold(1, 3, 1).unfold(2, 3, 1).flatten(3).unbind(-1)
    steeper = down.abs() / across.abs().clamp_min(1e-6)
    falling, rising = (slope > near[0]) & (slope > near[8]), (slope > near[2]) & (slope > near[6])
    peak = torch.where(across * down >= 0, falling, rising)
    peak = torch.where(steeper < 2**0.5 - 1, (slope > near[3]) & (slope >= near[5]), peak)
    peak = torch.where(steeper > 2**0.5 + 1, (slope > near[1]) & (slope >= near[7]), peak)
    return peak & (slope > 150)


def _distance(there: Tensor, reach: int) -> Tensor:
    """(B, H, W): distance in pixels to the nearest True of `there`, up to about `reach`."""
    far = 4.0 * (reach + 1) ** 2
    squared = torch.where(there, 0.0, far)
    for _ in ("rows", "columns"):
        size, around = squared.shape[-1], F.pad(squared, [reach] * 2, value=far)
        shifts = range(2 * reach + 1)
        near = [around[..., at : at + size] + (at - reach) ** 2 for at in shifts]
        squared = torch.stack(near).amin(0).mT
    return squared.sqrt()


def _smooth(field: Tensor) -> Tensor:
    """(B, H, W) averaged over 3 x 3 pixels."""
    return F.avg_pool2d(F.pad(field[:, None], [1] * 4, mode="reflect"), 3, 1)[:, 0]


SPATTER = Corruption("spatter", "weather", spatter)
