"""Changes of an image's colours, each image by its own amount: images (B, 3, H, W) in [0, 1].

Brightness, contrast, saturation and hue are changed as by torchvision's `adjust_brightness`,
`adjust_contrast`, `adjust_saturation` and `adjust_hue`, which take one amount for all images.
"""

import torch
from torch import Tensor


def jittered(images: Tensor, amounts: Tensor) -> Tensor:
    """Brightness, contrast, saturation and hue of each image changed, in this order.

    amounts: (B, 4); the first three are added to a factor of 1, the last is in turns of the circle.
    """
    brightness, contrast, saturation, hue = amounts.to(images).T.reshape(4, -1, 1, 1, 1)
    images = (images * (1 + brightness)).clamp(0, 1)
    images = images.lerp(grey(images).mean((2, 3), keepdim=True), -contrast).clamp(0, 1)
    images = images.lerp(grey(images), -saturation).clamp(0, 1)
    return _turned(images, hue)


def grey(images: Tensor) -> Tensor:
    """(B, 1, H, W): the luma of ITU-R 601."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def _turned(images: Tensor, turns: Tensor) -> Tensor:
    """The hue moved by `turns` (B, 1, 1, 1) of the circle; value and saturation are kept."""
    red, green, blue = images.unbind(1)
    value, chroma = images.amax(1), images.amax(1) - images.amin(1)
    span = chroma.clamp_min(torch.finfo(images.dtype).tiny)
    sixth = torch.where(value == green, (blue - red) / span + 2, (red - green) / span + 4)
    sixth = torch.where(value == red, (green - blue) / span, sixth) + 6 * turns[:, 0]
    channels = []
    for start in (5, 3, 1):
        place = (start + sixth).remainder(6)
        channels.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, 1)
