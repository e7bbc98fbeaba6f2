"""Annotated masks as the guide."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target, mask_target


@dataclass(frozen=True)
class HumanMask(Guide):
    """The annotated mask of the object.

    Images without a mask, and those whose mask is empty, are left out.

    Raises:
        UserError: the data has no masks at all.
    """

    needs_masks: ClassVar[bool] = True

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        if batch.masks is None:
            raise UserError(
                f"The guide {type(self).__name__} needs data with masks, got none: give a folder "
                "of them (--masks), or guide by CleanExplanation."
            )
        return mask_target(batch.masks, batch.has_mask, batch.ignored)
