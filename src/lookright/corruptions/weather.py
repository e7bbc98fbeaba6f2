"""Weather: snow, frost, fog and brightness."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.corruptions import filters
from lookright.corruptions.corruption import Corruption
from lookright.corruptions.draws import between, normal, uniform
from lookright.corruptions.filters import scale


def snow(images: Tensor, severity: int) -> Tensor:
    """Snow: enlarged, thresholded and motion-blurred noise; the image turns paler and greyer."""
    mean, deviation, enlarged, threshold, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    size = scale(images)
    flakes = mean + deviation * normal(images, "snow", 1, *images.shape[-2:])
    flakes = filters.zoom(flakes, 1 + (enlarged - 1) * size)
    flakes = torch.where(flakes < threshold, 0, flakes).clamp(0, 1)
    angle = between(-135, -45, images, "snow angle", 1)[:, 0]
    flakes = filters.motion(flakes, radius * size, sigma * size, angle)
    luma = images.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    pale = torch.maximum(images, (images * luma).sum(1, keepdim=True) * 1.5 + 0.5)
    return kept * images + (1 - kept) * pale + flakes + flakes.flip(2, 3)


def frost(images: Tensor, severity: int) -> Tensor:
    """The image seen through ice. A SUBSTITUTE: ImageNet-C overlays photographs of frost.

    The photographs cannot be shipped, so the ice is synthetic (see `ice`). The weights are
    ImageNet-C's.
    """
    kept, laid = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    return kept * images + laid * ice(images)


def ice(images: Tensor) -> Tensor:
    """(B, 3, H, W): bluish crystals over clouds, each streaked in one of five directions.

    The ice of an image has a mean brightness of 0.45 to 0.85 and a standard deviation of 0.11,
    similar to the five photographs in imagecorruptions (measured: means 0.51 to 0.81, standard
    deviations 0.06 to 0.17).
    """
    b, _, h, w = images.shape
    size = scale(images)
    grain = normal(images, "frost grain", 1, h, w).square().repeat_interleave(5, 0)
    angle = between(0, 360, images, "frost angles", 5).flatten()
    streaks = filters.motion(grain, 12 * size, 8 * size, angle).view(b, 5, h, w)
    growth = normal(images, "frost crystals", 5, 9, 9)
    growth = F.interpolate(growth, (h, w), mode="bilinear", align_corners=True)
    grown, crystal = growth.max(1, keepdim=True)
    crystals = _standard((streaks.gather(1, crystal) * grown.clamp_min(0).sqrt())[:, 0])
    texture = _standard(crystals + 0.5 * _standard(_clouds(images, "frost", decay=1.6)))
    brightness = between(0.45, 0.85, images, "frost brightness", 1)[:, :, None]
    tint = images.new_tensor([0.89, 1.02, 1.09])[:, None, None]
    return ((brightness + 0.11 * texture)[:, None] * tint).clamp(0, 1)


def _standard(field: Tensor) -> Tensor:
    """(B, H, W), standardised to mean 0 and standard deviation 1 for each image."""
    field = field - field.mean((1, 2), keepdim=True)
    return field / field.std((1, 2), keepdim=True)


def fog(images: Tensor, severity: int) -> Tensor:
    """Fog: clouds by the diamond-square algorithm; the brightest value of the image is kept."""
    thickness, decay = ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))[severity - 1]
    brightest = images.amax((1, 2, 3), keepdim=True)
    foggy = images + thickness * _clouds(images, "fog", decay)[:, None]
    return foggy * brightest / (brightest + thickness)


def _clouds(images: Tensor, name: str, decay: float) -> Tensor:
    """(B, H, W) in [0, 1], cropped from clouds whose side is the next power of 2."""
    h, w = images.shape[-2:]
    side = 1 << (max(h, w) - 1).bit_length()
    return filters.plasma(uniform(images, name, side, side), decay)[:, :h, :w]


def brightness(images: Tensor, severity: int) -> Tensor:
    """Raises the value in HSV: hue and saturation stay the same, and black becomes grey."""
    value = images.amax(1, keepdim=True)
    raised = (value + (0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1]).clamp_max(1)
    return torch.where(value > 0, images * (raised / value.clamp_min(1e-6)), raised)


WEATHER = (
    Corruption("snow", "weather", snow),
    Corruption("frost", "weather", frost),
    Corruption("fog", "weather", fog),
    Corruption("brightness", "weather", brightness),
)
