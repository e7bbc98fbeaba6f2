"""The folder of a run: what it holds, and how it is read."""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from torch import nn

from lookright.data import ImageData, Seen
from lookright.errors import UserError
from lookright.files import (
    as_path,
    checksums,
    content_hash,
    regular,
    verified,
    write_atomically,
)
from lookright.guides import LearnedMask
from lookright.guides.masker import load_masker
from lookright.locks import settled
from lookright.methods.method import Method
from lookright.models import Classifier, load_classifier
from lookright.spec import build_read
from lookright.spec.folders import with_folders
from lookright.training.config import FORMAT, check_config
from lookright.training.settings import Settings
from lookright.untrusted import parsed

Row = dict[str, float]
Which = Literal["best", "last"]

_COUNTS = ("epoch", "step", "stopped")
SEEN = "seen.json.gz"
OPTIONS = "options.yaml"


@dataclass(frozen=True)
class Run:
    """A run's folder.

    `config.json` says what was run, `versions.json` with which versions; `seen.json.gz` on which
    images, by their hashes (`Seen`); `options.yaml` with which options of `lookright train`, where
    that has trained it; `metrics.csv` has a row and `log.txt` a line for each finished
    epoch; `tensorboard/` the same curves, where TensorBoard is installed; `checkpoints/` holds
    `best.safetensors` and `last.safetensors` (`save_classifier`), beside them `best-masker` and
    `last-masker.safetensors` (`save_masker`) where a mask was learned, and `last.ckpt`, from which
    an interrupted run goes on. All of an epoch are put in place together, and `checksums.json`
    tells when one was damaged since.
    """

    folder: Path

    def __init__(self, folder: Path | str) -> None:
        object.__setattr__(self, "folder", as_path(folder))

    @classmethod
    def of(cls, file: Path | None) -> "Run | None":
        """The run among whose checkpoints this file of weights lies; None for any other file."""
        if file is None or (folder := file.resolve().parent).name != "checkpoints":
            return None
        home = settled(folder.parent)
        ours = all((home / name).is_file() for name in ("config.json", SEEN))
        return cls(home) if ours else None

    @property
    def best(self) -> Path:
        """The classifier of the epoch that was best on the validation part."""
        return settled(self.folder) / "checkpoints" / "best.safetensors"

    @property
    def last(self) -> Path:
        """The classifier of the last finished epoch."""
        return settled(self.folder) / "checkpoints" / "last.safetensors"

    @property
    def resumable(self) -> Path:
        """The last finished epoch with the optimiser's state."""
        return settled(self.folder) / "checkpoints" / "last.ckpt"

    @property
    def config(self) -> dict[str, Any]:
        """What was run: method, model, data and settings.

        Raises:
            UserError: no run in this folder, or one of another version.
        """
        path = settled(self.folder) / "config.json"
        try:
            found = parsed(regular(path).read_text(encoding="utf-8"))
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
        check_config(found, path)
        return found

    @property
    def changed(self) -> bool:
        """Whether config.json is another than that which the training wrote.

        Raises:
            UserError: as for `config`.
        """
        path = self.folder / "config.json"
        told = checksums(self.folder).get(path.name)
        return bool(self.config) and told not in (None, content_hash(path))

    @property
    def history(self) -> list[Row]:
        """One row for each finished epoch: epoch (from 1), step, seconds, waiting (the share of the
        time of its training steps in which the next batch was not there), lr, train/*, val/*.

        A measure that was not taken in an epoch is missing from its row. The last row of a training
        that its patience has ended has `stopped`.
        """
        path = settled(self.folder) / "metrics.csv"
        if not path.is_file():
            return []
        try:
            with verified(path).open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
            found = [{key: _number(key, text) for key, text in row.items() if text} for row in rows]
            missing = [row for row in found if not {"epoch", "step"} <= row.keys()]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise UserError(_damaged(path, str(error))) from error
        if missing:
            raise UserError(_damaged(path, "a row without its epoch"))
        return found

    @property
    def finished(self) -> bool:
        """Whether all epochs asked for are there, or all up to an early end."""
        history = self.history
        if not history:
            return False
        ended = "stopped" in history[-1]
        return ended or history[-1]["epoch"] >= self.config["settings"]["init_args"]["epochs"]

    @property
    def seen(self) -> Seen:
        """The images that were trained and validated on, by their content.

        With those of the run from whose checkpoints the initial weights were loaded, if any.

        Raises:
            UserError: the run does not say, or its file is damaged.
        """
        return Seen.read(verified(settled(self.folder) / SEEN))

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
        if isinstance(method.guide, LearnedMask):
            self.masker(which, method.guide.masker)
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
        return settled(self.folder) / "checkpoints" / f"{which}-masker.safetensors"

    def masker(self, which: Which = "best", masker: nn.Module | None = None) -> nn.Module | None:
        """The learned masker, on the CPU; `masker` where it was the user's own module.

        None where the run has learned no mask.
        """
        path = self.masker_file(which)
        return load_masker(verified(path), masker) if path.exists() else None

    def write(self, rows: Sequence[Row], lines: Sequence[str]) -> None:
        """Write metrics.csv and log.txt."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = StringIO()
        writer = csv.DictWriter(table, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.folder / "metrics.csv", table.getvalue().encode())
        write_atomically(self.folder / "log.txt", "".join(lines).encode())

    @property
    def lines(self) -> list[str]:
        """Those of log.txt."""
        path = settled(self.folder) / "log.txt"
        there = path.is_file() and not path.is_symlink()
        text = path.read_text(encoding="utf-8", errors="replace") if there else ""
        return text.splitlines(keepends=True)


def _number(name: str, text: str) -> float:
    return int(float(text)) if name in _COUNTS else float(text)


def _damaged(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged ({' '.join(reason.split())}): take it from a copy, or train again with "
        "overwrite=True (--overwrite)."
    )
