"""Annotated masks degraded by a known amount, to measure the effect of bad supervision."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.batch import Batch
from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.guides.guide import Target, mask_target
from lookright.guides.human import HumanMask


@dataclass(frozen=True)
class Degraded(HumanMask):
    """A degraded annotated mask.

    Its randomness is derived from the image (`chance.py`), so that it is the same in every epoch,
    like the mistakes of an annotator; an augmented image counts as another image. Pixels that the
    annotation ignores stay ignored.
    """

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        exact = super().__call__(batch, saliency)
        maps = self.degrade(exact.maps, batch.images)
        if exact.ignored is None:
            return replace(exact, maps=maps)
        return mask_target(maps[:, None], exact.known, exact.ignored[:, None])

    @abstractmethod
    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        """The degraded masks (B, H, W), from the masks (B, H, W) of images (B, 3, H, W)."""


@dataclass(frozen=True)
class Dilated(Degraded):
    """A mask that is too large: dilated by a square of `radius`, a share of each side."""

    radius: float = 0.1

    def __post_init__(self) -> None:
        _check_share(0, 1, radius=self.radius)

    def degrade(self, masks: Tensor, images: Tensor) -> Tensor:
        down, across = (round(self.radius * side) for side in masks.shape[-2:])
        masks = F.max_pool2d(masks, (2 * down + 1, 1), 1, (down, 0))
        return F.max_pool2d(masks, (1, 2 * across + 1), 1, (0, across))


@dataclass(frozen=True)
class Shifted(Degraded):
    """A misplaced mask: shifted by `share` of the side, in a random direction for each image.

    The shift wraps around at the borders, so the area stays the same; 0 is no shift, 0.5 the
    largest.
    """

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
    """An incomplete mask (ALIGN's lemma 4): only `share` of its pixels.

    They are those on one side of a straight cut, in a random direction for each image; 1 keeps all.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(
                "share is the share of the object to keep, above 0 and at most 1; got "
                f"{self.share}."
            )

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
    """The mask of another image of the batch, for `share` of the images; 0 swaps none.

    If no other image of the batch has a mask, the image is left out.
    """

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
        source = torch.where(swapped, other, _count(len(batch), batch.images))
        ignored = None if exact.ignored is None else exact.ignored[source]
        known = masked & (~swapped | (len(at) > 1))
        return replace(exact, maps=exact.maps[source], known=known, ignored=ignored)


def _direction(images: Tensor) -> tuple[Tensor, Tensor]:
    """A random unit vector for each image: its components down and across, (B,) each."""
    angle = 2 * pi * image_chance(images, 1, purpose=1)[:, 0]
    return angle.sin(), angle.cos()


def _count(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, device=like.device)


def _check_share(least: float, most: float, **shares: float) -> None:
    for name, share in shares.items():
        if not least <= share <= most:
            raise UserError(f"{name} is a share from {least} to {most}, got {share}.")
