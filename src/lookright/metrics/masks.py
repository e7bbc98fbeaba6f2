"""How well a learned mask matches the object: measures against the ground-truth mask.

A mask that covers the whole image scores the object's area as its mass, so read the mass together
with `mask_area`, the chance level, and `mask_coverage`.
"""

import torch
from torch import Tensor

from lookright.distances import leaving_out, ruzicka
from lookright.errors import UserError
from lookright.metrics.findings import Levels
from lookright.metrics.localisation import MASK_AREA, faint, localisation_mass, share_of, soft
from lookright.metrics.measure import Measure
from lookright.metrics.questions import LEARNED_MASK

_NONE = "learns no mask"
MASK_COVERAGE = Measure(
    "mask_coverage",
    "Coverage of learned mask",
    None,
    "score",
    "Share of the image that the learned mask covers, over all images.",
    question=LEARNED_MASK,
    order=30,
    absent=_NONE,
)
MASK_MASS = Measure(
    "mask_mass",
    "Learned mask on object",
    True,
    "score",
    "Share of the learned mask that lies on the object; chance is the object's area.",
    question=LEARNED_MASK,
    order=10,
    chance=MASK_AREA,
    absent=_NONE,
    terminal="label",
    finding=Levels(
        "What the learned masks show",
        "Share of the learned mask that lies on the object",
        "has the mask most on the object",
        beside=(MASK_COVERAGE, "covers {} of the image"),
    ),
)
MASK_IOU = Measure(
    "mask_iou",
    "IoU of learned mask",
    True,
    "score",
    "Intersection over union of the object's mask and the learned mask, thresholded at one half.",
    question=LEARNED_MASK,
    order=20,
    absent=_NONE,
)
MASK_SOFT_IOU = Measure(
    "mask_soft_iou",
    "Soft IoU of learned mask",
    True,
    "score",
    "Soft intersection over union of the object's mask and the learned mask as it is; a mask of "
    "the whole image has the object's area.",
    question=LEARNED_MASK,
    order=15,
    chance=MASK_AREA,
    absent=_NONE,
)


def mask_mass(learned: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """The share of the learned mask's mass on the object, in [0, 1].

    learned, masks: (B, 1, H, W) in [0, 1]; ignored: as in `localisation`. A constant
    mask, including an empty one, scores the object's area.
    """
    learned, masks = _checked(learned, masks)
    return localisation_mass(learned[:, 0], masks, ignored)


def mask_iou(learned: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """IoU in [0, 1] of two masks (B, 1, H, W), thresholded at 0.5; 0 if both are empty.

    NaN where no pixel of an object in `masks` is 0.5 or more. ignored: as in `localisation`; an
    ignored pixel is in neither.
    """
    learned, masks = _checked(learned, masks)
    if ignored is not None:
        learned, masks = learned.masked_fill(ignored, 0), masks.masked_fill(ignored, 0)
    one, other = learned[:, 0] >= 0.5, masks[:, 0] >= 0.5
    shared, union = (one & other).sum((-2, -1)), (one | other).sum((-2, -1))
    return share_of(shared, union, masks.dtype).masked_fill(faint(masks[:, 0]), torch.nan)


def mask_soft_iou(learned: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """sum(min) / sum(max) in [0, 1] of two masks (B, 1, H, W); 0 if both are empty.

    ignored: as in `localisation`; an ignored pixel is in neither.
    """
    learned, masks = _checked(learned, masks)
    return leaving_out(
        None if ignored is None else ignored[:, 0], ruzicka, learned[:, 0], masks[:, 0]
    )


def _checked(learned: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    if learned.ndim != 4 or learned.shape[1] != 1 or learned.shape != masks.shape:
        raise UserError(
            "A learned mask is compared with masks (B, 1, H, W) of the same samples and size, but "
            f"got {tuple(learned.shape)} and {tuple(masks.shape)}."
        )
    return soft(learned), soft(masks)
