"""Turning the official archive of a set into folders images/<domain>/<class> and masks beside them.

Each file is written whole, under the name that it keeps, so that a command that was stopped goes on
where it was.
"""

import json
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from lookright.data.annotations import write_masks
from lookright.data.archives import members
from lookright.data.images import SUFFIXES
from lookright.data.listing import never_listed
from lookright.data.sets.published import Annotations, PublishedSet
from lookright.errors import UserError, some
from lookright.files import WRITING, as_path, forget_unfinished, inside, write_atomically
from lookright.locks import locked
from lookright.progress import counting, progress_bar

IMAGES, MASKS = "images", "masks"
"""The folders of a prepared set."""

_EXAMPLES: Final = 3
"""Files that are named of an archive that is not the set's."""

RECORD: Final = "prepared.json"
"""The file beside them that says from what they were prepared."""


@dataclass
class Prepared:
    """What lies in a folder after a set was prepared there.

    passed_over: files of the archive that are no images of the set; masks: how many were made.
    """

    folder: Path
    images: int = 0
    masks: int = 0
    passed_over: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare(
    published: PublishedSet,
    archive: Path | str,
    folder: Path | str,
    annotations: Sequence[Path] = (),
    progress: bool = False,
) -> Prepared:
    """Lay the set out as images/<domain>/<class>/* and masks/<domain>/<class>/*.png in a folder.

    archive: the official one, or a folder into which it was unpacked. annotations: files that say
    where images belong, or where the objects are in them (`PublishedSet.annotated`). Run again
    after it was stopped, it goes on, and ends in the same files.

    Raises:
        UserError: the archive is not that of the set, damaged or hostile (`archives.members`); the
            folder holds something else, or cannot be written to.
    """
    archive, folder = as_path(archive), as_path(folder)
    if folder.resolve().is_relative_to(archive.resolve()):
        raise UserError(
            f"Expected a folder outside of '{archive}', from which images are taken, got '{folder}'"
            ": name another."
        )
    about = {
        "set": published.title,
        "archive": archive.name,
        "annotations": [file.name for file in annotations],
    }
    with locked(folder):
        _require_own(folder, about)
        with counting("Reading annotations", progress and bool(annotations)):
            known = published.annotated([as_path(file) for file in annotations])
        prepared = Prepared(folder)
        with _shown(progress, archive) as told:
            _unpack(published, known, archive, prepared, about, told)
        if known is not None:
            images = folder / IMAGES
            drawn = write_masks(known.annotated(images), images, folder / MASKS, progress=progress)
            prepared.masks = len(drawn.written) + len(drawn.kept)
            prepared.notes = [*known.notes(), *drawn.lines()]
        forget_unfinished(folder)
    return prepared


def _unpack(
    published: PublishedSet,
    known: Annotations | None,
    archive: Path,
    prepared: Prepared,
    about: dict[str, Any],
    told: Callable[[int], None],
) -> None:
    written: dict[PurePosixPath, PurePosixPath] = {}
    first: list[str] = []
    for member in members(archive):
        told(member.at)
        if len(first) < _EXAMPLES:
            first.append(str(member.path))
        if member.path.suffix.lower() not in SUFFIXES or any(map(never_listed, member.path.parts)):
            continue
        given = known.places(member.path) if known else None
        places = published.places(member.path) if given is None else given
        if not places:
            if not published.repeats(member.path):
                prepared.passed_over.append(str(member.path))
            continue
        for place in places:
            if (other := written.get(place.path)) is not None:
                raise UserError(
                    f"Expected one file for each image in '{archive}'; '{other}' and "
                    f"'{member.path}' are both {place.path}: name an archive of this set alone, or "
                    "unpack it, keep one of them, and name the folder."
                )
            written[place.path] = member.path
        if not prepared.images:
            record = json.dumps(about, indent=1) + "\n"
            _write(prepared.folder, prepared.folder / RECORD, record.encode())
        prepared.images += len(places)
        targets = [inside(prepared.folder, str(IMAGES / place.path)) for place in places]
        if absent := [each for each in targets if not _is_whole(each, member.size)]:
            content = member.read()
            for target in absent:
                _write(prepared.folder, target, content)
    if not prepared.images:
        raise UserError(
            f"Expected images of {published.title} in '{archive}', in folders of "
            f"{', '.join(published.domains)} and their classes; it holds "
            f"{some(first) or 'nothing'}: name {published.archive}."
        )


def _require_own(folder: Path, about: dict[str, Any]) -> None:
    """Raise UserError for a folder that holds anything but what this command began, with the same
    annotations or without any."""
    path = folder / RECORD
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if found in (about, about | {"annotations": []}):
            return
        raise UserError(
            f"'{folder}' was prepared from other files ({_told(found)}) than now given "
            f"({_told(about)}): name an empty folder, or give the same files."
        )
    if others := sorted(each.name for each in folder.iterdir() if each.name != ".lock"):
        raise UserError(
            f"Expected an empty folder at '{folder}', or one that `lookright data prepare` began; "
            f"it holds {some(others)}: name another."
        )


def _told(about: Any) -> str:
    if not isinstance(about, dict):
        return "its record is damaged"
    return ", ".join([str(about.get("archive")), *map(str, about.get("annotations") or ())])


def _write(folder: Path, target: Path, content: bytes) -> None:
    write_atomically(target, content, durable=False, within=folder / WRITING)


def _is_whole(path: Path, size: int) -> bool:
    """Whether a file of that size lies there; one is written whole or not at all."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


@contextmanager
def _shown(progress: bool, archive: Path) -> Iterator[Callable[[int], None]]:
    """A bar on stderr; gives a function that sets how many bytes of the archive were read."""
    total = archive.stat().st_size >> 20 if archive.is_file() else None
    bar = progress_bar()
    bar.disable = not progress
    with bar:
        unit = "" if total is None else ", MiB"
        task = bar.add_task(f"Unpacking {archive.name}{unit}", total=total, note="")
        yield lambda at: bar.update(task, completed=at if total is None else at >> 20)
