"""Writing files: one is complete or absent; those that belong together are all old or all new.

Files that must agree are written into a folder `.writing`, which is renamed to `.written` once they
are on the disk with their checksums; from that moment on they count, and they are then moved into
place. A process that is killed before the rename leaves the old files, one that is killed after it
the new ones, which the next command moves (`finish`). Links inside a folder are replaced or refused
and never followed, for the folder may be somebody else's.
"""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lookright.errors import UserError

CHECKSUMS = "checksums.json"
"""The hashes of the files that were written together, by their names relative to its folder."""

WRITING, WRITTEN = ".writing", ".written"
_REMOVED, _LAST = "removed.json", "done.json"
"""What goes before new files come, and the mark of a job, which comes when all others are there."""
_LOOKS = 100
"""How often a reader looks again, 50 ms apart, while a writer moves files into place."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def as_path(path: Path | str) -> Path:
    """A path as a user writes it: `~` is his home.

    Raises:
        UserError: text that no path can have.
    """
    try:
        os.fsencode(found := Path(path).expanduser())
    except (RuntimeError, UnicodeError) as error:
        raise UserError(f"Expected a path, got '{path}' ({error}): write it in full.") from error
    if "\0" in str(found):
        raise UserError(f"Expected a path, got '{path}' with a null character in it: leave it out.")
    return found


@contextmanager
def atomic(path: Path, *, durable: bool = True, within: Path | None = None) -> Iterator[Path]:
    """A temporary path of its own to write to, which replaces `path` at the end.

    After an exception, or if the process is killed, `path` is unchanged. durable: flushed to the
    disk before it replaces the old file, so that a power failure leaves one of the two as well.
    within: where the temporary path is, beside `path` by default.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    partial = (within or path.parent) / f".{os.getpid()}-{secrets.token_hex(4)}.partial"
    with writing(path):
        try:
            yield partial
            if durable:
                _flush(partial)
            os.replace(partial, path)
            if durable:
                _flush(path.parent)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def write_atomically(
    path: Path | str, content: bytes, *, durable: bool = True, within: Path | None = None
) -> Path:
    """Write `content` to `path`; creates missing folders. durable, within: those of `atomic`.

    Raises:
        UserError: the folder cannot be written to, or the disk is full; an old file is kept.
    """
    path = as_path(path)
    with writing(path):
        for folder in filter(None, (path.parent, within)):
            folder.mkdir(parents=True, exist_ok=True)
    with atomic(path, durable=durable, within=within) as partial:
        partial.write_bytes(content)
    return path


@contextmanager
def together(folder: Path, removed: Iterable[str] = (), brought: bool = False) -> Iterator[Path]:
    """A folder to write files into, which then replace those of the same names in `folder` as one.

    After an exception, or if the process is killed, either all of them are the old ones or all are
    the new ones. The caller holds the lock of `folder` (`locks.locked`). removed: names of files
    and folders that go when the new files come. brought: they come from another machine, with the
    checksums of those that were written together there.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    staged = folder / WRITING
    with writing(folder):
        forget_unfinished(folder)
        try:
            staged.mkdir(parents=True)
            yield staged
            _seal(folder, staged, tuple(removed), brought)
            os.rename(staged, folder / WRITTEN)
            _flush(folder)
        except BaseException:
            with suppress(OSError):
                forget_unfinished(folder)
            raise
        finish(folder)


def forget_unfinished(folder: Path) -> None:
    """Delete what was being written into `folder` when a process was killed."""
    _remove(folder / WRITING)


def finish(folder: Path) -> None:
    """Move files that were written together into place, if a process was killed before it had."""
    written = folder / WRITTEN
    if written.is_symlink():
        written.unlink()
    if not written.is_dir():
        return
    listed = written / _REMOVED
    if listed.is_file():
        for name in json.loads(listed.read_text(encoding="utf-8")):
            _remove(inside(folder, str(name)))
        listed.unlink()
        _flush(written)
    moved = (path for path in written.rglob("*") if not path.is_dir())
    for path in sorted(moved, key=lambda path: (path.name == _LAST, path)):
        target = inside(folder, path.relative_to(written))
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        _flush(target.parent)
    _remove(written)


def inside(folder: Path, name: Path | str) -> Path:
    """The path of that name within `folder`, where no link leads out of it on the way.

    Raises:
        UserError: a folder on the way is a link, or the name leads out of `folder`.
    """
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts:
        raise UserError(f"Expected a name within {folder}, got '{name}': nothing was written.")
    path = folder
    for part in parts[:-1]:
        path /= part
        if path.is_symlink():
            raise UserError(
                f"{path} is a link to {os.readlink(path)}, and nothing is written through a link "
                f"inside {folder}: put the folder itself in its place."
            )
    return folder.joinpath(*parts)


def regular(path: Path) -> Path:
    """The path, unless it is a pipe, socket or device, of which a read may never end.

    Raises:
        OSError: it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError("it is a pipe, socket or device")
    return path


