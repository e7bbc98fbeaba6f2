"""Human masks made worse by a known amount, to ask what bad supervision does to a model."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.batch import Batch
from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.guides.guide import Target
from lookright.guides.human import HumanMask


@dataclass(frozen=True)
class Degraded(HumanMask):
    """A human mask made worse. What is random in it is the same for an image in every epoch, as an
    annotator's mistakes are (`chance.py`); augmentation makes other images."""

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        exact = super().__call__(batch, saliency)
        return replace(exact, maps=self.degrade(exact.maps, batch.images))

    @abstractmethod
    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        """What the masks (B, H, W) of images (B, 3, H, W) become."""


@dataclass(frozen=True)
class Dilated(Degraded):
    """Too large: the mask grown by `radius`, a share of each side, in a square; 0 leaves it."""

    radius: float = 0.1

    def __post_init__(self) -> None:
        _check_share(0, 1, radius=self.radius)

    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        down, across = (round(self.radius * side) for side in masks.shape[-2:])
        masks = F.max_pool2d(masks, (2 * down + 1, 1), 1, (down, 0))
        return F.max_pool2d(masks, (1, 2 * across + 1), 1, (0, across))


@dataclass(frozen=True)
class Shifted(Degraded):
    """Beside the object: the mask moved by `share` of the side, each image's in a direction of its
    own. What leaves at one border comes in at the other, so its area stays; 0 leaves it, and 0.5 is
    as far as it can go."""

    share: float = 0.25

    def __post_init__(self) -> None:
        _check_share(0, 0.5, share=self.share)

    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        height, width = masks.shape[-2:]
        down, across = _direction(images)
        rows = _count(height, images) - (self.share * height * down).round().long()[:, None]
        columns = _count(width, images) - (self.share * width * across).round().long()[:, None]
        sample = _count(len(masks), images)[:, None, None]
        return masks[sample, (rows % height)[:, :, None], (columns % width)[:, None]]


@dataclass(frozen=True)
class Part(Degraded):
    """A part of the object (ALIGN's lemma 4): `share` of its pixels, those on one side of a
    straight cut, each image's in a direction of its own; 1 leaves it."""

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"share is a part of the object above 0, up to 1; got {self.share}.")

    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        height, width = masks.shape[-2:]
        down, across = _direction(images)
        rows = down[:, None] * _count(height, images) / height
        columns = across[:, None] * _count(width, images) / width
        order = (rows[:, :, None] + columns[:, None]).flatten(1).argsort(dim=1, stable=True)
        flat = masks.flatten(1)
        rank = (flat > 0).gather(1, order).cumsum(1)
        kept = rank <= (self.share * rank[:, -1:]).ceil().clamp_min(1)
        return (flat * torch.zeros_like(kept).scatter(1, order, kept)).view_as(masks)


@dataclass(frozen=True)
class Swapped(HumanMask):
    """Of another image: `share` of the images have the mask of another one of their batch; 0 leaves
    all theirs. Where no other image of the batch has a mask, the image is left out."""

    share: float = 1.0

    def __post_init__(self) -> None:
        _check_share(0, 1, share=self.share)

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        exact = super().__call__(batch, saliency)
        swapped = image_chance(batch.images, 1, purpose=2)[:, 0] < self.share
        masked = torch.ones_like(swapped) if exact.known is None else exact.known
        other = _count(len(batch), batch.images)
        at = other[masked]
        other[masked] = at.roll(1)
        maps = torch.where(swapped[:, None, None], exact.maps[other], exact.maps)
        return replace(exact, maps=maps, known=masked & (~swapped | (len(at) > 1)))


def _direction(images: Tensor) -> tuple[Tensor, Tensor]:
    """Down and across, (B,) each, of length 1 together; an image's own."""
    angle = 2 * pi * image_chance(images, 1, purpose=1)[:, 0]
    return angle.sin(), angle.cos()


def _count(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, device=like.device)


def _check_share(least: float, most: float, **shares: float) -> None:
    for name, share in shares.items():
        if not least <= share <= most:
            raise UserError(f"{name} is a share from {least} to {most}, got {share}.")
