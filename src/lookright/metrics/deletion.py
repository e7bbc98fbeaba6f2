"""Deletion and insertion: the area under the class probability as pixels go, or come."""

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.metrics.faithfulness import BEATS_BASELINES
from lookright.metrics.fills import FILLS, Fill, blur
from lookright.metrics.measure import Measure
from lookright.metrics.questions import FAITHFUL
from lookright.metrics.removal import clean, ranks_of, removed_and_kept

DELETION = {
    fill: Measure(
        f"deletion_{fill}",
        f"Deletion, {fill}",
        False,
        "score",
        f"Mean probability while the pixels are filled ({fill}), the most salient first, from none "
        "to all of them.",
        question=FAITHFUL,
        order=30,
        finding=BEATS_BASELINES,
    )
    for fill in FILLS
}
INSERTION = {
    fill: Measure(
        f"insertion_{fill}",
        f"Insertion, {fill}",
        True,
        "score",
        f"Mean probability while the pixels come into the filled image ({fill}), the most salient "
        "first, from none to all of them.",
        question=FAITHFUL,
        order=40,
    )
    for fill in FILLS
}


def deletion_curve(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    steps: int = 64,
    target: Tensor | None = None,
    max_images: int = 128,
) -> Tensor:
    """(B, steps + 1): the class probability from the image, most salient pixels first, to its fill.

    RISE (Petsiuk, Das and Saenko, BMVC 2018, section 4.1). images: (B, 3, H, W) in [0, 1];
    saliency: (B, h, w), brought to (H, W) bilinearly; point k has the round(k / steps * H * W) most
    salient pixels changed, all channels together. target: (B,) int64, by default the class
    predicted on the clean image, fixed along the curve. The paper deletes into grey and inserts
    into a blurred image; here both use one named fill.

    Raises UserError on maps for another number of images or less than one step.
    """
    return _curve(False, model, images, saliency, fill, steps, target, max_images)


def insertion_curve(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    steps: int = 64,
    target: Tensor | None = None,
    max_images: int = 128,
) -> Tensor:
    """(B, steps + 1): from the fill to the image; otherwise as `deletion_curve`."""
    return _curve(True, model, images, saliency, fill, steps, target, max_images)


def deletion(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    steps: int = 64,
    target: Tensor | None = None,
    max_images: int = 128,
) -> Tensor:
    """(B,) in [0, 1]: the area under `deletion_curve`; a faithful map's falls early."""
    return area(deletion_curve(model, images, saliency, fill, steps, target, max_images))


def insertion(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    steps: int = 64,
    target: Tensor | None = None,
    max_images: int = 128,
) -> Tensor:
    """(B,) in [0, 1]: the area under `insertion_curve`; a faithful map's rises early."""
    return area(insertion_curve(model, images, saliency, fill, steps, target, max_images))


def area(curve: Tensor) -> Tensor:
    """(..., S + 1) at even shares from 0 to 1 to (...), by the trapezoidal rule."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[-1] - 1))


def step_counts(steps: int, total: int) -> list[int]:
    """How many of `total` pixels are changed at each of `steps` + 1 even shares.

    Raises UserError on less than one step.
    """
    if steps < 1:
        raise UserError(f"A removal curve needs at least 1 step, but got {steps}; 64 is usual.")
    return [round(k / steps * total) for k in range(steps + 1)]


def _curve(
    insert: bool,
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill,
    steps: int,
    target: Tensor | None,
    max_images: int,
) -> Tensor:
    counts = step_counts(steps, images.shape[-2] * images.shape[-1])
    ranks = ranks_of(saliency, images)
    target = clean(model, images, None, max_images)[0] if target is None else target.detach()
    return removed_and_kept(
        model, images, fill, [ranks], counts, target, max_images, kinds=[insert]
    )[0, 0]
