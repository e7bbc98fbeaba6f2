"""Masks precomputed by a tool as the guide."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target, mask_target


@dataclass(frozen=True)
class PrecomputedMask(Guide):
    """The mask that a tool such as SAM made of the image: `Batch.tool_masks`, binary or soft.

    Images without one, and those whose mask is empty, are left out.

    Raises:
        UserError: the data has no tool masks at all.
    """

    needs_tool_masks: ClassVar[bool] = True

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        if batch.tool_masks is None:
            raise UserError(
                "The guide PrecomputedMask needs data with tool masks, got none: give a folder of "
                "them (--tool_masks), or guide by CleanExplanation."
            )
        return mask_target(batch.tool_masks, batch.has_tool_mask, batch.tool_ignored)
