"""Maskers: networks from an image to a soft mask of what it is that shows the class."""

import torch.nn.functional as F
from torch import Tensor, nn

from lookright.errors import UserError


class ConvMasker(nn.Module):
    """A light convolutional masker: images (B, 3, H, W) in [0, 1] to masks (B, 1, grid, grid).

    Two strided convolutions read the image, two more at the mask's own grid join the places. There
    is no BatchNorm, so a mask depends on its own image alone. With width 32 it has 35,000
    parameters.
    """

    def __init__(self, grid: int = 8, width: int = 32) -> None:
        super().__init__()
        if grid < 2 or width < 8 or width % 8:
            raise UserError(
                "A masker needs a grid of 2 or more and a width that 8 divides, got "
                f"grid={grid}, width={width}."
            )
        self.grid = grid
        self.width = width
        self.read = nn.Sequential(_block(3, width // 2, 2), _block(width // 2, width, 2))
        self.join = nn.Sequential(_block(width, width), _block(width, width))
        self.mask = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = F.adaptive_avg_pool2d(self.read(images - 0.5), self.grid)
        return self.mask(self.join(features)).sigmoid()


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(outputs // 8, outputs),
        nn.ReLU(),
    )
