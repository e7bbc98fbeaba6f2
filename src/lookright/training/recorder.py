"""What is written at the end of each epoch: checkpoints, metrics.csv and log.txt."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from lookright.errors import UserError
from lookright.files import atomic
from lookright.guides import LearnedMask
from lookright.guides.masker import save_masker
from lookright.methods.method import Method
from lookright.models import Classifier, save_classifier
from lookright.training.run import Row, Run, Which


class RunRecorder(L.Callback):
    """Writes the run's folder; an epoch is finished once its `last.ckpt` is in place.

    selected_by: the validation measure that chooses the best epoch. Of equal epochs the later one
    is chosen; any epoch after the method's warm-up comes before those within it.
    """

    def __init__(
        self,
        run: Run,
        method: Method,
        classifier: Classifier,
        selected_by: str,
        say: Callable[[str], None],
    ) -> None:
        self.run = run
        self.method = method
        self.classifier = classifier
        self.selected_by = selected_by
        self.say = say
        self.rows: list[Row] = []
        self.started = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        finished = trainer.current_epoch
        self.rows = [row for row in self.run.history if row["epoch"] <= finished]
        if trainer.is_global_zero and finished:
            self._tell(f"resumed after epoch {finished} of {trainer.max_epochs}")

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        self._check_finite(epoch)
        row = self._row(trainer, epoch)  # on every rank: the sums go over all of them
        if trainer.is_global_zero:
            better = self._is_best(row, trainer.max_epochs or epoch)
            self.rows.append(row)
            if better:
                self._save("best")
            self._save("last")
            self.run.write_history(self.rows)
            self._tell(_line(row, trainer.max_epochs, better))
        trainer.save_checkpoint(self.run.resumable)

    def _save(self, which: Which) -> None:
        save_classifier(self.classifier, self.run.best if which == "best" else self.run.last)
        masker = masker_of(self.method)
        if masker is not None:
            save_masker(masker, self.run.masker_file(which))

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
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            **measured,
        }

    def _is_best(self, row: Row, epochs: int) -> bool:
        def standing(row: Row) -> tuple[bool, float]:
            return row["epoch"] > self.method.warm_up * epochs, row[self.selected_by]

        reached = [standing(old) for old in self.rows if self.selected_by in old]
        return self.selected_by in row and standing(row) >= max(reached, default=(False, 0.0))

    def _tell(self, line: str) -> None:
        self.run.log(line)
        self.say(line)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints are written atomically, and read without running code from them."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        with atomic(Path(path)) as partial:
            torch.save(checkpoint, partial)

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}), so the run cannot go on from it: "
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


def _line(row: Mapping[str, float], epochs: int | None, best: bool) -> str:
    terms = " ".join(
        f"{name.removeprefix('train/')} {value:.4f}"
        for name, value in row.items()
        if name.startswith("train/")
    )
    scores = "".join(
        f" | {name.removeprefix('val/').replace('_', ' ')} {value:.1%}"
        for name, value in row.items()
        if name.startswith("val/")
    )
    end = " best" if best else ""
    return f"epoch {row['epoch']:.0f}/{epochs} | {terms}{scores} | {row['seconds']:.1f} s{end}"
