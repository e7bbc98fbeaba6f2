"""Digital corruptions, as by cameras, screens and file formats."""

from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lookright.corruptions import filters
from lookright.corruptions.corruption import Corruption
from lookright.corruptions.draws import between
from lookright.corruptions.filters import scale


def contrast(images: Tensor, severity: int) -> Tensor:
    """Lower contrast: every channel moves towards its mean over the image."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = images.mean((2, 3), keepdim=True)
    return mean + kept * (images - mean)


def elastic_transform(images: Tensor, severity: int) -> Tensor:
    """Displaces pixels by smoothed noise, by 1 pixel at severity 1 to 2.4 at 5 (for side 224).

    As in imagecorruptions, where the displacement grows with the severity. ImageNet-C's version
    also rotates and shears the whole image, most at severity 2, which moves objects off their
    masks.
    """
    strength = (12.5, 16.25, 21.25, 25, 30)[severity - 1]
    h, w = images.shape[-2:]
    size = scale(images)
    offset = between(-1.12, 1.12, images, "elastic_transform", 2, h, w)
    offset = filters.gaussian(offset, 2.24 * size, truncate=3, edge="mirror")
    # Squared: smoothing over a shorter length leaves stronger noise, but it should be weaker.
    offset = strength * size**2 * offset
    row = torch.arange(h, device=images.device)[:, None] + offset[:, 0]
    column = torch.arange(w, device=images.device) + offset[:, 1]
    grid = torch.stack([(2 * column + 1) / w - 1, (2 * row + 1) / h - 1], -1)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def pixelate(images: Tensor, severity: int) -> Tensor:
    """Blocks of their mean colour, 1.7 to 4 pixels wide (for side 224), at least one pixel."""
    block = 1 / (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    kept = 1 / (1 + (block - 1) * scale(images))
    rows, columns = (_blocks(size, int(size * kept)).to(images) for size in images.shape[-2:])
    return rows @ images @ columns.T


def _blocks(size: int, count: int) -> Tensor:
    """(size, size): row i holds the weights of all pixels for pixel i, as Pillow's BOX and NEAREST.

    A pixel belongs to the block that contains its centre.
    """
    middle = torch.arange(size, dtype=torch.float64) + 0.5
    block = torch.arange(count, dtype=torch.float64)[:, None]
    inside = (middle > block * size / count) & (middle <= (block + 1) * size / count)
    mean = inside / inside.sum(1, keepdim=True)
    return mean[(middle * count / size).long()]


def jpeg_compression(images: Tensor, severity: int) -> Tensor:
    """JPEG compression, image by image on the CPU, whatever the device of the images."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    levels = (255 * images).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    read = torch.from_numpy(np.stack([_through_jpeg(image, quality) for image in levels]))
    return read.permute(0, 3, 1, 2).to(images) / 255


def _through_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The 8-bit image (H, W, 3), encoded and decoded by Pillow."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def saturate(images: Tensor, severity: int) -> Tensor:
    """HSV saturation lowered (severity 1 and 2) or raised; a grey pixel's hue counts as red."""
    factor, added = ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))[severity - 1]
    value = images.amax(1, keepdim=True)
    range_ = value - images.amin(1, keepdim=True)
    saturation = (factor * range_ / value.clamp_min(1e-6) + added).clamp_max(1)
    red = images.new_tensor([0, 1, 1])[:, None, None]
    hue = torch.where(range_ > 0, (value - images) / range_.clamp_min(1e-6), red)
    return value * (1 - saturation * hue)


DIGITAL = (
    Corruption("contrast", "digital", contrast),
    Corruption("elastic_transform", "digital", elastic_transform),
    Corruption("pixelate", "digital", pixelate),
    Corruption("jpeg_compression", "digital", jpeg_compression),
)
SATURATE = Corruption("saturate", "digital", saturate)
