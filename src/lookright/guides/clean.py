"""The explanation of the clean image as the guide (EGAT)."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lookright.batch import Batch
from lookright.guides.guide import Guide, Target


@dataclass(frozen=True)
class CleanExplanation(Guide):
    """The explanation of the clean image (EGAT, arXiv 2603.01938).

    detach: whether to block the gradient through the clean explanation. With False both maps are
    trained towards each other; the paper does not say which it uses.
    """

    of_model: ClassVar[bool] = True

    detach: bool = False

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency.detach() if self.detach else saliency)
