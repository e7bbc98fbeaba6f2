"""A job: work that its spec decides, done once in a folder named by the hash of that spec.

A job writes into its folder, and keeps in `jobs/<kind>-<hash>` within it: `spec.json`, what the job
is; `log.txt`, what it printed; `done.json`, once it is done; `failed.json`, if its last try failed.
"""

import hashlib
import json
import re
import socket
import traceback
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress

from lookright.console import mistake_behind
from lookright.errors import StoppedError, UserError
from lookright.files import inside, write_atomically
from lookright.jobs.code import own_code
from lookright.locks import HeldError, locked
from lookright.spec import spec_of
from lookright.versions import versions

_PROGRESS = "progress.json"
_LAST_WORDS = 300
"""Bytes of a log that are looked at."""

State = Literal["waiting", "begun", "failed", "done"]


class Job(ABC):
    """Work that can be described by a spec (`spec_of(job)`), so that another process can do it.

    title: what the job is called in messages; its folder's name begins with it. needs: a job that
    must be done before this one, in the same folder; that may need another one. devices: how many
    GPUs it computes on at once.
    """

    @property
    @abstractmethod
    def title(self) -> str: ...

    @property
    def needs(self) -> "Job | None":
        return None

    @property
    def devices(self) -> int:
        return 1

    @abstractmethod
    def work(self, folder: Path, progress: Progress) -> None:
        """Do the work in the folder; go on with what is there already from an interrupted try."""

    def decides(self) -> Any:
        """All that decides the outcome, as JSON; by default the spec.

        A job whose spec names files gives the hashes of these in place of their paths, so that it
        is the same job wherever they lie.
        """
        return self.spec

    @cached_property
    def spec(self) -> Any:
        """`spec_of(job)`, made once."""
        return spec_of(self)

    @cached_property
    def digest(self) -> str:
        """12 hexadecimal digits: a hash of what decides the outcome, code of one's own in it."""
        decides = self.decides()
        if code := own_code(decides):
            decides = [decides, code]
        text = json.dumps(decides, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def place(self, root: Path) -> "Place":
        """Where the job is done below `root`: in the folder of the job that it needs, if any.

        Raises:
            UserError: a folder on the way there is a link.
        """
        if self.needs is None:
            name = re.sub("[^a-z0-9]+", "-", self.title.lower()).strip("-")
            folder = root / f"{name[:_LONGEST].strip('-')}-{self.digest}"
        else:
            folder = self.needs.place(root).folder
        about = Path("jobs", f"{type(self).__name__.lower()}-{self.digest}")
        return Place(folder, inside(root, folder.name / about / "spec.json").parent)


_LONGEST = 150
"""Characters of a job's name in that of its folder; file systems take 255 in all."""


@dataclass(frozen=True)
class Place:
    """Where a job works (`folder`), and where it keeps what is said of it (`about`)."""

    folder: Path
    about: Path

    @property
    def state(self) -> State:
        """How far the job is; "begun" where it is being done or was interrupted."""
        for name in ("done", "failed"):
            if (self.about / f"{name}.json").is_file():
                return name
        return "begun" if (self.about / "spec.json").is_file() else "waiting"

    @property
    def free(self) -> bool:
        """Whether no process is doing the job."""
        if not self.about.is_dir():
            return True
        try:
            with locked(self.about):
                return True
        except HeldError:
            return False

    @property
    def error(self) -> str:
        """Why the job's last try failed; empty where that is not known."""
        return str(_read(self.about / "failed.json").get("error", ""))

    @property
    def log(self) -> Path:
        """What the job printed in a process of its own."""
        return self.about / "log.txt"

    @property
    def last_words(self) -> str:
        """The last line of the log."""
        with suppress(OSError):
            text = self.log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip()
            return " ".join(text.rpartition("\n")[2].split())
        return ""

    @property
    def progress(self) -> tuple[float, str]:
        """How far a running job is: its share, from 0 to 1, and a note."""
        told = _read(self.about / _PROGRESS)
        return float(told.get("share", 0.0)), str(told.get("note", ""))

    def tell_progress(self, share: float, note: str) -> None:
        """Write how far the job is, for another process to read."""
        told = json.dumps({"share": share, "note": note}).encode()
        with suppress(UserError):
            write_atomically(self.about / _PROGRESS, told, durable=False)


def do(job: Job, place: Place, progress: Progress) -> None:
    """Do the job in its place, unless it is done.

    Raises:
        HeldError: another process is doing it.
        Exception: whatever the work raises; `failed.json` keeps it.
    """
    about = place.about
    with locked(about):
        if place.state == "done":
            return
        (about / "failed.json").unlink(missing_ok=True)
        _write(about / "spec.json", job.spec)
        try:
            _require_same(job, place)
            job.work(place.folder, progress)
        except StoppedError:
            raise
        except Exception as error:
            told = mistake_behind(error) or traceback.format_exception_only(error)[-1].strip()
            _write(about / "failed.json", {"error": told, "at": _now()})
            raise
        _write(about / "done.json", {"at": _now(), "versions": versions()})


def _require_same(job: Job, place: Place) -> None:
    """Refuse files that are others here than where the place was made, or than they were then."""
    if not place.about.name.endswith(job.digest):
        raise UserError(
            f"The images or the weights of this job are others on {socket.gethostname()} now than "
            "where and when the command was given: put the same there, or give it again."
        )


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
