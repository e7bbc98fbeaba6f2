"""The interface of a corruption, which has five severities."""

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
    """A corruption, with its name and family in ImageNet-C, or the family "own".

    spoil: a function of float32 images (B, 3, H, W) in [0, 1] and a severity from 1 to 5 that gives
    images of the same shape.
    """

    name: str
    family: Family
    spoil: Corrupts

    @torch.no_grad()
    def __call__(self, images: Tensor, severity: int) -> Tensor:
        """Corrupted images (B, 3, H, W) in [0, 1], computed in float32, of the images' dtype."""
        check_severity(severity)
        given = images.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        return self.spoil(given, severity).clamp(0, 1).to(images.dtype)


def check_severity(severity: int) -> None:
    """Raise UserError unless the severity is a whole number from 1 to 5."""
    if not isinstance(severity, int) or severity not in range(1, 6):
        raise UserError(f"Severity {severity!r}; expected a whole number from 1 to 5.")
