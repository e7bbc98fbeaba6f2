"""Images in folders, laid out root/<domain>/<class>/* or root/<class>/*, with masks and guides."""

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

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
"""Bytes of resized images, masks and guides that a Folder keeps in memory at most."""

_LISTED: Final = 10


_What = Literal["masks", "guides"]
_Pixels = tuple[Tensor, dict[_What, Tensor]]


@dataclass(frozen=True)
class _File:
    """An image on disk, with its mask and guide; `key` is its path below the root."""

    path: Path
    key: str
    maps: dict[_What, Path]

    def read(self, size: int) -> _Pixels:
        """(3, size, size) and each (1, size, size) that is not empty, all uint8."""
        maps = {
            what: square(read_mask(path, self.path), size, soft=what == "guides")
            for what, path in self.maps.items()
        }
        image = square(read_image(self.path), size)
        return image, {what: pixels for what, pixels in maps.items() if pixels.any()}


@final
class Folder(ImageData):
    """The images under `root`, with the masks under `masks` at the same paths below it.

    `guides` are masks from elsewhere, such as a segmenter's, which may be soft. Each image is cut
    to its central square and resized (`images.square`), its mask and guide with it. One without a
    mask has `has_mask` False, and so has one whose mask is empty in that square; guides alike. A
    sample's key is its path below `root`.

    Every file is read once at the start, so that all unreadable ones are named together;
    `skip_unreadable` leaves out images of which anything cannot be read, and warns how many.
    Empty masks and guides, and images without a guide, are counted in a warning each. With `cache`
    the resized images are kept as uint8 where all fit CACHE_LIMIT; otherwise they are decoded at
    each use. `progress` shows a bar on stderr. Raises UserError for what `layout.find_images`,
    `layout.find_masks` and `images.read_mask` refuse.
    """

    def __init__(
        self,
        root: Path,
        image_size: int = 128,
        masks: Path | None = None,
        guides: Path | None = None,
        skip_unreadable: bool = False,
        cache: bool = True,
        progress: bool = False,
    ) -> None:
        if image_size < 1:
            raise UserError(f"Expected an image size of 1 pixel or more; got {image_size}.")
        self.root = root.resolve()
        self.masks = masks.resolve() if masks else None
        self.guides = guides.resolve() if guides else None
        self.name = self.root.name
        self.image_size = image_size
        self.has_masks = masks is not None
        named: dict[_What, Path | None] = {"masks": masks, "guides": guides}
        folders = {what: folder for what, folder in named.items() if folder is not None}
        tree = find_images(root, ignored=folders.values())
        paths = [path for found in tree.values() for files in found.values() for path in files]
        keys = {path: path.relative_to(root) for path in paths}
        maps = {what: find_masks(at, [*keys.values()], what) for what, at in folders.items()}
        files = {
            path: _File(path, key.as_posix(), {w: of[key] for w, of in maps.items() if key in of})
            for path, key in keys.items()
        }
        fits = len(files) * (3 + len(maps)) * image_size**2 <= CACHE_LIMIT
        self._cache: dict[str, _Pixels] = {}
        self._known: dict[str, set[_What]] = {}
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
        for what, folder in folders.items():
            self._tell(what, folder, [file for file in files.values() if file.key in self._known])
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
        none = torch.zeros(1, self.image_size, self.image_size, dtype=torch.uint8)

        def joined(what: _What) -> tuple[Tensor, Tensor]:
            found = torch.stack([maps.get(what, none) for _, maps in pixels])
            return found.float() / 255, torch.tensor([what in maps for _, maps in pixels])

        masks, has_mask = joined("masks") if self.masks else (None, None)
        guides, has_guide = joined("guides") if self.guides else (None, None)
        return Batch(
            images=torch.stack([image for image, _ in pixels]).float() / 255,
            labels=torch.tensor([label for _, label in chosen]),
            domains=torch.full((len(chosen),), number),
            masks=masks,
            has_mask=has_mask,
            guides=guides,
            has_guide=has_guide,
        )

    def labels(self, domain: str) -> Sequence[int]:
        return [label for _, label in self._samples[domain]]

    def masked(self, domain: str) -> Sequence[bool]:
        return ["masks" in self._known[file.key] for file, _ in self._samples[domain]]

    def guided(self, domain: str) -> Sequence[bool]:
        return ["guides" in self._known[file.key] for file, _ in self._samples[domain]]

    def _read_all(self, files: Iterable[_File], keep: bool, progress: bool) -> dict[str, str]:
        """Read every file, in threads; the unreadable ones by key, with the reason."""

        def read(file: _File) -> tuple[str, str | None]:
            try:
                pixels = file.read(self.image_size)
            except UnreadableImageError as error:
                return file.key, str(error)
            self._known[file.key] = set(pixels[1])
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

    def _tell(self, what: _What, folder: Path, files: Sequence[_File]) -> None:
        """Warn of what is empty in a folder of masks or guides, and of images without a guide."""
        found = [file for file in files if what in file.maps]
        if empty := [file.maps[what] for file in found if what not in self._known[file.key]]:
            warnings.warn(
                f"{len(empty)} of {len(found)} {what} in '{folder}' are empty, such as "
                f"'{empty[0]}', and count as missing.",
                stacklevel=3,
            )
        lacking = [file.key for file in files if what not in file.maps]
        if lacking and what == "guides":
            warnings.warn(
                f"{len(lacking)} of {len(files)} images have no guide in '{folder}', such as "
                f"'{lacking[0]}': they are left unguided.",
                stacklevel=3,
            )


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
