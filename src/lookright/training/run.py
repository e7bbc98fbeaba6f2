"""The folder of a run: what it holds, when it may be written, and how it is read."""

import csv
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from torch import nn

from lookright.data import ImageData, Seen
from lookright.errors import UserError
from lookright.files import as_path, atomic, write_atomically
from lookright.guides import LearnedMask
from lookright.guides.masker import load_masker
from lookright.methods.method import Method
from lookright.models import Classifier, load_classifier
from lookright.spec import build_read
from lookright.spec.folders import FOLDERS, with_folders
from lookright.training.config import FORMAT, flat
from lookright.training.settings import Settings
from lookright.versions import versions
from lookright.visible import visible

Row = dict[str, float]
Which = Literal["best", "last"]

_SEEN = "seen.json.gz"
_OURS = (
    "config.json",
    "versions.json",
    _SEEN,
    "log.txt",
    "metrics.csv",
    "tensorboard",
    "checkpoints",
)

_PLACES = tuple(f"data.spec.{name}" for name in FOLDERS)
"""The folders of the data may change; the samples themselves are compared by their fingerprint."""


@dataclass(frozen=True)
class Run:
    """A run's folder.

    `config.json` says what was run, `versions.json` with which versions; `seen.json.gz` on which
    images, by their hashes (`Seen`); `metrics.csv` has a row and `log.txt` a line for each finished
    epoch; `tensorboard/` the same curves, where TensorBoard is installed; `checkpoints/` holds
    `best.safetensors` and `last.safetensors` (`save_classifier`), beside them `best-masker` and
    `last-masker.safetensors` (`save_masker`) where a mask was learned, and `last.ckpt`, from which
    an interrupted run goes on.
    """

    folder: Path

    def __init__(self, folder: Path | str) -> None:
        object.__setattr__(self, "folder", as_path(folder))

    @property
    def best(self) -> Path:
        """The classifier of the epoch that was best on the validation part."""
        return self.folder / "checkpoints" / "best.safetensors"

    @property
    def last(self) -> Path:
        """The classifier of the last finished epoch."""
        return self.folder / "checkpoints" / "last.safetensors"

    @property
    def resumable(self) -> Path:
        """The last finished epoch with the optimiser's state."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def config(self) -> dict[str, Any]:
        """What was run: method, model, data and settings.

        Raises:
            UserError: no run in this folder, or one of another version.
        """
        try:
            found = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"No run in {self.folder}: expected the folder of a training, with its config.json."
            ) from error
        version = found.get("format") if isinstance(found, dict) else None
        if version != FORMAT:
            raise UserError(
                f"Expected a run of format {FORMAT}, but that in {self.folder} has format "
                f"{version!r}: train again with this version of lookright and --overwrite."
            )
        return found

    @property
    def history(self) -> list[Row]:
        """One row for each finished epoch: epoch (from 1), step, seconds, lr, train/*, val/*.

        A measure that was not taken in an epoch is missing from its row.
        """
        path = self.folder / "metrics.csv"
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [{key: float(value) for key, value in row.items() if value} for row in rows]

    @property
    def finished(self) -> bool:
        """Whether all epochs asked for are there."""
        history = self.history
        epochs = self.config["settings"]["init_args"]["epochs"]
        return bool(history) and history[-1]["epoch"] >= epochs

    @property
    def seen(self) -> Seen:
        """The images that were trained and validated on, by their content.

        Raises:
            UserError: the run does not say, or its file is damaged.
        """
        return Seen.read(self.folder / _SEEN)

    def write_seen(self, seen: Seen) -> None:
        """Keep which images are trained and validated on."""
        write_atomically(self.folder / _SEEN, seen.as_file())

    @property
    def settings(self) -> Settings:
        """The arguments of the training."""
        return build_read(self.config["settings"], Settings)

    def model(
        self,
        which: Which = "best",
        network: nn.Module | None = None,
        architecture: str | None = None,
    ) -> Classifier:
        """The trained classifier, on the CPU.

        Where the network was the user's own, it is given: the module itself (`network`), or the
        function that makes it, package.module:function (`architecture`).
        """
        path = self.best if which == "best" else self.last
        return load_classifier(path, network, architecture)

    def method(self, which: Which = "best", model: Classifier | None = None) -> Method:
        """The method with its options, for the trained classifier or another `model`.

        A learned masker gets its trained weights. Modules and functions of your own must still be
        importable under their old names.
        """
        model = model or self.model(which)
        method: Method = build_read(self.config["method"], Method, model=model)
        if self.masker_file(which).exists() and isinstance(method.guide, LearnedMask):
            load_masker(self.masker_file(which), method.guide.masker)
        return method

    def data(self, **others: Any) -> ImageData:
        """The data set that was trained on; `others` replaces arguments of it, such as `root`.

        Files are read when they are first used.

        Raises:
            UserError: the images are not where they were.
        """
        spec = self.data_spec
        told = {**spec, "init_args": {**spec["init_args"], **others}}
        return build_read(told, ImageData, read=False)

    @property
    def data_spec(self) -> dict[str, Any]:
        """The spec of the data, with its folders as they are found from here."""
        here = self.folder.resolve()
        found: dict[str, Any] = with_folders(
            self.config["data"]["spec"], lambda folder: os.path.normpath(here / folder)
        )
        return found

    def masker_file(self, which: Which) -> Path:
        """The masker of the same epoch as `best` or `last`, where a mask was learned."""
        return self.folder / "checkpoints" / f"{which}-masker.safetensors"

    def masker(self, which: Which = "best", masker: nn.Module | None = None) -> nn.Module | None:
        """The learned masker, on the CPU; `masker` where it was the user's own module.

        None where the run has learned no mask.
        """
        path = self.masker_file(which)
        return load_masker(path, masker) if path.exists() else None

    def write_history(self, rows: Sequence[Row]) -> None:
        """Replace metrics.csv by these rows."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with (
            atomic(self.folder / "metrics.csv") as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def log(self, line: str) -> None:
        """Add a line to log.txt, with the time."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {visible(line)}\n")


def open_run(folder: Path, config: Mapping[str, Any], resume: bool, overwrite: bool) -> Run:
    """Make the folder of a run, or check that it holds the same run, to be resumed.

    Raises:
        UserError: it holds a run and neither `resume` nor `overwrite` was given, or a run of
            another config, or files that belong to no run.
    """
    run = Run(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"A run needs a folder, but {folder} is a file; name another.")
    present = [name for name in _OURS if (folder / name).exists()]
    if present and "config.json" not in present:
        raise UserError(
            f"{folder} holds {present[0]}, but no run (config.json); name another folder."
        )
    if present and resume:
        _check_same(run, config)
        run.last.parent.mkdir(exist_ok=True)
        return run
    if present and not overwrite:
        raise UserError(
            f"{folder} already holds a run: go on with it by resume=True (--resume), replace it by "
            "overwrite=True (--overwrite), or name another folder."
        )
    for name in reversed(present):  # config.json, by which the folder is known, goes last
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", config)
    _write_json(folder / "versions.json", versions())
    run.last.parent.mkdir()
    return run


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
            f"The run in {run.folder} is of another config: {', '.join(differing[:3])}{more}; "
            "resume it with its own config, or name another folder."
        )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
