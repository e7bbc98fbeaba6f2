"""Random augmentation of a batch; an image and its masks are always transformed together."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from lookright.batch import Batch
from lookright.errors import UserError

_MODES = {
    "images": "bilinear",
    "masks": "nearest",
    "tool_masks": "bilinear",
    "ignored": "nearest",
    "tool_ignored": "bilinear",
}
"""The fields that are transformed, and how each is interpolated."""


@final
@dataclass(frozen=True)
class Augment:
    """Randomly mirrors, shifts and zooms each sample, on the batch's device.

    flip: mirror left and right with probability 1/2. shift: shift by up to this fraction of the
    side along each axis, by whole pixels if scale is 0. scale: zoom by a factor drawn from [1 -
    scale, 1 + scale]. Borders are padded by reflection. Images and tool masks, which may be soft,
    are interpolated bilinearly and stay in [0, 1]; masks take the nearest pixel, so that binary
    masks stay binary. A pixel to which an ignored one contributes is ignored. Raises UserError
    unless shift is in [0, 1] and scale in [0, 1).
    """

    flip: bool = True
    shift: float = 0.1
    scale: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 1:
            raise UserError(
                f"Expected a shift from 0 to 1, as a share of the side; got {self.shift}."
            )
        if not 0 <= self.scale < 1:
            raise UserError(f"Expected a scale from 0 to below 1; got {self.scale}.")

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """The augmented batch; random numbers come from `generator`, or torch's for the device."""
        n, device = len(batch), batch.images.device
        moved = {name: values for name in _MODES if (values := getattr(batch, name)) is not None}
        if self.flip:
            flipped = torch.rand(n, 1, 1, 1, device=device, generator=generator) < 0.5
            for name, values in moved.items():
                moved[name] = torch.where(flipped, values.flip(-1), values)
        if self.shift or self.scale:
            chance = 2 * torch.rand(n, 3, device=device, generator=generator) - 1
            grid = self._grid(chance, batch.images.shape[-2:])
            for name, values in moved.items():
                moved[name] = _sample(values, grid, _MODES[name])
        return replace(batch, **moved)

    def _grid(self, chance: Tensor, size: torch.Size) -> Tensor:
        """(B, H, W, 2): the sampling position of each output pixel; chance (B, 3) is in [-1, 1]."""
        affine = torch.zeros(len(chance), 2, 3, device=chance.device)
        affine[:, 0, 0] = affine[:, 1, 1] = 1 / (1 + self.scale * chance[:, 2])
        for at, side in enumerate((size[1], size[0])):
            pixels = chance[:, at] * self.shift * side
            if not self.scale:
                pixels = pixels.round()
            affine[:, at, 2] = 2 * pixels / side
        return F.affine_grid(affine, [len(chance), 1, *size], align_corners=False)


def _sample(maps: Tensor, grid: Tensor, mode: str) -> Tensor:
    if maps.dtype == torch.bool:
        return _sample(maps.to(grid.dtype), grid, mode) > 0
    sampled = F.grid_sample(maps, grid, mode, padding_mode="reflection", align_corners=False)
    return sampled.clamp(0, 1)
