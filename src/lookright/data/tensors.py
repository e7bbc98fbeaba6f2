"""Checks of the user's tensors: images, labels and masks; errors say how to fix them."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lookright.data.mask_numbers import levels_of
from lookright.data.masks import HIGHEST_CLASS, MaskSet, MaskValues
from lookright.errors import UserError

_CHUNK = 256

_NORMALISED = (
    "undo the normalisation and put it into the model instead, Classifier(network, classes, "
    "image_size, mean, std)"
)


def checked_images(images: Any) -> Tensor:
    """Images (N, 3, S, S) on the CPU: uint8 if that loses nothing, else float32 in [0, 1]."""
    images = as_tensor(images, "images")
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[1] != 3 or shape[2] != shape[3] or not len(images):
        raise UserError(f"Expected images of shape (N, 3, S, S); got {shape}{_shape_mend(shape)}.")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise UserError(
            f"Expected images as float in [0, 1] or as uint8; got {images.dtype}: convert values "
            "from 0 to 255 by images.to(torch.uint8)."
        )
    images = images.float()
    low, high = (float(value) for value in images.aminmax())
    if not (low >= 0 and high <= 1):
        if low != low or high != high or high - low == float("inf"):
            raise UserError(
                "Expected images in [0, 1]; some contain NaN or infinity: correct them."
            )
        mend = "divide them by 255" if low >= 0 and 2 < high <= 255 else _NORMALISED
        raise UserError(
            f"Expected images in [0, 1]; got values from {low:.3g} to {high:.3g}: {mend}."
        )
    return as_stored(images)


def as_stored(values: Tensor) -> Tensor:
    """float32 in [0, 1] as uint8, if dividing by 255 gives the same float32 again."""
    chunks = []
    for chunk in values.split(_CHUNK):
        chunks.append((chunk * 255).round().byte())
        if not torch.equal(chunks[-1].float() / 255, chunk):
            return values
    return torch.cat(chunks)


def checked_labels(labels: Any, count: int, classes: Sequence[str] | None = None) -> Tensor:
    """Labels (N,) int64 on the CPU, from 0 to below the number of classes."""
    labels = as_tensor(labels, "labels")
    shape = tuple(labels.shape)
    if shape != (count,):
        mend = ": for one score per class, give labels.argmax(1)" if labels.ndim == 2 else ""
        raise UserError(f"Expected {count} labels, one for each image; got shape {shape}{mend}.")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise UserError(
            f"Expected labels as integers, the number of the class; got {labels.dtype}: convert "
            "them by labels.long()."
        )
    low, high = (int(value) for value in labels.aminmax())
    if low < 0 or (classes and high >= len(classes)):
        known = f"0 to {len(classes) - 1}, one of {len(classes)} classes" if classes else "0 up"
        raise UserError(
            f"Expected labels from {known}; got {low if low < 0 else high}: correct the labels or "
            "the classes."
        )
    return labels.long()


def checked_masks(masks: Any, images: Tensor) -> Tensor:
    """Masks (N, 1, S, S) on the CPU, with the values that were given."""
    masks = as_tensor(masks, "masks")
    if masks.ndim == 3:
        masks = masks[:, None]
    expected = (len(images), 1, *images.shape[2:])
    if masks.shape != expected:
        raise UserError(
            f"Expected masks of shape {expected}, one per image and of the same size; got "
            f"{tuple(masks.shape)}."
        )
    return masks


def interpreted_masks(
    masks: Tensor,
    there: Tensor,
    values: MaskValues | None = None,
    left_out: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Masks (N, 1, S, S), uint8 if that loses nothing, else float32 in [0, 1], and what to ignore.

    The latter is (N, 1, S, S) bool, None if no pixel is left out. there: (N,) bool, which of the
    masks count; left_out: (N, 1, S, S) bool, pixels to ignore whatever they hold. Raises UserError
    for values whose meaning is ambiguous, as in `data.masks`.
    """
    numbers = _numbers(masks)
    if numbers.is_floating_point():
        levels = as_stored(numbers)
        numbered = values not in (None, MaskValues(soft=True))
        if levels.is_floating_point() and numbered:
            raise UserError(
                f"Expected masks with whole numbers for {values}; got soft masks: leave it out."
            )
        if levels.is_floating_point() or not (numbered or _are_classes(levels)):
            return (levels if left_out is None else levels.masked_fill(left_out, 0)), left_out
        numbers = levels
    if left_out is not None:
        numbers = numbers.long().masked_fill(left_out, -1)
    if values is None:
        low, high = (int(value) for value in numbers.aminmax())
        if low >= 0 and (high <= 1 or _is_binary(numbers)):
            return numbers.to(torch.uint8) * (255 if high <= 1 else 1), None
    wanted = MaskSet(values, "masks", "mask_values")
    found = torch.zeros(masks.shape, dtype=torch.uint8)
    ignored = torch.zeros(masks.shape, dtype=torch.bool)
    chosen = {f"mask {index}": index for index in there.nonzero()[:, 0].tolist()}

    def read(names: Iterable[str]) -> None:
        for name in names:
            levels = levels_of(numbers[chosen[name], 0].numpy(), name, exact=wanted.exact)
            grey, outside = wanted.interpreted(levels, name)
            found[chosen[name], 0] = torch.from_numpy(grey)
            ignored[chosen[name], 0] = False if outside is None else torch.from_numpy(outside)

    read(chosen)
    read(wanted.settle())
    return found, ignored if ignored.any() else None


