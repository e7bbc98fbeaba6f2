"""One bar over the whole training, with the time left."""

import time
from typing import Any

import lightning as L
from rich.progress import Progress

from lookright.training.module import Module

_SECONDS = 0.5


class Bar(L.Callback):
    """Shows the steps of a training in `bar`, as a task named `title`.

    The loss is shown at most twice a second, because reading it waits for an accelerator.
    """

    def __init__(self, bar: Progress, title: str) -> None:
        self.bar = bar
        self.title = title
        self.task = bar.add_task(title, total=None, note="preparing")
        self.shown = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: Module) -> None:  # type: ignore[override]
        self.bar.reset(self.task, total=pl_module.steps, completed=trainer.global_step, note="")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        self.bar.update(self.task, completed=trainer.global_step)
        now = time.monotonic()
        if now - self.shown < _SECONDS and not trainer.is_last_batch:
            return
        self.shown = now
        loss = float(trainer.callback_metrics["step/loss"])
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar.update(self.task, note=f"{epoch} loss {loss:.3f}")

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar.update(self.task, note=f"epoch {trainer.current_epoch + 1} validation")

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.bar.update(self.task, note="")
