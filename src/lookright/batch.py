"""What a batch is."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Images with what is known about them.

    images: (B, 3, H, W) float32 in [0, 1]; labels: (B,) int64; domains: (B,) int64, an index into
    the data's domain names; masks: (B, 1, H, W) float32 in [0, 1], 1 on the object; has_mask: (B,)
    bool, False where the object is unknown, so that a missing mask is not taken for an empty one.

    tool_masks, has_tool_mask: as masks and has_mask, made by a tool (SAM, ...) instead of a human.
    A model may be trained by either, and is judged by masks alone.
    """

    images: Tensor
    labels: Tensor
    domains: Tensor | None = None
    masks: Tensor | None = None
    has_mask: Tensor | None = None
    tool_masks: Tensor | None = None
    has_tool_mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def select(self, index: Tensor | slice) -> Self:
        """The samples at `index` (integers, a boolean mask or a slice)."""
        return self._map(lambda tensor: tensor[index])

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        known = {name: function(value) for name, value in values.items() if value is not None}
        return replace(self, **known)


def collate(samples: list[Batch]) -> Batch:
    """Join batches of any sizes; a field is kept only where every one of them has it."""
    columns = {
        field.name: [getattr(sample, field.name) for sample in samples] for field in fields(Batch)
    }
    joined: dict[str, Any] = {
        name: None if any(value is None for value in values) else torch.cat(values)
        for name, values in columns.items()
    }
    return Batch(**joined)
