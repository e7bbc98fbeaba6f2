"""Writing files atomically: a file is either complete or absent."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lookright.errors import UserError


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
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which replaces `path` at the end.

    After an exception, or if the process is killed, `path` is unchanged.

    Raises:
        UserError: the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    with full_disk(path):
        try:
            yield partial
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_atomically(path: Path | str, content: bytes) -> Path:
    """Write `content` to `path`; creates missing folders.

    Raises:
        UserError: the folder cannot be written to, or the disk is full; an old file is kept.
    """
    path = as_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"Expected to write {path}, but the system says '{error.strerror or error}': choose "
            "another folder."
        ) from error
    return path


def content_hash(path: Path) -> str:
    """16 hexadecimal digits: a hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def require_writable(folder: Path) -> None:
    """Create the folder if it is missing, and check early that it can be written to.

    Raises:
        UserError: the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"Expected to write into {folder}, but the system says '{error.strerror or error}': "
            "choose another folder."
        ) from error


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn the many exceptions of a full disk into one UserError that names `path`."""
    try:
        yield
    except Exception as error:
        if not _no_space(error):
            raise
        raise UserError(
            f"No space left on the disk while writing {path}: nothing written before is lost; free "
            "some space and run the command again."
        ) from error


def _no_space(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error) or "os error 28" in str(error)
