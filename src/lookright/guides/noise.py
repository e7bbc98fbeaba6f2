"""A random mask as the guide."""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target


@dataclass(frozen=True)
class RandomMask(Guide):
    """A mask unrelated to the image content: random blobs that cover `share` of the image.

    The blobs are where a sum of random low-frequency waves is highest, so every place is equally
    likely. The mask is derived from the image and is the same in every epoch (`chance.py`), like
    bad supervision; masks drawn anew in each epoch would average out. An augmented image has
    another mask.

    share: share of the image to cover, in (0, 1]; the digits of Shortcut cover 0.16. waves: highest
    number of periods along a side; fewer give larger blobs.
    """

    share: float = 0.15
    waves: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(
                "share is the share of the image to cover, above 0 and at most 1; got "
                f"{self.share}."
            )
        if self.waves < 1:
            raise UserError(f"waves is a number of 1 or more, got {self.waves}.")

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        size, n = batch.images.shape[-2:], self.waves + 1
        chance = image_chance(batch.images, 2 * n**2, purpose=0).view(-1, 2, n, n)
        phases = 2 * pi * chance.to(torch.promote_types(chance.dtype, torch.float32))
        waves = torch.fft.ifft2(torch.polar(torch.ones_like(phases), phases), s=size).real
        field = (waves[:, 0] + waves[:, 1].flip(-1)).flatten(1)
        highest = field.topk(max(1, round(self.share * size.numel()))).indices
        maps = torch.zeros_like(field).scatter(1, highest, 1)
        return Target(maps.unflatten(1, size).to(batch.images.dtype), is_mask=True)
