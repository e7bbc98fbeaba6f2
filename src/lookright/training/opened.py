"""When the folder of a run may be written: it is free, holds the same run, or is to be replaced."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lookright.data import Seen
from lookright.errors import UserError
from lookright.files import inside, write_atomically
from lookright.locks import locked
from lookright.spec.folders import FOLDERS
from lookright.training.config import flat
from lookright.training.run import OPTIONS, SEEN, Run
from lookright.versions import versions

_OURS = (
    "config.json",
    "versions.json",
    OPTIONS,
    SEEN,
    "log.txt",
    "metrics.csv",
    "tensorboard",
    "checkpoints",
)

_OF_IT = ("checksums.json", "results", "claims.json", "report.html")
"""What else goes when a run is replaced, for it is about the former model."""

_PLACES = ("data.name", *(f"data.spec.{name}" for name in FOLDERS))
"""The folders of the data, and the name that it has from one, may change; the samples themselves
are compared by their fingerprint."""


@dataclass(frozen=True)
class Opened:
    """A run that may be written.

    config: where it begins anew, what was run; seen: on which images; options: of the command that
    began it, as YAML. former: what the folder holds of another run, which goes when the first epoch
    of this one is finished.
    """

    run: Run
    config: Mapping[str, Any] | None = None
    seen: Seen | None = None
    options: str = ""
    former: tuple[str, ...] = ()

    def write_start(self, run: Run) -> None:
        """Write what was run, with what and on which images, where the run begins anew."""
        if self.config is not None and self.seen is not None:
            if self.options:  # first, since the run can be gone on with once its config is there
                write_atomically(run.folder / OPTIONS, self.options.encode())
            _write_json(run.folder / "config.json", self.config)
            _write_json(run.folder / "versions.json", versions())
            write_atomically(run.folder / SEEN, self.seen.as_file())


def open_run(
    folder: Path,
    config: Mapping[str, Any],
    resume: bool,
    overwrite: bool,
    seen: Seen,
    options: str = "",
) -> Opened:
    """Check that the folder of a run is free, or holds the same run, to be resumed.

    The caller holds its lock. A run that is to be replaced stays as it is until the first epoch of
    the new one is put in its place; one without a finished epoch may be begun again.

    Raises:
        UserError: it holds a run and neither `resume` nor `overwrite` was given, or a run of
            another config, or files that belong to no run.
    """
    run = Run(folder)
    present = _present(folder)
    if present and "config.json" not in present:
        raise UserError(
            f"{folder} holds {present[0]}, but no run (config.json); name another folder."
        )
    for name in ("tensorboard", "checkpoints"):
        inside(folder, f"{name}/file")
    for path in (folder / "tensorboard").glob("*"):
        if path.is_symlink():  # others write there, who follow links
            path.unlink()
    if resume and overwrite:
        raise UserError(
            "Say either resume=True (--resume), to go on with a run, or overwrite=True "
            "(--overwrite), to begin anew."
        )
    if present and resume:
        _check_same(run, config)
        if run.history and not run.finished and not run.resumable.exists():
            raise UserError(
                f"{folder} has {len(run.history)} finished epochs, but no {run.resumable.name} to "
                "go on from: put it back, or begin anew by overwrite=True (--overwrite)."
            )
        if run.history or run.resumable.exists():
            return Opened(run)
    if resume or not present:
        return Opened(run, config, seen, options)
    if not overwrite:
        check_free(folder)
    for result in (folder / "results").glob("*/result.json"):
        with locked(result.parent):  # none of them is being written
            pass
    curves = [f"tensorboard/{path.name}" for path in sorted((folder / "tensorboard").glob("*"))]
    others = [name for name in (*_OURS, *_OF_IT) if os.path.lexists(folder / name)]
    former = (*curves, *(each for each in others if each != "tensorboard"))
    return Opened(run, config, seen, options, former)


def check_free(folder: Path) -> None:
    """Raise UserError where a run, or what is no run of this version, would be replaced."""
    run = Run(folder)
    trained = (run.resumable, run.best, run.last, folder / "metrics.csv")
    if any(path.exists() for path in trained) or (_present(folder) and not _begun(run)):
        raise UserError(
            f"{folder} already holds a run: go on with it by resume=True (--resume), replace it by "
            "overwrite=True (--overwrite), or name another folder."
        )


def _present(folder: Path) -> list[str]:
    """What the folder holds of a run; the options alone are of one that never began."""
    found = [name for name in _OURS if os.path.lexists(folder / name)]
    return [] if found == [OPTIONS] else found


def _begun(run: Run) -> bool:
    """Whether the folder holds the start of a run of this version."""
    try:
        return bool(run.config)
    except UserError:
        return False


def _check_same(run: Run, config: Mapping[str, Any]) -> None:
    before, now = flat(run.config), flat(json.loads(json.dumps(config)))
    differing = [
        f"{name} ({before.get(name, 'absent')} in the run, {now.get(name, 'absent')} now)"
        for name in before | now
        if name not in _PLACES and before.get(name, "absent") != now.get(name, "absent")
    ]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise UserError(
            f"{run.folder / 'config.json'} is of another config: {', '.join(differing[:3])}{more}; "
            "resume the run with its own config, or name another folder."
        )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, f"{json.dumps(content, indent=2)}\n".encode())
