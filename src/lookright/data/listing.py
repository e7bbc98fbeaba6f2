"""Lists folders of images, and counts by reason what is passed over in them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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

    def below(self, folder: Path) -> Iterator[Path]:
        """All images below a folder; a folder that several links lead to is listed once."""
        waiting, listed = [folder], set[tuple[int, int]]()
        while waiting:
            at = waiting.pop()
            found = self(at)
            status = at.stat()
            if (place := (status.st_dev, status.st_ino)) in listed:
                self.pass_over(AGAIN, at)
                continue
            listed.add(place)
            yield from found.images
            waiting += reversed(found.folders)

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
        if entry.name.lower() in _NAMES:
            return _RUBBISH
        if entry.name.startswith("."):
            return _HIDDEN
        try:
            if entry.is_dir():
                return _OURS if _is_ours(path) else None
            if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
                return _OTHER
            return None if entry.is_file() or not path.exists() else ODD
        except OSError:  # a link to itself
            return ODD


def _is_ours(folder: Path) -> bool:
    """Whether lookright wrote it: a run, a result, or a folder called runs or results of these."""

    def written(path: Path) -> bool:
        run = (path / "config.json").is_file() and (path / "checkpoints").is_dir()
        return run or (path / "result.json").is_file()

    if folder.name.lower() not in ("runs", "results"):
        return written(folder)
    return any(map(written, [*folder.glob("*"), *folder.glob("*/results/*")]))
