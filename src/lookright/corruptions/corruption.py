"""What a corruption is: images in, the same images spoiled at one of five severities out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lookright.errors import UserError

Family = Literal["noise", "blur", "weather", "digital", "own"]

Corrupts = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Corruption:
    """One way in which images go bad, by ImageNet-C's name and family, or "own".

    spoil: float32 images (B, 3, H, W) in [0, 1] and a severity from 1 to 5 to images of that shape.
    """

    name: str
    family: Family
    spoil: Corrupts

    @torch.no_grad()
    def __call__(self, images: Tensor, severity: int) -> Tensor:
        """(B, 3, H, W) in [0, 1], computed in float32 and given back in the images' own type."""
        check_severity(severity)
        return self.spoil(images.float().contiguous(), severity).clamp(0, 1).to(images.dtype)


def check_severity(severity: int) -> None:
    """Raises UserError for another number than 1 to 5."""
    if severity not in range(1, 6):
        raise UserError(f"Severity {severity}; expected a whole number from 1 to 5.")
