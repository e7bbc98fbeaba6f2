"""Images in memory as a data set."""

import hashlib
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import ClassVar, final

import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.data.dataset import ImageData, hashed
from lookright.data.masks import MaskValues
from lookright.data.tensors import (
    as_tensor,
    checked_images,
    checked_labels,
    checked_masks,
    interpreted_masks,
)
from lookright.errors import UserError


@final
class InMemory(ImageData):
    """Images in memory with their labels and optional masks.

    Args:
        images: (N, 3, S, S), float in [0, 1] or uint8.
        labels: (N,) integers from 0, the class of each image.
        masks: (N, 1, S, S) or (N, S, S): bool, float in [0, 1], or whole numbers, read by their
            values as those of files are (`data.masks`).
        has_mask: (N,) bool, False if the object is unknown; True for all by default. An empty mask
            counts as missing.
        classes: the names of the classes; "0", "1", ... by default.
        domain: the name of a single domain, or N names, the domain of each image.
        mask_values: which numbers in the masks are the object and which are left out, where that
            cannot be seen.
        ignored: as masks, bool: pixels that guidance and measures leave out.

    A sample's key is a hash of its pixels: equal images are always in the same part, and the parts
    do not depend on the order. `where(domain)` gives the indices of a domain's images.

    Raises:
        UserError: wrong shapes, types or ranges, such as those of normalised images; labels outside
            the classes; fewer than two classes.
    """

    name = "InMemory"

    SPEC_IGNORES: ClassVar[tuple[str, ...]] = (
        "images",
        "labels",
        "masks",
        "has_mask",
        "domain",
        "ignored",
    )
    """The samples are identified by `fingerprint` instead."""

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | Sequence[int],
        masks: Tensor | None = None,
        has_mask: Tensor | None = None,
        classes: Sequence[str] | None = None,
        domain: str | Sequence[str] = "data",
        mask_values: MaskValues | None = None,
        ignored: Tensor | None = None,
    ) -> None:
        self.mask_values = mask_values
        self._images = checked_images(images)
        count, self.image_size = len(self._images), self._images.shape[-1]
        self._labels = checked_labels(labels, count, classes)
        highest = int(self._labels.max())
        self.classes = tuple(classes) if classes else tuple(map(str, range(highest + 1)))
        if len(self.classes) < 2:
            raise UserError(
                f"Expected two or more classes; got only labels of {self.classes[0]}: name all "
                "classes, as in classes=['cat', 'dog']."
            )
        self._masks = self._has_mask = self._ignored = None
        self.has_masks = masks is not None
        there = _given(masks, has_mask, count)
        if masks is not None and there is not None:
            given = checked_masks(masks, self._images)
            out = None if ignored is None else checked_masks(ignored, self._images) > 0
            self._masks, self._ignored = interpreted_masks(given, there, mask_values, out)
            self._has_mask = there & (self._masks.flatten(1).amax(1) > 0)
        named = [domain] * count if isinstance(domain, str) else list(domain)
        if len(named) != count:
            raise UserError(
                f"Expected one domain for all images or {count}, one for each; got {len(named)}."
            )
        self._where: dict[str, list[int]] = {}
        for index, name in enumerate(named):
            self._where.setdefault(name, []).append(index)
        self.domains = tuple(self._where)

    def where(self, domain: str) -> Sequence[int]:
        """The index, among all images, of each of the domain's `keys`."""
        self.domain_index(domain)
        return self._where[domain]

    def keys(self, domain: str) -> Sequence[str]:
        return [self._keys[index] for index in self.where(domain)]

    def contents(self, domain: str) -> Sequence[str]:
        return self.keys(domain)

    def labels(self, domain: str) -> Sequence[int]:
        return self._labels[self.where(domain)].tolist()

    def masked(self, domain: str) -> Sequence[bool]:
        if self._has_mask is None:
            return super().masked(domain)
        return self._has_mask[self.where(domain)].tolist()

    def fingerprint(self, domain: str) -> str:
        names = (self.classes[label] for label in self.labels(domain))
        chosen = self.where(domain)
        known = [] if self._has_mask is None else map(str, self.masked(domain))
        every = (each for each in (self._masks, self._ignored) if each is not None)
        masks = [_hash(of[index]) for of in every for index in chosen]
        return hashed(domain, *self.keys(domain), *names, *known, *masks)

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        number, where = self.domain_index(domain), self.where(domain)
        at = torch.tensor([where[index] for index in indices], dtype=torch.long)
        return Batch(
            images=self._images[at],
            labels=self._labels[at],
            domains=torch.full_like(at, number),
            masks=None if self._masks is None else self._masks[at],
            has_mask=None if self._has_mask is None else self._has_mask[at],
            ignored=None if self._ignored is None else self._ignored[at],
        )

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        return self.stored(domain, indices).to("cpu")

    def in_key_order(self) -> "InMemory":
        """The same samples in an order that does not depend on their original order."""
        ordered = copy(self)
        ordered._where = {
            domain: sorted(where, key=lambda index: (self._keys[index], int(self._labels[index])))
            for domain, where in self._where.items()
        }
        return ordered

    @cached_property
    def _keys(self) -> list[str]:
        return [_hash(image) for image in self._images]


def _given(masks: Tensor | None, has_mask: Tensor | None, count: int) -> Tensor | None:
    """Which images have a mask, None if there are no masks."""
    if masks is None:
        if has_mask is not None:
            raise UserError("has_mask says which of the masks count, but there are no masks.")
        return None
    if has_mask is None:
        return torch.ones(count, dtype=torch.bool)
    has_mask = as_tensor(has_mask, "has_mask")
    if has_mask.dtype != torch.bool or has_mask.shape != (count,):
        raise UserError(
            f"Expected has_mask as {count} bools, one for each image; got {has_mask.dtype} of "
            f"shape {tuple(has_mask.shape)}."
        )
    return has_mask


def _hash(pixels: Tensor) -> str:
    """A hash of the pixels; the same for uint8 and for the corresponding float32."""
    values = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()[:24]
