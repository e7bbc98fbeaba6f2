"""Catastrophic overfitting: right under the one step a method trains on, and under no other attack.

Wong et al. (ICLR 2020) name it: within an epoch the accuracy under PGD falls to about 0 while that
under the training attack rises. The two are compared at each validation.
"""

import warnings
from collections.abc import Mapping

import lightning as L

from lookright.attacks import FGSM, PGD, Attack
from lookright.methods.free_at import without_memory
from lookright.training.run import Run

ONE_STEP = "val/one_step_accuracy"
MANY_STEPS = "val/adversarial_accuracy"

_GAP = 0.3
"""Of all validation images, those right under one step and wrong under many; a healthy FastAT on
Shortcut has up to 0.27, and is then less than twice as good under one step."""


def one_step(attack: Attack | None, validation: Attack | None) -> Attack | None:
    """The attack of a method where it is one step in the ball of a validation attack of more."""
    own = without_memory(attack)
    if not isinstance(own, FGSM) and not (isinstance(own, PGD) and own.steps == 1):
        return None
    if not isinstance(validation, PGD) or validation.steps == 1:
        return None
    return own if own.ball == validation.ball else None


def overfitted(row: Mapping[str, float]) -> bool:
    """Whether a validated epoch is far better under one step, and at least twice as good."""
    own, other = row.get(ONE_STEP), row.get(MANY_STEPS)
    return own is not None and other is not None and own - other >= _GAP and other <= own / 2


class OverfittingCheck(L.Callback):
    """Says once in a run, in log.txt and as a warning, that a method overfits to its own attack."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = {name: float(value) for name, value in trainer.callback_metrics.items()}
        said = any(map(overfitted, self.run.history))
        if said or not overfitted(row) or not trainer.is_global_zero:
            return
        line = (
            f"catastrophic overfitting in epoch {trainer.current_epoch + 1}: {row[ONE_STEP]:.1%} "
            f"right under the one step that the method trains on, {row[MANY_STEPS]:.1%} under the "
            "validation attack of more steps, by which the best epoch is chosen: train for fewer "
            "epochs, against more steps (AT), or with a shorter step or a smaller eps."
        )
        self.run.log(line)
        warnings.warn(line[0].upper() + line[1:], stacklevel=2)
