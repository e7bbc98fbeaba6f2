"""Files that appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from lookright.errors import UserError


def write_atomically(target: Path, content: bytes) -> Path:
    """Write beside the target, then rename over it: a reader never sees half a file.

    Raises:
        UserError: the folder cannot be written to, or the disk is full; the old file stays.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise UserError(_refusal(target, error)) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
        temporary.replace(target)
    except OSError as error:
        raise UserError(_refusal(target, error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return target


def _refusal(target: Path, error: OSError) -> str:
    return (
        f"Expected to write {target}, but the system says '{error.strerror or error}': "
        "free some space or choose another folder."
    )
