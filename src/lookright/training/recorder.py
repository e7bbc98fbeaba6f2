"""What is written at the end of each epoch: checkpoints, metrics.csv and log.txt."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from lookright.errors import UserError
from lookright.files import WRITING, atomic, together, verified
from lookright.guides import LearnedMask
from lookright.guides.masker import save_masker
from lookright.methods.method import Method
from lookright.models import Classifier, save_classifier
from lookright.training.opened import Opened
from lookright.training.run import Row, Run, Which
from lookright.visible import visible


class RunRecorder(L.Callback):
    """Writes the run's folder; all files of an epoch are put in place together.

    opened: the run; what it replaces goes when its first epoch is finished.
    selected_by: the validation measure that chooses the best epoch. Of equal epochs the later one
    is chosen; any epoch after the method's warm-up comes before those within it.
    patience: training ends after so many validations in a row without a better one, not counting
    the method's warm-up; None never ends it early. averaged: inside it, the classifier has the
    weights that are saved.
    """

    def __init__(
        self,
        opened: Opened,
        method: Method,
        classifier: Classifier,
        selected_by: str,
        say: Callable[[str], None],
        patience: int | None = None,
        averaged: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.opened = opened
        self.run = opened.run
        self.method = method
        self.classifier = classifier
        self.selected_by = selected_by
        self.say = say
        self.patience = patience
        self.averaged = averaged
        self.rows: list[Row] = []
        self.lines: list[str] = []
        self.started = 0.0
        self.trained = 0.0
        self.waited = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        finished = trainer.current_epoch
        if finished:
            self.rows = [row for row in self.run.history if row["epoch"] <= finished]
            self.lines = self.run.lines + self.lines
        if trainer.is_global_zero and finished:
            line = f"resumed after epoch {finished} of {trainer.max_epochs}"
            self.note(line)
            self.say(line)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.started, self.waited = time.perf_counter(), _waited(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        self.trained = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        self._check_finite(epoch)
        row = self._row(trainer, epoch)  # on every rank: the sums go over all of them
        rows, first = [*self.rows, row], trainer.is_global_zero
        epochs = trainer.max_epochs or epoch
        waited = self._since_best(rows, epochs)
        lines = [_line(row, trainer.max_epochs, waited == 0)]
        patient = waited is None or self.patience is None or waited < self.patience
        if not patient and epoch > self.method.warm_up * epochs:
            row["stopped"] = 1
            trainer.should_stop = True
            lines.append(f"stopped early: {waited} validations without a better one")
        for line in lines:
            self.note(line)
        folder = self.run.folder
        with together(folder, self.opened.former) if first else nullcontext(folder / WRITING) as to:
            new = Run(to)
            if first:
                self.opened.write_start(new)
                self._save(new, *(("best", "last") if waited == 0 else ("last",)))
                new.write(rows, self.lines)
            trainer.save_checkpoint(new.resumable)
        self.rows, self.opened = rows, Opened(self.run)
        if first:
            self.say("\n".join(lines))

    def _save(self, new: Run, *kept: Which) -> None:
        new.last.parent.mkdir()
        for which in kept:
            with self.averaged():
                save_classifier(self.classifier, new.best if which == "best" else new.last)
            masker = masker_of(self.method)
            if masker is not None:
                save_masker(masker, new.masker_file(which))

    def _check_finite(self, epoch: int) -> None:
        if not all(bool(p.isfinite().all()) for p in self.method.parameters()):
            raise UserError(
                f"The weights are not finite after epoch {epoch}: lower lr, clip the gradient "
                "(clip=1.0) or train in precision='32-true'; the checkpoints of the epochs before "
                "are kept."
            )

    def _row(self, trainer: L.Trainer, epoch: int) -> Row:
        measured = {
            name: round(float(value), 6)
            for name, value in trainer.callback_metrics.items()
            if name.startswith("train/") or (name.startswith("val/") and validated(trainer, epoch))
        }
        return {
            "epoch": epoch,
            "step": trainer.global_step,
            "seconds": round(time.perf_counter() - self.started, 3),
            "waiting": round(self._waiting(trainer), 4),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            **measured,
        }

    def _waiting(self, trainer: L.Trainer) -> float:
        """The share of the time of an epoch's steps in which the next batch was waited for."""
        waited = _waited(trainer) - self.waited
        share = torch.tensor(
            waited / (self.trained - self.started), device=trainer.strategy.root_device
        )
        return float(trainer.strategy.reduce(share, reduce_op="max"))

    def _since_best(self, rows: Sequence[Row], epochs: int) -> int | None:
        """The number of validations since the best one; None if the last row is none."""

        def standing(row: Row) -> tuple[bool, float]:
            return row["epoch"] > self.method.warm_up * epochs, row[self.selected_by]

        reached = [standing(row) for row in rows if self.selected_by in row]
        if self.selected_by not in rows[-1]:
            return None
        best = max(range(len(reached)), key=lambda place: (reached[place], place))
        return len(reached) - 1 - best

    def note(self, line: str) -> None:
        """Add a line to log.txt, with the time; it is written at the end of the epoch."""
        self.lines.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {visible(line)}\n")


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints are written atomically, and read without running code from them."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        # Into a file of Python's, whose errors say what the system said.
        with atomic(Path(path)) as partial, partial.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        try:
            return torch.load(verified(Path(path)), map_location="cpu", weights_only=True)
        except Exception as error:
            reason = "it is damaged" if isinstance(error, UserError) else type(error).__name__
            raise UserError(
                f"{path} cannot be read ({reason}), so the run cannot go on from it: "
                "start anew by overwrite=True (--overwrite) or in another folder; the weights of "
                "the last finished epoch are in last.safetensors beside it."
            ) from error


def masker_of(method: Method) -> nn.Module | None:
    """The masker of a method that learns a mask, else None."""
    return method.guide.masker if isinstance(method.guide, LearnedMask) else None


def validated(trainer: L.Trainer, epoch: int) -> bool:
    """Whether this epoch (from 1) ends with a validation; the last one always does."""
    every = trainer.check_val_every_n_epoch or 1
    return epoch % every == 0 or epoch == trainer.max_epochs


def _waited(trainer: L.Trainer) -> float:
    """The seconds that the loader of the training images was waited for so far."""
    loader: Any = trainer.train_dataloader
    return float(loader.waited)


def _line(row: Mapping[str, float], epochs: int | None, best: bool) -> str:
    terms = " ".join(
        f"{name.removeprefix('train/')} {value:.4f}"
        for name, value in row.items()
        if name.startswith("train/") and name != "train/degenerate_maps"  # no term of the loss
    )
    scores = "".join(
        f" | {name.removeprefix('val/').replace('_', ' ')} "
        f"{value:{'.2f' if 'cosine' in name else '.1%'}}"
        for name, value in row.items()
        if name.startswith("val/")
    )
    time = f"{row['seconds']:.1f} s, {row['waiting']:.0%} of training waiting for data"
    end = " | best" if best else ""
    return f"epoch {row['epoch']:.0f}/{epochs} | {terms}{scores} | {time}{end}"
