"""Images that lie somewhere encoded: decoded, cut to a square, and kept where they fit."""

import hashlib
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, Protocol

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lookright.batch import Batch
from lookright.data.dataset import ImageData, hashed
from lookright.data.images import UnreadableImageError
from lookright.errors import UserError

CACHE_LIMIT: Final = 2 * 2**30
"""Bytes of resized images, masks and tool_masks that a data set keeps in memory at most."""

What = Literal["masks", "tool_masks"]
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
    """An ImageData of samples that are read a domain at a time, each once, all damage told at once.

    Unreadable ones are refused, or left out and counted where `skip_unreadable`. With `cache` the
    resized images are kept as uint8 where all that are read fit CACHE_LIMIT; otherwise they are
    decoded at each use. One whose mask, or guide, is empty after the cut has none.
    """

    root: Path

    _samples: dict[str, list[tuple[Sample, int]]]
    """Each domain's samples with their labels."""

    _offered: frozenset[What]
    """Whether there are masks and tool_masks at all."""

    def __init__(self, root: Path, image_size: int, skip_unreadable: bool, cache: bool) -> None:
        if image_size < 1:
            raise UserError(f"Expected an image size of 1 pixel or more; got {image_size}.")
        self.root, self._given = root.resolve(), root
        self.name = self.root.name
        self.image_size = image_size
        self._skip, self._keep = skip_unreadable, cache
        self._cache: dict[str, Pixels] = {}
        self._known: dict[str, tuple[set[What], str]] = {}
        self._read: set[str] = set()

    def read(self, domains: Sequence[str], progress: bool = False) -> None:
        super().read(domains)
        new = [each for each in dict.fromkeys(domains) if each not in self._read]
        samples = [sample for domain in new for sample, _ in self._samples[domain]]
        if unreadable := self._decode(samples, progress):
            if not self._skip:
                _refuse(self._given, unreadable, len(samples))
            warnings.warn(
                f"Left out {len(unreadable)} of {len(samples)} images of '{self._given}' that "
                "cannot be read.",
                stacklevel=2,
            )
            for domain in new:
                self._samples[domain] = [
                    (sample, label)
                    for sample, label in self._samples[domain]
                    if sample.name not in unreadable
                ]
        self._check(new)
        self._read.update(new)

    def keys(self, domain: str) -> Sequence[str]:
        return [sample.key for sample, _ in self._readable(domain)]

    def labels(self, domain: str) -> Sequence[int]:
        return [label for _, label in self._readable(domain)]

    def masked(self, domain: str) -> Sequence[bool]:
        return self._has(domain, "masks")

    def tool_masked(self, domain: str) -> Sequence[bool]:
        return self._has(domain, "tool_masks")

    def fingerprint(self, domain: str) -> str:
        self.read([domain])
        names = (self.classes[label] for _, label in self._samples[domain])
        pixels = (self._known[sample.name][1] for sample, _ in self._samples[domain])
        return hashed(domain, *self.keys(domain), *names, *pixels)

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        self.read([domain])
        chosen = [self._samples[domain][index] for index in indices]
        pixels = [self._cache.get(each.name) or each.read(self.image_size) for each, _ in chosen]
        none = torch.zeros(1, self.image_size, self.image_size, dtype=torch.uint8)

        def joined(what: What) -> tuple[Tensor | None, Tensor | None]:
            if what not in self._offered:
                return None, None
            found = torch.stack([maps.get(what, none) for _, maps in pixels])
            return found.float() / 255, torch.tensor([what in maps for _, maps in pixels])

        masks, has_mask = joined("masks")
        tool_masks, has_tool_mask = joined("tool_masks")
        return Batch(
            images=torch.stack([image for image, _ in pixels]).float() / 255,
            labels=torch.tensor([label for _, label in chosen]),
            domains=torch.full((len(chosen),), number),
            masks=masks,
            has_mask=has_mask,
            tool_masks=tool_masks,
            has_tool_mask=has_tool_mask,
        )

    def _readable(self, domain: str) -> Sequence[tuple[Sample, int]]:
        """The domain's samples; those that may be left out are known when they were read."""
        if self._skip:
            self.read([domain])
        return self._samples[domain]

    def _has(self, domain: str, what: What) -> Sequence[bool]:
        self.read([domain])
        return [what in self._known[sample.name][0] for sample, _ in self._samples[domain]]

    def _check(self, domains: Sequence[str]) -> None:
        """Refuse, or tell of, what was seen only when these domains were read."""
        for domain in domains:
            if not self._samples[domain]:
                raise UserError(
                    f"Expected images in domain '{domain}' of '{self._given}'; none of them can be "
                    "read: replace them, or judge other domains."
                )

    def _decode(self, samples: Sequence[Sample], progress: bool) -> dict[str, str]:
        """Read every sample, in threads; the unreadable ones by name, with the reason."""
        count = len(samples) + len(self._cache)
        size = count * (3 + len(self._offered)) * self.image_size**2
        keep = self._keep and size <= CACHE_LIMIT

        def read(sample: Sample) -> tuple[str, str | None]:
            try:
                pixels = sample.read(self.image_size)
            except UnreadableImageError as error:
                return sample.name, str(error)
            image, maps = pixels
            digest = hashlib.sha256(image.numpy().tobytes())
            for what in sorted(maps):
                digest.update(what.encode())
                digest.update(maps[what].numpy().tobytes())
            self._known[sample.name] = set(maps), digest.hexdigest()
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


def _refuse(where: Path, unreadable: dict[str, str], total: int) -> None:
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
