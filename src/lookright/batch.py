"""A batch of images with what is known about them."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from lookright.errors import UserError

_PIXELS = ("images", "masks", "tool_masks")
_MEND = "correct NaN in the data, and put a normalisation inside the model (models.Classifier)"
_IGNORED = {"ignored": "masks", "tool_ignored": "tool_masks"}
_MAPS = (*_IGNORED, *_IGNORED.values())


def _kind(name: str) -> tuple[str, Callable[[torch.dtype], bool]]:
    """The type of a field but the images, in words, and whether a tensor's is of it."""
    if name in _IGNORED.values():
        return "floating numbers", lambda dtype: dtype.is_floating_point
    if name in ("labels", "domains"):
        return "int64", lambda dtype: dtype == torch.int64
    return "bool", lambda dtype: dtype == torch.bool


@dataclass(frozen=True)
class Batch:
    """Images with what is known about them.

    images: (B, 3, H, W) float32 in [0, 1]; labels: (B,) int64; domains: (B,) int64, an index into
    the data's domain names; masks: (B, 1, H, W) float32 in [0, 1], 1 on the object; has_mask: (B,)
    bool, False if the object is unknown, so that a missing mask is not mistaken for an empty one.
    If masks are given without has_mask, all are known: `has_mask` is None only if `masks` is None.
    tool_masks, has_tool_mask: as masks and has_mask, but made by a tool (such as SAM) instead of a
    human. Training may use either kind; evaluation uses only masks.
    ignored, tool_ignored: (B, 1, H, W) bool, pixels of masks and tool_masks that are neither object
    nor background, which guidance and measures leave out; None if there are none.

    Batches from `ImageData.stored` may have images and masks as uint8, from 0 to 255; `to` makes
    them float32.
    """

    images: Tensor
    labels: Tensor
    domains: Tensor | None = None
    masks: Tensor | None = None
    has_mask: Tensor | None = None
    tool_masks: Tensor | None = None
    has_tool_mask: Tensor | None = None
    ignored: Tensor | None = None
    tool_ignored: Tensor | None = None

    def __post_init__(self) -> None:
        for maps, has in (("masks", "has_mask"), ("tool_masks", "has_tool_mask")):
            values = getattr(self, maps)
            if values is not None and getattr(self, has) is None:
                known = torch.ones(len(values), dtype=torch.bool, device=values.device)
                object.__setattr__(self, has, known)

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device, its images and masks float32 in [0, 1].

        Values stored as uint8 are transferred as uint8, a quarter of the bytes, and divided by 255
        on the device. A copy from pinned memory to an accelerator is asynchronous.
        """
        to_accelerator = torch.device(device).type != "cpu"
        moved = self._map(lambda tensor: tensor.to(device, non_blocking=to_accelerator))
        pixels = {name: getattr(moved, name) for name in _PIXELS}
        stored = {
            name: values.float() / 255
            for name, values in pixels.items()
            if values is not None and values.dtype == torch.uint8
        }
        return replace(moved, **stored) if stored else moved

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory, for asynchronous copies to a GPU."""
        return self._map(lambda tensor: tensor.pin_memory())

    def select(self, index: Tensor | slice) -> Self:
        """The samples at `index` (integers, a boolean mask or a slice)."""
        return self._map(lambda tensor: tensor[index])

    def check(self) -> None:
        """Raise UserError unless each field has its shape and type, and pixels lie in [0, 1]."""
        self._check_shapes()
        for name in _PIXELS:
            values = getattr(self, name)
            if values is None:
                continue
            low, high = values.aminmax() if len(values) else (0, 0)
            if not (low >= 0 and high <= 1):
                mend = "divide them by 255" if low >= 0 and 2 < high <= 255 else _MEND
                raise UserError(
                    f"Expected the {name} of a batch in [0, 1], got values from {low:.3g} to "
                    f"{high:.3g}: {mend}."
                )

    def _check_shapes(self) -> None:
        images = self.images
        if images.ndim != 4 or not images.is_floating_point():
            raise UserError(
                "Expected the images of a batch as floating numbers (B, C, H, W) in [0, 1], got "
                f"{images.dtype} of shape {tuple(images.shape)}."
            )
        n = len(images)
        for each in fields(self):
            values = getattr(self, each.name)
            if values is None or each.name == "images":
                continue
            kind, is_kind = _kind(each.name)
            shape: tuple[int, ...] = (n,)
            if each.name in _MAPS:  # a mask may have any size; what it ignores has the mask's
                masks = getattr(self, _IGNORED.get(each.name, each.name))
                shape = (n, 1, *(images if masks is None else masks).shape[-2:])
            if values.shape != shape or not is_kind(values.dtype):
                raise UserError(
                    f"Expected the {each.name} of a batch as {kind} of shape {shape}, got "
                    f"{values.dtype} of shape {tuple(values.shape)}."
                )

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        known = {name: function(value) for name, value in values.items() if value is not None}
        return replace(self, **known)


def collate(samples: list[Batch]) -> Batch:
    """Join batches of any sizes; a field is kept only if every batch has it.

    Batches without ignored pixels are joined to those with some.
    """
    for name, maps in _IGNORED.items():
        if any(getattr(sample, name) is not None for sample in samples):
            samples = [_with_none(sample, name, getattr(sample, maps)) for sample in samples]
    columns = {
        field.name: [getattr(sample, field.name) for sample in samples] for field in fields(Batch)
    }
    joined: dict[str, Any] = {
        name: None if any(value is None for value in values) else torch.cat(values)
        for name, values in columns.items()
    }
    return Batch(**joined)


def _with_none(sample: Batch, name: str, maps: Tensor | None) -> Batch:
    """The batch with a field of ignored pixels, none of them ignored if it had no such field."""
    if maps is None or getattr(sample, name) is not None:
        return sample
    return replace(sample, **{name: torch.zeros_like(maps, dtype=torch.bool)})
