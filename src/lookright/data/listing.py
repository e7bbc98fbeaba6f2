"""Lists folders of images, and counts by reason what is passed over in them."""

import os
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import filterfalse
from pathlib import Path
from typing import Final

from lookright.data.images import SUFFIXES
from lookright.errors import UserError, printable

_HIDDEN: Final = "hidden files and folders"
_RUBBISH: Final = "files and folders of operating systems and servers"
_OURS: Final = "folders of runs and results"
_OTHER: Final = "files without the suffix of an image"
ODD: Final = "pipes, sockets, devices and links to themselves"
AGAIN: Final = "links to folders that were listed before"

_NEAR: Final = 4
"""Levels of folders below the root."""

FIRST_LOOK: Final = "first-look.png"
"""The picture that `lookright demo` puts beside its runs."""

_NAMES: Final = frozenset(
    {
        "__macosx",
        "@eadir",
        "lost+found",
        "$recycle.bin",
        "system volume information",
        "__pycache__",
        "thumbs.db",
        "desktop.ini",
    }
)


@dataclass(frozen=True)
class Listing:
    """The images in a folder and the folders in it, sorted by name."""

    images: list[Path]
    folders: list[Path]


@dataclass
class Lister:
    """Lists folders, and keeps by reason what it passed over.

    told: called with the number of images after each folder.
    """

    told: Callable[[int], object] = lambda count: None
    passed: dict[str, list[Path]] = field(default_factory=dict)

    def __call__(self, folder: Path) -> Listing:
        """Links are followed.

        Raises:
            UserError: the folder cannot be listed.
        """
        images, folders = [], []
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise UserError(
                f"Expected to list the folder '{folder}', but the system says "
                f"'{error.strerror}': correct that, or move the folder away."
            ) from error
        for entry in found:
            path = Path(entry.path)
            if (reason := self._reason(entry, path)) is not None:
                self.pass_over(reason, path)
            elif entry.is_dir():
                folders.append(path)
            else:
                images.append(path)
        self.told(len(images))
        return Listing(images, folders)

    def every(
        self, root: Path, ignored: Collection[Path] = (), deep: bool = False
    ) -> dict[Path, Listing]:
        """The root and each folder below it but those `ignored`, resolved paths; sorted by path.

        A folder that several paths lead to is listed once, by the one that has no links below the
        root if there is one. Where nothing near the root is an image, which may be that of a disk,
        deep folders are listed only if `deep`. Raises the errors of listing.
        """
        found: dict[Path, Listing] = {}
        places = set[Path]()
        waiting, links = deque([root]), deque[Path]()
        while waiting or links:
            at = (waiting or links).popleft()
            place = at.resolve()
            if place in places:
                self.pass_over(AGAIN, at)
            elif place not in ignored and (deep or len(at.parts) <= len(root.parts) + _NEAR):
                places.add(place)
                found[at] = self(at)
                deep |= bool(found[at].images)
                links += filter(os.path.islink, found[at].folders)
                waiting += filterfalse(os.path.islink, found[at].folders)
        return {
            at: replace(found[at], folders=[each for each in found[at].folders if each in found])
            for at in sorted(found)
        }

    def below(self, root: Path) -> list[Path]:
        """All images in all folders of `every`."""
        return [image for of in self.every(root, deep=True).values() for image in of.images]

    def pass_over(self, reason: str, path: Path) -> None:
        self.passed.setdefault(reason, []).append(path)

    def lines(self) -> list[str]:
        """What was passed over, a line for each reason."""
        return [
            f"{len(paths)} {reason}, such as '{printable(paths[0].name)}'"
            for reason, paths in self.passed.items()
        ]

    def _reason(self, entry: os.DirEntry[str], path: Path) -> str | None:
        """Why an entry is passed over, if it is."""
        if (reason := never_listed(entry.name)) is not None:
            return reason
        try:
            if entry.is_dir():
                return _OURS if _is_ours(path) else None
            if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
                return _OTHER
            return None if entry.is_file() or not path.exists() else ODD
        except OSError:  # a link to itself
            return ODD


def never_listed(name: str) -> str | None:
    """Why a file or folder of that name is passed over, whatever it is; None if it is not."""
    if name.lower() in _NAMES:
        return _RUBBISH
    return _HIDDEN if name.startswith(".") else None


def _is_ours(folder: Path) -> bool:
    """Whether lookright wrote it: a run, a result, or a folder without images whose folders are.

    Of a folder called runs or results, one of them is enough.
    """
    run = (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()
    if run or (folder / "result.json").is_file():
        return True
    inner = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(Path(entry.path))
                elif entry.name == FIRST_LOOK:
                    continue
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                    return False
    except OSError:  # told where it is listed
        return False
    enough = any if folder.name.lower() in ("runs", "results") else all
    return bool(inner) and enough(map(_is_ours, inner))
