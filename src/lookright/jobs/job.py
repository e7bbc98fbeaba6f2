"""A job: work that its spec decides, done once in a folder named by the hash of that spec.

A job's folder holds what its work writes, and in `job/`: `spec.json`, what the job is; `log.txt`,
what it printed; `done.json`, once it is done; `failed.json`, if its last try failed.
"""

import hashlib
import json
import re
import traceback
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress

from lookright.console import mistake_behind
from lookright.errors import UserError
from lookright.files import write_atomically
from lookright.locks import HeldError, locked
from lookright.spec import spec_of
from lookright.versions import versions

_PROGRESS = "progress.json"

State = Literal["waiting", "begun", "failed", "done"]


class Job(ABC):
    """Work that can be described by a spec (`spec_of(job)`), so that another process can do it.

    title: what the job is called in messages; its folder's name begins with it.
    """

    @property
    @abstractmethod
    def title(self) -> str: ...

    @abstractmethod
    def work(self, folder: Path, progress: Progress) -> None:
        """Do the work in the folder; go on with what is there already from an interrupted try."""

    def decides(self) -> Any:
        """All that decides the outcome, as JSON; by default the spec.

        A job whose spec names files gives the hashes of these in place of their paths, so that it
        is the same job wherever they lie.
        """
        return spec_of(self)

    def place(self, root: Path) -> Path:
        """The job's folder in `root`."""
        text = json.dumps([type(self).__name__, self.decides()], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return root / f"{re.sub('[^a-z0-9]+', '-', self.title.lower()).strip('-')}-{digest}"


def do(job: Job, folder: Path, progress: Progress) -> None:
    """Do the job in its folder, unless it is done.

    Raises:
        UserError: another process is doing it.
        Exception: whatever the work raises; `failed.json` keeps it.
    """
    inner = folder / "job"
    inner.mkdir(parents=True, exist_ok=True)
    with locked(inner):
        if state(folder) == "done":
            return
        (inner / "failed.json").unlink(missing_ok=True)
        _write(inner / "spec.json", {"job": spec_of(job), "decides": job.decides()})
        try:
            job.work(folder, progress)
        except Exception as error:
            told = mistake_behind(error) or traceback.format_exception_only(error)[-1].strip()
            _write(inner / "failed.json", {"error": told, "at": _now()})
            raise
        _write(inner / "done.json", {"at": _now(), "versions": versions()})


def state(folder: Path) -> State:
    """How far the job of this folder is; "begun" where it is being done or was interrupted."""
    inner = folder / "job"
    for name in ("done", "failed"):
        if (inner / f"{name}.json").is_file():
            return name
    return "begun" if (inner / "spec.json").is_file() else "waiting"


def is_free(folder: Path) -> bool:
    """Whether no process is doing the job of this folder."""
    inner = folder / "job"
    if not inner.is_dir():
        return True
    try:
        with locked(inner):
            return True
    except HeldError:
        return False


def error_of(folder: Path) -> str:
    """Why the job's last try failed; empty where that is not known."""
    return str(_read(folder / "job" / "failed.json").get("error", ""))


def progress_of(folder: Path) -> tuple[float, str]:
    """How far a running job is: its share, from 0 to 1, and a note."""
    told = _read(folder / "job" / _PROGRESS)
    return float(told.get("share", 0.0)), str(told.get("note", ""))


def tell_progress(folder: Path, share: float, note: str) -> None:
    """Write how far a job is, for another process to read."""
    told = json.dumps({"share": share, "note": note}).encode()
    with suppress(UserError):
        write_atomically(folder / "job" / _PROGRESS, told, durable=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
