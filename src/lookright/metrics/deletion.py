"""Deletion and insertion: area under the class probability as pixels are removed or added."""

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
        f"Mean class probability while the pixels are replaced ({fill}), the most salient first, "
        "from none to all of them.",
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
        f"Mean class probability while the pixels are restored in the replaced image ({fill}), the "
        "most salient first, from none to all of them.",
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
    """(B, steps + 1): the class probability as pixels are replaced, the most salient first.

    RISE (Petsiuk, Das and Saenko, BMVC 2018, section 4.1). images: (B, 3, H, W) in [0, 1];
    saliency: (B, h, w), resized to (H, W) bilinearly; at point k the round(k / steps * H * W) most
    salient pixels are replaced by `fill`, in all channels. target: (B,) int64, by default the class
    predicted on the clean image; it is the same along the curve. The paper replaces pixels by grey
    for deletion and by a blurred image for insertion; here both use the same fill.

    Raises UserError if the number of maps and images differs, or on less than one step.
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
    """(B, steps + 1): as `deletion_curve`, but pixels of the image are restored in its fill."""
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
    """(B,) in [0, 1]: the area under `deletion_curve`; small for a faithful map."""
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
    """(B,) in [0, 1]: the area under `insertion_curve`; large for a faithful map."""
    return area(insertion_curve(model, images, saliency, fill, steps, target, max_images))


def area(curve: Tensor) -> Tensor:
    """The area (...) under curves (..., S + 1) over [0, 1], by the trapezoidal rule."""
    return torch.trapezoid(curve, dx=1 / (curve.shape[-1] - 1))


def step_counts(steps: int, total: int) -> list[int]:
    """The number of changed pixels, of `total`, at each of `steps` + 1 evenly spaced points.

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
