"""Guides: what an explanation should match."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError


@dataclass(frozen=True)
class Target:
    """Maps to be matched, (B, h, w) in [0, 1] or any positive scale, and for which images (B,)."""

    maps: Tensor
    known: Tensor | None = None


class Guide(ABC):
    """`guide(batch, saliency)` gives the target; saliency (B, h, w) is that of the clean images."""

    @abstractmethod
    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        """The target of a batch."""


@dataclass(frozen=True)
class CleanExplanation(Guide):
    """The explanation of the clean image (EGAT, arXiv 2603.01938).

    detach: whether the clean explanation is a fixed target. With False both maps move towards each
    other; the paper does not say which.
    """

    detach: bool = False

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency.detach() if self.detach else saliency)


@dataclass(frozen=True)
class HumanMask(Guide):
    """The annotated mask of the object; images without one are left out.

    Raises:
        UserError: a batch of data that has no masks at all.
    """

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        if batch.masks is None:
            raise UserError(
                "The guide HumanMask needs data with masks, got none: give a folder of them "
                "(--data.masks), or guide by CleanExplanation."
            )
        return Target(batch.masks[:, 0], batch.has_mask)
