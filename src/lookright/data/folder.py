"""Images in folders, laid out root/<domain>/<class>/* or root/<class>/*, with masks and guides."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from lookright.data.decoded import Decoded, Pixels, What, refuse_unreadable
from lookright.data.images import read_image, read_mask, square
from lookright.data.layout import check_classes, find_images, find_masks


@dataclass(frozen=True)
class _File:
    """An image on disk, with its mask and guide; `key` is its path below the root."""

    path: Path
    key: str
    maps: dict[What, Path]

    @property
    def name(self) -> str:
        return self.key

    def read(self, size: int) -> Pixels:
        """(3, size, size) and each (1, size, size) that is not empty, all uint8."""
        maps = {
            what: square(read_mask(path, self.path), size, soft=what == "guides")
            for what, path in self.maps.items()
        }
        image = square(read_image(self.path), size)
        return image, {what: pixels for what, pixels in maps.items() if pixels.any()}


@final
class Folder(Decoded):
    """The images under `root`, with the masks under `masks` at the same paths below it.

    `guides` are masks from elsewhere, such as a segmenter's, which may be soft. Each image is cut
    to its central square and resized (`images.square`), its mask and guide with it. One without a
    mask has `has_mask` False, and so has one whose mask is empty in that square; guides alike. A
    sample's key is its path below `root`.

    Every file is read once at the start, so that all unreadable ones are named together;
    `skip_unreadable` leaves out images of which anything cannot be read, and warns how many.
    Empty masks and guides, and images without a guide, are counted in a warning each. `cache` is
    that of `Decoded`. `progress` shows a bar on stderr. Raises UserError for what `find_images`,
    `find_masks` and `images.read_mask` refuse.
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
        super().__init__(root.resolve().name, image_size)
        self.root = root.resolve()
        self.masks = masks.resolve() if masks else None
        self.guides = guides.resolve() if guides else None
        self.has_masks = masks is not None
        named: dict[What, Path | None] = {"masks": masks, "guides": guides}
        folders = {what: folder for what, folder in named.items() if folder is not None}
        self._offered = frozenset(folders)
        tree = find_images(root, ignored=folders.values())
        paths = [path for found in tree.values() for files in found.values() for path in files]
        keys = {path: path.relative_to(root) for path in paths}
        maps = {what: find_masks(at, [*keys.values()], what) for what, at in folders.items()}
        files = {
            path: _File(path, key.as_posix(), {w: of[key] for w, of in maps.items() if key in of})
            for path, key in keys.items()
        }
        if unreadable := self._read_all(files.values(), cache, progress):
            if not skip_unreadable:
                refuse_unreadable(str(root), unreadable, len(files))
            warnings.warn(
                f"Left out {len(unreadable)} of {len(files)} images of '{root}' that cannot be "
                "read.",
                stacklevel=2,
            )
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

    def _tell(self, what: What, folder: Path, files: Sequence[_File]) -> None:
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
