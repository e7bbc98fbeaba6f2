"""The arguments of a training that decide its outcome."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn
from torch.optim import Optimizer

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.errors import UserError

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Those of `lightning.Trainer` that convert no batch: Lightning cannot convert a frozen one."""

OptimizerMaker = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Makes an optimiser of the trainable parameters, such as `functools.partial(SGD, lr=0.1)`."""


@dataclass(frozen=True)
class Settings:
    """What `fit` was asked for; its docstring says what each means."""

    domains: tuple[str, ...]
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    warm_up: float
    clip: float | None
    optimizer: OptimizerMaker | None
    augment: Callable[[Batch], Batch] | None
    validation_attack: Attack | None
    validate_every: int
    precision: str
    devices: int | str
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "validate_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        if self.precision not in get_args(Precision):
            raise UserError(
                f"Expected precision to be one of {', '.join(get_args(Precision))}; got "
                f"{self.precision}."
            )
        if not self.lr > 0:
            raise UserError(f"lr must be above 0, got {self.lr}.")
        if not self.weight_decay >= 0:
            raise UserError(f"weight_decay must be 0 or more, got {self.weight_decay}.")
        if not 0 <= self.warm_up < 1:
            raise UserError(
                f"warm_up is a share of the steps, from 0 to below 1; got {self.warm_up}."
            )
        if self.clip is not None and not self.clip > 0:
            raise UserError(f"clip is a gradient norm above 0, or None; got {self.clip}.")
