"""One writer for each folder: a second command is told who holds it."""

import errno
import json
import os
import shlex
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lookright.errors import UserError
from lookright.files import (
    WRITTEN,
    finish,
    forget_unfinished,
    require_writable,
    writing,
)

_LOCK = ".lock"
_MISSING = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK)
"""What file systems say that have no locks."""

_MOMENT = 0.5
"""Seconds that a writer waits for the lock: a reader may hold it while it moves files into place,
in `settled`."""

_PATIENCE = 10.0
"""Seconds for which a reader waits until a writer has moved its files into place."""


class HeldError(UserError):
    """Another command writes into the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for writing, and first finish or forget what a killed process left in it.

    The system releases the lock when the process ends, however it ends. A missing folder is made,
    and goes again if nothing was put into it.

    Raises:
        HeldError: another command writes into the folder.
        UserError: nothing can be written there.
    """
    new, path = not folder.exists(), folder / _LOCK
    require_writable(folder)
    if path.is_symlink():
        path.unlink()
    lock = FileLock(path, timeout=_MOMENT, fallback_to_soft=False, on_acquired=_sign)
    with writing(path):
        _acquire(lock, folder)
    try:
        with writing(folder):
            finish(folder)
            forget_unfinished(folder)
        yield
    finally:
        try:
            with suppress(OSError):  # Windows does not delete open files
                path.unlink(missing_ok=True)
        finally:
            lock.release()
        if new:
            with suppress(OSError):
                folder.rmdir()


def settled(folder: Path) -> Path:
    """The folder, after files that were written together have been moved into place.

    Raises:
        UserError: a process was killed before it had moved them, and they cannot be moved now.
    """
    until = time.monotonic() + _PATIENCE
    while (folder / WRITTEN).is_dir():
        try:
            with locked(folder):
                pass
        except UserError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
    return folder


def _acquire(lock: FileLock, folder: Path) -> None:
    """Take the lock; on a file system without locks, only say that there are none."""
    try:
        lock.acquire()
    except Timeout:
        raise HeldError(
            f"{folder} is being written by {_holder(folder / _LOCK)}: wait until that has ended, "
            "or name another folder."
        ) from None
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        warnings.warn(
            f"The file system of {folder} has no locks: see to it yourself that no second command "
            "writes into that folder meanwhile.",
            stacklevel=4,
        )


def _sign(opened: int) -> None:
    """Write into the lock who holds it; a full disk does not matter."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    about = {
        "process": os.getpid(),
        "command": command,
        "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
    }
    with suppress(OSError):
        os.ftruncate(opened, 0)
        os.write(opened, json.dumps(about).encode())


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"process {told['process']} (`{told['command']}`, since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another command"
