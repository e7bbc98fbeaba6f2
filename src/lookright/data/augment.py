"""Random augmentation of a batch; an image and its masks are always transformed together."""

from dataclasses import dataclass, replace
from math import log
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from lookright.batch import Batch
from lookright.data.colours import grey, jittered
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
    """Randomly mirrors, crops, shifts, zooms and recolours each sample, on the batch's device.

    flip: mirror left and right with probability 1/2. shift: shift by up to this fraction of the
    side along each axis, by whole pixels if nothing is zoomed. scale: zoom by a factor drawn from
    [1 - scale, 1 + scale]. crop: the least share of the area that is kept: a rectangle of a share
    drawn from [crop, 1], of an aspect ratio drawn from [3/4, 4/3] and cut where it is longer than
    the image, is enlarged to the whole image (torchvision's RandomResizedCrop); 1 crops nothing.
    colour: brightness, contrast and saturation are changed by a factor drawn from [1 - colour, 1 +
    colour], the hue by up to this fraction of the circle (torchvision's ColorJitter, always in this
    order). grey: the probability of an image without colour.

    Borders are padded by reflection. Images and tool masks, which may be soft, are interpolated
    bilinearly and stay in [0, 1]; masks take the nearest pixel, so that binary masks stay binary. A
    pixel to which an ignored one contributes is ignored. Only images are recoloured. Raises
    UserError unless shift and grey are in [0, 1], scale in [0, 1), crop in (0, 1], colour in
    [0, 0.5].
    """

    flip: bool = True
    shift: float = 0.1
    scale: float = 0.0
    crop: float = 1.0
    colour: float = 0.0
    grey: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 1:
            raise UserError(
                f"Expected a shift from 0 to 1, as a share of the side; got {self.shift}."
            )
        if not 0 <= self.scale < 1:
            raise UserError(f"Expected a scale from 0 to below 1; got {self.scale}.")
        if not 0 < self.crop <= 1:
            raise UserError(f"crop is a share of the area, above 0 and up to 1; got {self.crop}.")
        if not 0 <= self.colour <= 0.5:
            raise UserError(f"Expected a colour from 0 to 0.5; got {self.colour}.")
        if not 0 <= self.grey <= 1:
            raise UserError(f"grey is a probability, from 0 to 1; got {self.grey}.")

    def __call__(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """The augmented batch; random numbers come from `generator`, or torch's for the device."""
        n, device = len(batch), batch.images.device

        def chance(count: int) -> Tensor:
            return torch.rand(n, count, device=device, generator=generator)

        moved = {name: values for name in _MODES if (values := getattr(batch, name)) is not None}
        if self.flip:
            flipped = chance(1).view(-1, 1, 1, 1) < 0.5
            for name, values in moved.items():
                moved[name] = torch.where(flipped, values.flip(-1), values)
        if self.shift or self.scale or self.crop < 1:
            affine = self._affine(2 * chance(3) - 1, batch.images.shape[-2:])
            if self.crop < 1:
                affine = _within(affine, *self._rectangle(chance(4)))
            grid = F.affine_grid(affine, [n, 1, *batch.images.shape[-2:]], align_corners=False)
            for name, values in moved.items():
                moved[name] = _sample(values, grid, _MODES[name])
        if self.colour:
            amounts = self.colour * (2 * chance(4) - 1)
            moved["images"] = jittered(moved["images"], amounts)
        if self.grey:
            plain = chance(1).view(-1, 1, 1, 1) < self.grey
            moved["images"] = torch.where(plain, grey(moved["images"]), moved["images"])
        return replace(batch, **moved)

    def _affine(self, chance: Tensor, size: torch.Size) -> Tensor:
        """(B, 2, 3): from places of the output to those of the input; chance (B, 3) is in [-1, 1].

        Places are in [-1, 1] along each axis.
        """
        affine = torch.zeros(len(chance), 2, 3, device=chance.device)
        affine[:, 0, 0] = affine[:, 1, 1] = 1 / (1 + self.scale * chance[:, 2])
        for at, side in enumerate((size[1], size[0])):
            pixels = chance[:, at] * self.shift * side
            if not self.scale and self.crop == 1:
                pixels = pixels.round()
            affine[:, at, 2] = 2 * pixels / side
        return affine

    def _rectangle(self, chance: Tensor) -> tuple[Tensor, Tensor]:
        """Sides and centres, each (B, 2) as (x, y), in the units of `_affine`; chance (B, 4)."""
        area = self.crop + (1 - self.crop) * chance[:, 0]
        ratio = ((2 * chance[:, 1] - 1) * log(4 / 3)).exp()
        sides = torch.stack([area * ratio, area / ratio], 1).sqrt().clamp(max=1)
        return sides, (2 * chance[:, 2:] - 1) * (1 - sides)


def _within(affine: Tensor, sides: Tensor, centres: Tensor) -> Tensor:
    """The places (B, 2, 3) in a rectangle of the image instead of the whole of it."""
    inside = affine * sides[:, :, None]
    inside[:, :, 2] += centres
    return inside


def _sample(maps: Tensor, grid: Tensor, mode: str) -> Tensor:
    if maps.dtype == torch.bool:
        return _sample(maps.to(grid.dtype), grid, mode) > 0
    sampled = F.grid_sample(maps, grid, mode, padding_mode="reflection", align_corners=False)
    return sampled.clamp(0, 1)
