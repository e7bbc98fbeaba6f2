"""What a method is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides import Guide


class Method(nn.Module, ABC):
    """A training objective round a classifier: `method(batch)` gives named, weighted loss terms.

    `sum(method(batch).values()).backward()` is a training step in anyone's loop. `attack` is what
    the method trains against, None where it trains on clean images only; `guide` what it holds
    explanations to, None where it guides none.

    progress: the share of training that is done, in [0, 1]; `fit` sets it before each step, and a
    loop of your own does where the method has a schedule. warm_up: the share of training before the
    whole objective holds. needs_domains: whether it compares domains, so that batches have to be
    balanced over two or more of them. replays: the steps in a row that are taken on each batch.
    """

    SPEC_IGNORES: ClassVar[tuple[str, ...]] = ("model",)

    attack: Attack | None = None
    guide: Guide | None
    progress: float = 1.0
    warm_up: float = 0.0
    needs_domains: bool = False
    replays: int = 1

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.guide = None

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms by name, weights applied; the training loss is their sum."""


def check_weights(**weights: float) -> None:
    """Refuse a negative weight of a loss term."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise UserError(f"The weight '{name}' of a loss term must be 0 or more, got {weight}.")