def _numbers(masks: Tensor) -> Tensor:
    """Integers, as uint8 if that loses nothing; what is no whole number stays float."""
    if masks.is_floating_point():
        masks = masks.float()
        if not masks.isfinite().all():
            raise UserError(
                "Expected masks of numbers; some contain NaN or infinity: correct them."
            )
        low, high = (float(value) for value in masks.aminmax())
        if not torch.equal(masks, masks.round()):
            if low < 0 or high > 1:
                raise UserError(
                    "Expected masks as whole numbers or from 0 to 1, with 1 on the object; got "
                    f"values from {low:.3g} to {high:.3g}: scale them to [0, 1]."
                )
            return masks
        masks = masks.long()
    if masks.dtype in (torch.bool, torch.uint8):
        return masks.to(torch.uint8)
    low, high = (int(value) for value in masks.long().aminmax())
    return masks.to(torch.uint8) if low >= 0 and high <= 255 else masks.long()


def _are_classes(levels: Tensor) -> bool:
    """Whether 8-bit levels are class numbers that were divided by 255, as by ToTensor."""
    seen = {int(level) for part in levels.split(_CHUNK) for level in part.unique()}
    return bool(seen - {0, 255}) and max(seen - {255}) <= HIGHEST_CLASS


def _is_binary(numbers: Tensor) -> bool:
    """Whether all numbers are 0 or 255."""
    return all(bool(((part == 0) | (part == 255)).all()) for part in numbers.split(_CHUNK))


def as_tensor(values: Any, what: str) -> Tensor:
    """Values as a tensor on the CPU; raises UserError, with `what` they are, if they are none."""
    try:
        return torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"Expected {what} as a tensor; got {type(values).__name__}, which cannot be converted "
            f"({' '.join(str(error).split())}): give numbers."
        ) from error


def _shape_mend(shape: tuple[int, ...]) -> str:
    if len(shape) == 3:
        return ": for a single image, give images[None]"
    if len(shape) != 4 or not shape[0]:
        return ""
    if shape[3] == 3:
        return ": move the channels to the front, images.permute(0, 3, 1, 2)"
    if shape[1] == 1:
        return ": for grey images, give images.expand(-1, 3, -1, -1)"
    if shape[1] == 3:
        return ": crop or resize them to squares"
    return ""
