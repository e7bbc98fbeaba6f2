"""Images in folders, laid out root/<domain>/<class>/* or root/<class>/*, perhaps with masks."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from lookright.batch import Batch
from lookright.data.dataset import ImageData
from lookright.data.images import UnreadableImageError, read_image, read_mask, square
from lookright.data.layout import check_classes, find_images, find_masks
from lookright.errors import UserError

CACHE_LIMIT: Final = 2 * 2**30
"""Bytes of resized images and masks that a Folder keeps in memory at most."""

_LISTED: Final = 10


@dataclass(frozen=True)
class _File:
    """An image on disk; `key` is its path below the root."""

    path: Path
    key: str
    mask: Path | None

    def read(self, size: int) -> tuple[Tensor, Tensor | None]:
        """(3, size, size) and, where there is a mask, (1, size, size), both uint8."""
        image = square(read_image(self.path), size)
        return image, square(read_mask(self.mask, self.path), size) if self.mask else None


@final
class Folder(ImageData):
    """The images under `root`, with the masks under `masks` at the same paths below it.

    Each image is cut to its central square and resized (`images.square`), its mask with it; one
    without a mask has `has_mask` False. A sample's key is its path below `root`.

    Every file is read once at the start, so that all unreadable ones are named together;
    `skip_unreadable` leaves out images that cannot be read, or whose mask cannot, and warns how
    many. With `cache` the resized images are kept as uint8 where all fit CACHE_LIMIT; otherwise
    they are decoded at each use. `progress` shows a bar on stderr. Raises UserError for what
    `layout.find_images`, `layout.find_masks` and `images.read_mask` refuse.
    """

    def __init__(
        self,
        root: Path,
        image_size: int = 128,
        masks: Path | None = None,
        skip_unreadable: bool = False,
        cache: bool = True,
        progress: bool = False,
    ) -> None:
        if image_size < 1:
            raise UserError(f"Expected an image size of 1 pixel or more; got {image_size}.")
        self.root = root.resolve()
        self.masks = masks.resolve() if masks else None
        self.name = self.root.name
        self.image_size = image_size
        self.has_masks = masks is not None
        tree = find_images(root, ignored=masks)
        paths = [path for found in tree.values() for files in found.values() for path in files]
        mask_of = find_masks(masks, [path.relative_to(root) for path in paths]) if masks else {}
        files = {
            path: _File(path, key.as_posix(), mask_of.get(key))
            for path in paths
            for key in [path.relative_to(root)]
        }
        fits = len(files) * (4 if masks else 3) * image_size**2 <= CACHE_LIMIT
        self._cache: dict[str, tuple[Tensor, Tensor | None]] = {}
        unreadable = self._read_all(files.values(), keep=cache and fits, progress=progress)
        if unreadable:
            _report(root, unreadable, len(files), skip_unreadable)
            tree = {
                domain: {
                    name: [path for path in paths if files[path].key not in unreadable]
                    for name, paths in found.items()
                }
                for domain, found in tree.items()
            }
            check_classes(tree, root)
        self.domains = tuple(tree)
        self.classes = tuple(sorted({name for found in tree.values() for name in found}))
        self._samples = {
            domain: [
                (files[path], self.classes.index(name))
                for name, paths in found.items()
                for path in paths
            ]
            for domain, found in tree.items()
        }

    def keys(self, domain: str) -> Sequence[str]:
        return [file.key for file, _ in self._samples[domain]]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        chosen = [self._samples[domain][index] for index in indices]
        pixels = [self._cache.get(file.key) or file.read(self.image_size) for file, _ in chosen]
        masks = has_mask = None
        if self.has_masks:
            none = torch.zeros(1, self.image_size, self.image_size, dtype=torch.uint8)
            masks = torch.stack([none if mask is None else mask for _, mask in pixels]).float()
            has_mask = torch.tensor([mask is not None for _, mask in pixels])
        return Batch(
            images=torch.stack([image for image, _ in pixels]).float() / 255,
            labels=torch.tensor([label for _, label in chosen]),
            domains=torch.full((len(chosen),), number),
            masks=None if masks is None else masks / 255,
            has_mask=has_mask,
        )

    def _read_all(self, files: Iterable[_File], keep: bool, progress: bool) -> dict[str, str]:
        """Read every file, in threads; the unreadable ones by key, with the reason."""

        def read(file: _File) -> tuple[str, str | None]:
            try:
                pixels = file.read(self.image_size)
            except UnreadableImageError as error:
                return file.key, str(error)
            if keep:
                self._cache[file.key] = pixels
            return file.key, None

        files = list(files)
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            outcomes = track(
                pool.map(read, files),
                description=f"Reading {self.name}",
                total=len(files),
                console=Console(stderr=True),
                transient=True,
                disable=not progress,
            )
            return {key: reason for key, reason in outcomes if reason is not None}
        finally:
            pool.shutdown(cancel_futures=True)


def _report(root: Path, unreadable: dict[str, str], total: int, skip: bool) -> None:
    if skip:
        warnings.warn(
            f"Left out {len(unreadable)} of {total} images of '{root}' that cannot be read.",
            stacklevel=3,
        )
        return
    if len(unreadable) == 1:
        (reason,) = unreadable.values()
        raise UserError(f"{reason.removesuffix('.')}, or leave it out with --skip-unreadable.")
    listed = ", ".join(f"'{key}'" for key in list(unreadable)[:_LISTED])
    rest = len(unreadable) - _LISTED
    raise UserError(
        f"Expected readable images in '{root}'; {len(unreadable)} of {total} are damaged or no "
        f"images: {listed}{f' and {rest} more' if rest > 0 else ''}. Replace or remove them, or "
        "leave them out with --skip-unreadable."
    )
