"""The arguments of a training that decide its outcome."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.optim import Optimizer

from lookright.attacks import Attack
from lookright.attacks.gradient import check_judge
from lookright.batch import Batch
from lookright.errors import UserError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Those of `lightning.Trainer` that convert no batch: Lightning cannot convert a frozen one."""

OptimizerName = Literal["AdamW", "Adam", "SGD"]

Schedule = Literal["cosine", "constant", "step"]

OptimizerMaker = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimiser of the trainable parameters, such as `functools.partial(SGD, lr=0.1)`."""

_VALIDATIONS = 30
"""In a training, at most, unless it is said how often."""
_APART = 10
"""Steps from one validation to the next, at least, unless it is said: a validation may take longer
than they do."""


@dataclass(frozen=True)
class Settings:
    """What `fit` was asked for; its docstring says what each means.

    epochs, validate_every: as `rhythm` gives them.
    """

    domains: tuple[str, ...]
    epochs: int
    steps: int | None
    batch_size: int
    domain_batch_size: int | None
    balance_classes: bool
    lr: float
    head_lr: float
    weight_decay: float
    momentum: float
    warm_up: float
    schedule: Schedule
    clip: float | None
    optimizer: OptimizerName | OptimizerMaker
    ema: float
    label_smoothing: float
    freeze_batchnorm: bool
    augment: Callable[[Batch], Batch] | None
    validation_attack: Attack | None
    validate_every: int
    patience: int | None
    precision: str
    devices: int | str
    seed: int
    preset: str

    def __post_init__(self) -> None:
        if len(set(self.domains)) < len(self.domains):
            raise UserError(
                f"Expected different domains to train on; got {', '.join(self.domains)}: name each "
                "once."
            )
        whole = ("steps", "epochs", "batch_size", "domain_batch_size", "validate_every", "patience")
        for name in whole:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name} must be 1 or more, got {value}.")
        choices = {"precision": Precision, "schedule": Schedule}
        if not callable(self.optimizer):
            choices["optimizer"] = OptimizerName
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise UserError(
                    f"Expected {name} to be one of {', '.join(get_args(kind))}; got "
                    f"{getattr(self, name)}."
                )
        for name in ("lr", "head_lr"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} must be above 0, got {getattr(self, name)}.")
        if not self.weight_decay >= 0:
            raise UserError(f"weight_decay must be 0 or more, got {self.weight_decay}.")
        shares = {
            "warm_up": "a share of the steps",
            "momentum": "a share of the last step",
            "ema": "the share of the average that a step keeps",
            "label_smoothing": "a share of the label",
        }
        for name, what in shares.items():
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {what}, from 0 to below 1; got {getattr(self, name)}.")
        if self.validation_attack is not None:
            check_judge(self.validation_attack)
        if self.clip is not None and not self.clip > 0:
            raise UserError(f"clip is a gradient norm above 0, or None; got {self.clip}.")


def rhythm(epochs: int, steps: int | None, validate_every: int | None) -> tuple[int, int]:
    """The number of epochs, and after how many of them, or of steps, a validation comes.

    In a training by steps, an epoch goes from one validation to the next.
    """
    length, least = (epochs, 1) if steps is None else (steps, _APART)
    every = max(least, -(-length // _VALIDATIONS)) if validate_every is None else validate_every
    return (epochs if steps is None else -(-steps // max(1, every))), every
