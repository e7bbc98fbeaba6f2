"""The explanation of the clean image as the guide (EGAT)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lookright.batch import Batch
from lookright.guides.guide import Guide, Target, check_share


@dataclass(frozen=True)
class CleanExplanation(Guide):
    """The explanation of the clean image (EGAT, arXiv 2603.01938).

    detach: whether to block the gradient through the clean explanation. With False both maps are
    trained towards each other; the paper does not say which it uses.
    warm_up: share of training, in [0, 1), before the explanation is held still.

    Raises:
        UserError: a warm_up out of range.
    """

    of_model: ClassVar[bool] = True

    detach: bool = False
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        check_share(warm_up=self.warm_up)

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency.detach() if self.detach else saliency)
