"""The interface of a training method."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides import Guide


class Method(nn.Module, ABC):
    """A training objective for a classifier: `method(batch)` gives named, weighted loss terms.

    In your own loop, `sum(method(batch).values()).backward()` gives the gradients of a step.
    `attack` is the attack that the method trains against, None if it trains on clean images only;
    `guide` gives the targets of its explanations, None if it does not guide explanations.

    progress: the share of training that is done, in [0, 1]; `fit` sets it before each step, and
    your own loop must set it if the method has a schedule. warm_up: the share of training before
    the full objective is used. needs_domains: whether it compares domains, so that batches must be
    balanced over two or more of them. replays: the number of consecutive steps on each batch.
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
        """Scalar loss terms by name, already weighted; the training loss is their sum."""


def check_weights(**weights: float) -> None:
    """Raise UserError on a negative weight of a loss term."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise UserError(f"The weight '{name}' of a loss term must be 0 or more, got {weight}.")