def verified(path: Path) -> Path:
    """The path, if the file has the checksum that was written with it; one without passes.

    Raises:
        UserError: the file was damaged or changed since it was written, or is no regular file.
    """
    try:
        regular(path)
    except OSError as error:
        raise UserError(f"{path} is damaged ({error}): take it from a copy.") from error
    for folder in (path.parent, path.parent.parent):
        name = path.relative_to(folder).as_posix()
        doubted = None
        for _ in range(_LOOKS):
            before = _settled_version(folder)
            expected = checksums(folder).get(name)
            if expected is None or not path.is_file() or content_hash(path) == expected:
                break
            if before and before == doubted == _settled_version(folder):
                raise _changed(path, folder)
            doubted = before
            time.sleep(0.05)  # another process is moving new files into place
        else:
            raise _changed(path, folder)
    return path


def _settled_version(folder: Path) -> tuple[int, int] | None:
    """Whose files were last written together, as far as the clock tells; None while they move."""
    before = _version(folder)
    return None if (folder / WRITTEN).is_dir() or _version(folder) != before else before


def _version(folder: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = (folder / CHECKSUMS).stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _changed(path: Path, folder: Path) -> UserError:
    return UserError(
        f"{path} is damaged (its checksum is not the one in {folder / CHECKSUMS}): take it from a "
        "copy, or make it again, with --overwrite."
    )


def checksums(folder: Path) -> Mapping[str, str]:
    """The checksums of the files that were written together into `folder`; none without them.

    Raises:
        UserError: the file of the checksums is damaged.
    """
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found["lookright"]) if "lookright" in found else {}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({' '.join(str(error).split())}): take it from a copy, or make the "
            "files beside it again, with --overwrite."
        ) from error


def content_hash(path: Path) -> str:
    """16 hexadecimal digits: a hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def require_writable(folder: Path) -> None:
    """Create the folder if it is missing, and check early that it can be written to.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    with writing(folder, "write into"):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


@contextmanager
def writing(path: Path, what: str = "write") -> Iterator[None]:
    """Turn what the system says while `path` is written into one UserError that names it."""
    with full_disk(path):
        try:
            yield
        except OSError as error:
            if _no_space(error):
                raise
            raise UserError(
                f"Expected to {what} {path}, but the system says '{error.strerror or error}': "
                "choose another folder."
            ) from error


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn the many exceptions of a full disk, of a full quota and of a limit to the size of files
    into one UserError that names `path`."""
    try:
        yield
    except Exception as error:
        if not _no_space(error):
            raise
        raise UserError(
            f"No space left on the disk while writing {path} (the disk or your quota is full, or "
            "files are limited in size): nothing written before is lost; free some space and run "
            "the command again, a training with --resume."
        ) from error


def _no_space(error: BaseException | None) -> bool:
    """Also in the words of libraries that are not written in Python, and behind their errors."""
    while error is not None and not isinstance(error, UserError):
        numbered = re.search(r"os error (\d+)", str(error))
        number = error.errno if isinstance(error, OSError) else numbered and int(numbered[1])
        if number in _FULL or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _seal(folder: Path, staged: Path, removed: tuple[str, ...], brought: bool) -> None:
    """Write the checksums of the new files and of those that stay, and what is to be removed."""
    gone = tuple(f"{name}/" for name in removed)
    try:
        before = checksums(folder)
    except UserError:  # damaged, and written anew here
        before = {}
    kept = {
        name: value
        for name, value in before.items()
        if name not in removed and not name.startswith(gone)
    }
    files = sorted(path for path in staged.rglob("*") if path.is_file())
    if brought:
        new = dict(checksums(staged))
        for path in files:
            _flush(path)
    else:
        new = {path.relative_to(staged).as_posix(): content_hash(path) for path in files}
    write_atomically(staged / CHECKSUMS, json.dumps({"lookright": kept | new}, indent=1).encode())
    if removed:
        write_atomically(staged / _REMOVED, json.dumps(removed).encode())


def _remove(path: Path) -> None:
    """Delete a file, a folder or a link itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders, and needs no flush of them
        return
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems flush no folders
            raise
    finally:
        os.close(opened)
