"""Images in folders, root/<domain>/<class>/* or root/<class>/*, with masks and tool masks."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from lookright.data.dataset import hashed
from lookright.data.decoded import Decoded, Masks, MaskSets, What
from lookright.data.images import check_image, read_bytes, read_image, squared
from lookright.data.layout import (
    Layout,
    Subfolders,
    below,
    find_images,
    find_masks,
    require_images,
)
from lookright.data.listing import Lister
from lookright.data.masks import MaskSet, MaskValues
from lookright.errors import UserError, printable
from lookright.files import as_path
from lookright.models.preprocessing import Preprocessing
from lookright.progress import counting


@dataclass(frozen=True)
class _File:
    """An image on disk, with its mask and tool mask; `name` is its path below the root."""

    path: Path
    name: str
    maps: dict[What, Path]
    preprocessing: Preprocessing | None

    def content(self) -> str:
        return hashlib.sha256(read_bytes(self.path)).hexdigest()

    def check(self) -> tuple[str, str]:
        content = check_image(self.path)
        digests = [content]
        for what, path in sorted(self.maps.items()):
            digests += [what, hashlib.sha256(read_bytes(path)).hexdigest()]
        return content, hashed(*digests)

    def image(self, size: int) -> Tensor:
        return squared(read_image(self.path), size, self.preprocessing)

    def masks(self, size: int, sets: MaskSets) -> Masks:
        maps = {
            what: sets[what].read(path, self.path, self.name, size, self.preprocessing)
            for what, path in self.maps.items()
        }
        return {what: planes for what, planes in maps.items() if planes[0].any()}


@final
class Folder(Decoded):
    """The images under `root`, with the masks under `masks` at the same paths below it.

    `tool_masks` are masks made by a tool, such as a segmentation model, and may be soft. Each image
    is cropped to its central square and resized (`images.square`), or made square by
    `preprocessing`, together with its masks. An image without a mask, or whose mask is empty in
    that square, has `has_mask` False; likewise for tool masks. A sample's name is its path below
    `root`, its key a hash of its file. `mask_values` and `tool_mask_values` say what the numbers in
    the masks mean, where that cannot be seen (`data.masks`).

    Every file is checked at the start, or, with `read=False`, when its domain is first used, so
    that all unreadable files are reported together. `skip_unreadable` leaves out images that cannot
    be read, or whose masks cannot, and warns how many. layout and subfolders: see `find_images`;
    `passed_over` says what was left out of the folder. Empty masks of either kind and images
    without a tool mask are counted in warnings. `cache` is that of `Decoded`. `progress` shows a
    bar on stderr. Raises the errors of `find_images`, `find_masks` and `MaskSet`.
    """

    def __init__(
        self,
        root: Path | str,
        image_size: int = 128,
        masks: Path | str | None = None,
        tool_masks: Path | str | None = None,
        skip_unreadable: bool = False,
        cache: bool = True,
        progress: bool = False,
        read: bool = True,
        mask_values: MaskValues | None = None,
        tool_mask_values: MaskValues | None = None,
        preprocessing: Preprocessing | None = None,
        layout: Layout | None = None,
        subfolders: Subfolders | None = None,
    ) -> None:
        root = as_path(root)
        masks = None if masks is None else as_path(masks)
        tool_masks = None if tool_masks is None else as_path(tool_masks)
        super().__init__(root, image_size, skip_unreadable, cache)
        self.preprocessing = preprocessing
        self.masks = masks.resolve() if masks else None
        self.tool_masks = tool_masks.resolve() if tool_masks else None
        self.has_masks = masks is not None
        named: dict[What, Path | None] = {"masks": masks, "tool_masks": tool_masks}
        self._folders = {what: folder for what, folder in named.items() if folder is not None}
        self.mask_values, self.tool_mask_values = mask_values, tool_mask_values
        sets: dict[What, MaskSet] = {
            "masks": MaskSet(mask_values, "masks", "--mask_values"),
            "tool_masks": MaskSet(tool_mask_values, "tool masks", "--tool_mask_values", True),
        }
        self._sets = {what: sets[what] for what in self._folders}
        for what, given in (("masks", mask_values), ("tool_masks", tool_mask_values)):
            if given is not None and what not in self._sets:
                raise UserError(
                    f"Expected --{what} with --{what[:-1]}_values, which says what is in them; got "
                    "none: name their folder."
                )
        self.layout, self.subfolders = layout, subfolders
        with counting(f"Listing {self.name}", progress) as told:
            found = find_images(root, self._folders.values(), layout, subfolders, Lister(told))
            self._tree = found.tree
            keys = {
                path: below(root, path)
                for classes in self._tree.values()
                for files in classes.values()
                for path in files
            }
            maps = {
                what: find_masks(at, [*keys.values()], what, Lister(told))
                for what, at in self._folders.items()
            }
        self.passed_over = found.lister.lines()
        self._files = {
            path: _File(
                path,
                printable(key),
                {w: of[key] for w, of in maps.items() if key in of},
                preprocessing,
            )
            for path, key in keys.items()
        }
        self.parts_given = bool(found.parts)
        self._parts = {self._files[path].name: part for path, part in found.parts.items()}
        self.domains = tuple(self._tree)
        self.classes = tuple(sorted({name for found in self._tree.values() for name in found}))
        self._samples = {
            domain: [
                (self._files[path], self.classes.index(name))
                for name, paths in found.items()
                for path in paths
            ]
            for domain, found in self._tree.items()
        }
        if read:
            self.read(self.domains, progress)

    def _check(self, domains: Sequence[str]) -> None:
        files = {
            domain: {
                name: [path for path in paths if self._files[path].name in self._known]
                for name, paths in self._tree[domain].items()
            }
            for domain in domains
        }
        require_images(files, self._given)
        seen = [self._files[path] for of in files.values() for each in of.values() for path in each]
        for what, folder in self._folders.items():
            self._warn(what, folder, seen)

    def _warn(self, what: What, folder: Path, files: Sequence[_File]) -> None:
        """Warn of empty masks in a folder, and of images without a tool mask."""
        found = [file for file in files if what in file.maps]
        if empty := [file.maps[what] for file in found if what not in self._known[file.name].has]:
            words = what.replace("_", " ")
            warnings.warn(
                f"{len(empty)} of {len(found)} {words} in '{folder}' are empty, such as "
                f"'{empty[0]}', and count as missing.",
                stacklevel=3,
            )
        lacking = [file.name for file in files if what not in file.maps]
        if lacking and what == "tool_masks":
            warnings.warn(
                f"{len(lacking)} of {len(files)} images have no tool mask in '{folder}', such as "
                f"'{lacking[0]}': their explanations are not guided.",
                stacklevel=3,
            )
