"""Images that lie somewhere encoded: decoded, cut to a square, and kept where they fit."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, Protocol

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lookright.batch import Batch
from lookright.data.dataset import ImageData
from lookright.data.images import UnreadableImageError
from lookright.errors import UserError

CACHE_LIMIT: Final = 2 * 2**30
"""Bytes of resized images, masks and guides that a data set keeps in memory at most."""

What = Literal["masks", "guides"]
Pixels = tuple[Tensor, dict[What, Tensor]]

_LISTED: Final = 10


class Sample(Protocol):
    """One image, with its mask and guide where there are any."""

    @property
    def key(self) -> str:
        """By which it gets its part; that of a copy may be the same."""

    @property
    def name(self) -> str:
        """What the user knows it by; no other has the same."""

    def read(self, size: int) -> Pixels:
        """(3, size, size) and each (1, size, size) that is not empty, all uint8.

        Raises UnreadableImageError where one of them cannot be read.
        """


class Decoded(ImageData):
    """An ImageData of samples that are read once at the start, so that all damage is told at once.

    With `cache` the resized images are kept as uint8 where all fit CACHE_LIMIT; otherwise they are
    decoded at each use. One whose mask, or guide, is empty after the cut has none.
    """

    _samples: Mapping[str, Sequence[tuple[Sample, int]]]
    """Each domain's samples with their labels."""

    _offered: frozenset[What]
    """Whether there are masks and guides at all."""

    def __init__(self, name: str, image_size: int) -> None:
        if image_size < 1:
            raise UserError(f"Expected an image size of 1 pixel or more; got {image_size}.")
        self.name = name
        self.image_size = image_size
        self._cache: dict[str, Pixels] = {}
        self._known: dict[str, set[What]] = {}

    def keys(self, domain: str) -> Sequence[str]:
        return [sample.key for sample, _ in self._samples[domain]]

    def labels(self, domain: str) -> Sequence[int]:
        return [label for _, label in self._samples[domain]]

    def masked(self, domain: str) -> Sequence[bool]:
        return ["masks" in self._known[sample.name] for sample, _ in self._samples[domain]]

    def guided(self, domain: str) -> Sequence[bool]:
        return ["guides" in self._known[sample.name] for sample, _ in self._samples[domain]]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        chosen = [self._samples[domain][index] for index in indices]
        pixels = [self._cache.get(each.name) or each.read(self.image_size) for each, _ in chosen]
        none = torch.zeros(1, self.image_size, self.image_size, dtype=torch.uint8)

        def joined(what: What) -> tuple[Tensor | None, Tensor | None]:
            if what not in self._offered:
                return None, None
            found = torch.stack([maps.get(what, none) for _, maps in pixels])
            return found.float() / 255, torch.tensor([what in maps for _, maps in pixels])

        masks, has_mask = joined("masks")
        guides, has_guide = joined("guides")
        return Batch(
            images=torch.stack([image for image, _ in pixels]).float() / 255,
            labels=torch.tensor([label for _, label in chosen]),
            domains=torch.full((len(chosen),), number),
            masks=masks,
            has_mask=has_mask,
            guides=guides,
            has_guide=has_guide,
        )

    def _read_all(self, samples: Iterable[Sample], cache: bool, progress: bool) -> dict[str, str]:
        """Read every sample, in threads; the unreadable ones by name, with the reason."""
        samples = list(samples)
        size = len(samples) * (3 + len(self._offered)) * self.image_size**2
        keep = cache and size <= CACHE_LIMIT

        def read(sample: Sample) -> tuple[str, str | None]:
            try:
                pixels = sample.read(self.image_size)
            except UnreadableImageError as error:
                return sample.name, str(error)
            self._known[sample.name] = set(pixels[1])
            if keep:
                self._cache[sample.name] = pixels
            return sample.name, None

        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            outcomes = track(
                pool.map(read, samples),
                description=f"Reading {self.name}",
                total=len(samples),
                console=Console(stderr=True),
                transient=True,
                disable=not progress,
            )
            return {key: reason for key, reason in outcomes if reason is not None}
        finally:
            pool.shutdown(cancel_futures=True)


def refuse_unreadable(where: str, unreadable: Mapping[str, str], total: int) -> None:
    """Raises UserError naming the images that cannot be read."""
    if len(unreadable) == 1:
        (reason,) = unreadable.values()
        raise UserError(f"{reason.removesuffix('.')}, or leave it out with --skip-unreadable.")
    listed = ", ".join(f"'{key}'" for key in list(unreadable)[:_LISTED])
    rest = len(unreadable) - _LISTED
    raise UserError(
        f"Expected readable images in '{where}'; {len(unreadable)} of {total} are damaged or no "
        f"images: {listed}{f' and {rest} more' if rest > 0 else ''}. Replace or remove them, or "
        "leave them out with --skip-unreadable."
    )
