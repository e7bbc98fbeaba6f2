"""The stage of learned masks: does the mask that was learned with the model cover the object?"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright import metrics
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.previews import grey
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.stages.stage import Stage
from lookright.evaluation.view import View
from lookright.guides.masker import masks_of
from lookright.metrics.masks import MASK_COVERAGE, MASK_IOU, MASK_MASS, MASK_SOFT_IOU

_MASKS = Column("learned_masks", kept=False)
_COVERAGE, _MASS, _IOU, _SOFT_IOU = (
    measuring(MASK_COVERAGE),
    measuring(MASK_MASS, masked=True),
    measuring(MASK_IOU, masked=True),
    measuring(MASK_SOFT_IOU, masked=True),
)


@dataclass(frozen=True)
class LearnedMasks(Stage):
    """The masks of the model's masker against the ground-truth masks, beside baselines.

    Nothing is measured for a model without a masker.
    """

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        measured = (_COVERAGE, _MASS, _IOU, _SOFT_IOU)
        return (_MASKS, *(each for column in measured for each in column.beside_baselines))

    def see(self, view: View) -> Columns:
        if view.masker is None:
            return {}
        batch, masks, there = view.batch, _masks(view.masker, view.batch.images), view.has_mask
        baselines = metrics.baselines(batch.images, (masks.shape[-2], masks.shape[-1]))
        every = {"": masks} | {name: one[:, None] for name, one in baselines.items()}
        found = {_MASKS: masks}
        for name, each in every.items():
            found[_COVERAGE.by(name)] = metrics.mask_area(each)
            if batch.masks is not None and there.any():
                ignored = None if batch.ignored is None else batch.ignored[there]
                compared = each[there], batch.masks[there], ignored
                found[_MASS.by(name)] = metrics.mask_mass(*compared)
                found[_IOU.by(name)] = metrics.mask_iou(*compared)
                found[_SOFT_IOU.by(name)] = metrics.mask_soft_iou(*compared)
        return found

    def show(self, view: View) -> Mapping[str, Tensor]:
        return {} if view.masker is None else {"masks": grey(view[_MASKS])}


def _masks(masker: nn.Module, images: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1]; another range, but for rounding, is refused."""
    with torch.no_grad():
        return masks_of(masker, images).clamp(0, 1)
