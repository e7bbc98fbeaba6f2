"""Localisation: how much of the saliency is on the object, given the object's mask.

Every function takes saliency (B, h, w) and masks (B, 1, H, W) in [0, 1] and returns (B,); the
saliency is resized to the masks' size bilinearly. The chance level is the area of the mask. A
degenerate map counts as a uniform one: its mass on the object is the mask's area, its most salient
pixels are the first of a fixed shuffle, and it never wins the pointing game. With an empty mask
every measure is 0, so leave out samples without a mask. Binary measures threshold a soft mask at
0.5; where no pixel of an object is 0.5 or more, as of a thin one in a mask that was shrunk, they
are NaN. Pixels that are `ignored`, (B, 1, H, W) bool, are as if they were not in the image.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lookright.distances import (
    degenerate,
    in_unit_range,
    leaving_out,
    minmax,
    resize,
    ruzicka,
    unit_mass,
)
from lookright.errors import UserError
from lookright.metrics.findings import Levels
from lookright.metrics.measure import Measure
from lookright.metrics.metric import metric
from lookright.metrics.questions import LOOKS_AT_OBJECT, STAYS_UNDER_ATTACK
from lookright.metrics.ranking import descending_ranks

MASK_AREA = Measure(
    "mask_area",
    "Object area",
    None,
    "score",
    "Share of the image that the object covers: the mass that an uninformative map has on it.",
    question=LOOKS_AT_OBJECT,
)
LOCALISATION_MASS = Measure(
    "localisation_mass",
    "Mass on object",
    True,
    "score",
    "Share of the saliency inside the object's mask; chance is the mask's area.",
    question=LOOKS_AT_OBJECT,
    order=10,
    chance=MASK_AREA,
    terminal="column",
    finding=Levels(
        "Where the models look",
        "Share of the explanation that lies on the object",
        "looks at the object most",
    ),
)
LOCALISATION_IOU = Measure(
    "localisation_iou",
    "IoU with object",
    True,
    "score",
    "Intersection over union of the mask with the most salient pixels, as many as the mask has.",
    question=LOOKS_AT_OBJECT,
    order=20,
)
LOCALISATION_SOFT_IOU = Measure(
    "localisation_soft_iou",
    "Soft IoU with object",
    True,
    "score",
    "Soft intersection over union of the mask with the saliency scaled to span 0 to 1; a map that "
    "is the same everywhere has the mask's area.",
    question=LOOKS_AT_OBJECT,
    order=25,
    chance=MASK_AREA,
)
POINTING_GAME = Measure(
    "pointing_game",
    "Pointing game",
    True,
    "rate",
    "Share of images whose most salient pixel is on the object; chance is the mask's area.",
    question=LOOKS_AT_OBJECT,
    order=30,
    chance=MASK_AREA,
)
DEGENERATE_MAPS = Measure(
    "degenerate_maps",
    "Degenerate maps",
    False,
    "rate",
    "Share of saliency maps that are constant, all-zero or not finite, and so carry no "
    "information; their stability counts as 0.",
    question=STAYS_UNDER_ATTACK,
    order=15,
)


@metric(LOCALISATION_MASS)
def localisation_mass(saliency: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """The share of saliency inside the mask, in [0, 1]; a soft mask weights the pixels.

    Relevance mass accuracy in Arras et al. (Information Fusion 2022).
    """

    def mass(saliency: Tensor, masks: Tensor) -> Tensor:
        return (unit_mass(saliency) * masks).sum((-2, -1)).clamp(0, 1)

    return _on_masks(mass, saliency, masks, ignored)


@metric(LOCALISATION_IOU)
def localisation_iou(saliency: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """IoU in [0, 1] of the mask with the most salient pixels, as many as the mask has.

    No threshold has to be chosen, and the scale of the map does not matter. With r the share of
    those pixels on the object (relevance rank accuracy, Arras et al., Information Fusion 2022) the
    IoU is r / (2 - r); by chance it is about a / (2 - a) for a mask of area a.
    """

    def iou(saliency: Tensor, masks: Tensor) -> Tensor:
        ranks, inside = descending_ranks(saliency), masks >= 0.5
        top = ranks < inside.sum((-2, -1), keepdim=True)
        shared, union = (top & inside).sum((-2, -1)), (top | inside).sum((-2, -1))
        return share_of(shared, union, masks.dtype).masked_fill(faint(masks), torch.nan)

    return _on_masks(iou, saliency, masks, ignored)


@metric(LOCALISATION_SOFT_IOU)
def localisation_soft_iou(saliency: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """sum(min) / sum(max) in [0, 1] of the mask and the min-max-normalised saliency (Ruzicka).

    The measure of a learned mask (`mask_soft_iou`) for an explanation. Unlike `localisation_iou` it
    depends on how fast the map falls off.
    """

    def iou(saliency: Tensor, masks: Tensor) -> Tensor:
        uniform = degenerate(saliency)[:, None, None]
        return ruzicka(torch.where(uniform, 1, minmax(saliency)), masks)

    return _on_masks(iou, saliency, masks, ignored)


@metric(POINTING_GAME)
def pointing_game(saliency: Tensor, masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """(B,): 1 if the most salient pixel is on the mask, else 0 (Zhang et al., ECCV 2016; no
    tolerance)."""

    def points(saliency: Tensor, masks: Tensor) -> Tensor:
        on = (descending_ranks(saliency) == 0) & (masks >= 0.5)
        hit = on.any(-1).any(-1) & ~degenerate(saliency)
        return hit.to(masks.dtype).masked_fill(faint(masks), torch.nan)

    return _on_masks(points, saliency, masks, ignored)


@metric(MASK_AREA)
def mask_area(masks: Tensor, ignored: Tensor | None = None) -> Tensor:
    """The share of the image inside the mask (B, 1, H, W), in [0, 1]."""
    outside = None if ignored is None else ignored[:, 0]
    return leaving_out(outside, lambda masks: masks.mean((-3, -2, -1)), soft(masks))


def soft(masks: Tensor) -> Tensor:
    """Masks as floating numbers.

    Raises:
        UserError: whole numbers, which may be classes or levels; values outside [0, 1], but for
            rounding, where they can be looked at without waiting for a device.
    """
    if masks.dtype == torch.bool:
        return masks.float()
    if not masks.is_floating_point():
        raise UserError(
            f"Expected masks in [0, 1], 1 on the object, or as bool; got {masks.dtype}: give "
            "masks == OBJECT, or masks.float() / 255."
        )
    if masks.device.type == "cpu" and not in_unit_range(masks):
        raise UserError(
            f"Expected masks in [0, 1], 1 on the object; got values from {float(masks.amin()):.3g} "
            f"to {float(masks.amax()):.3g}: scale them."
        )
    return masks


def faint(masks: Tensor) -> Tensor:
    """Masks (B, H, W) to (B,) bool: there is an object, but no pixel of it is 0.5 or more."""
    peak = masks.amax((-2, -1))
    return (peak > 0) & (peak < 0.5)


def share_of(some: Tensor, of: Tensor, dtype: torch.dtype) -> Tensor:
    """The ratio of two counts (B,), 0 of none; the counts may be more than the dtype holds."""
    finer = torch.promote_types(dtype, torch.float32)
    return (some.to(finer) / of.clamp(min=1)).to(dtype)


def _on_masks(
    measure: Callable[[Tensor, Tensor], Tensor],
    saliency: Tensor,
    masks: Tensor,
    ignored: Tensor | None,
) -> Tensor:
    """The measure of saliency and masks, both (B, H, W), the size of the masks.

    Degenerate maps become zeros, and ignored pixels are left out.
    """
    if saliency.ndim != 3 or masks.ndim != 4 or len(saliency) != len(masks) or masks.shape[1] != 1:
        raise UserError(
            "Localisation needs saliency (B, h, w) and masks (B, 1, H, W) of the same samples, but "
            f"got {tuple(saliency.shape)} and {tuple(masks.shape)}; select the samples that have a "
            "mask in both."
        )
    masks = soft(masks)
    saliency = saliency.to(torch.promote_types(saliency.dtype, masks.dtype))
    silent = degenerate(saliency)[:, None, None]
    saliency = resize(torch.where(silent, 0, saliency), masks.shape[-2:])
    outside = None if ignored is None else ignored[:, 0]
    return leaving_out(outside, measure, saliency, masks[:, 0])
