"""Catastrophic overfitting: a model robust to the one-step attack of its training and to no other.

Wong et al. (ICLR 2020) name it: within an epoch the accuracy under PGD falls to about 0 while that
under the training attack rises. The two are compared at each validation.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence

import lightning as L

from lookright.attacks import FGSM, PGD, Attack, ByMask
from lookright.methods.free_at import without_memory
from lookright.training.run import Row

ONE_STEP = "val/one_step_accuracy"
MANY_STEPS = "val/adversarial_accuracy"

_GAP = 0.3
"""How far the one-step accuracy lies above the other, at least. A healthy FastAT on Shortcut has a
gap of up to 0.27, and its one-step accuracy is then less than twice the other."""


def one_step(attack: Attack | None, validation: Attack | None) -> Attack | None:
    """The method's attack if it takes one step where the validation attack takes more in that
    ball."""
    own = without_memory(attack.attack if isinstance(attack, ByMask) else attack)
    if not isinstance(own, FGSM) and not (isinstance(own, PGD) and own.steps == 1):
        return None
    if not isinstance(validation, PGD) or validation.steps == 1:
        return None
    return own if own.ball == validation.ball else None


def overfitted(row: Mapping[str, float]) -> bool:
    """Whether the one-step accuracy of an epoch is far above the other, and at least twice as
    high."""
    own, other = row.get(ONE_STEP), row.get(MANY_STEPS)
    return own is not None and other is not None and own - other >= _GAP and other <= own / 2


class OverfittingCheck(L.Callback):
    """Says once in a run, in log.txt and as a warning, that a method overfits to its own attack."""

    def __init__(self, note: Callable[[str], None], earlier: Sequence[Row]) -> None:
        self.note = note
        self.said = any(map(overfitted, earlier))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.said or not overfitted(row) or not trainer.is_global_zero:
            return
        self.said = True
        line = (
            f"catastrophic overfitting in epoch {trainer.current_epoch + 1}: {row[ONE_STEP]:.1%} "
            f"right under the one step that the method trains on, {row[MANY_STEPS]:.1%} under the "
            "validation attack of more steps, by which the best epoch is chosen: train for fewer "
            "epochs, against more steps (AT), or with a shorter step or a smaller eps."
        )
        self.note(line)
        warnings.warn(line[0].upper() + line[1:], stacklevel=2)
