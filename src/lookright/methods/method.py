"""What a method is."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.errors import UserError


class Method(nn.Module, ABC):
    """A training objective round a classifier: `method(batch)` gives named, weighted loss terms.

    `sum(method(batch).values()).backward()` is a training step in anyone's loop. `attack` is what
    the method trains against, None where it trains on clean images only.
    """

    attack: Attack | None = None

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Scalar loss terms by name, weights applied; the training loss is their sum."""


def check_weights(**weights: float) -> None:
    """Refuse a negative weight of a loss term."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise UserError(f"The weight '{name}' of a loss term must be 0 or more, got {weight}.")
