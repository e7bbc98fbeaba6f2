"""Faithfulness: the class probability when the salient pixels are removed, or kept alone."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from lookright.errors import UserError
from lookright.metrics.fills import FILLS, Fill, blur
from lookright.metrics.findings import AgainstBaselines
from lookright.metrics.measure import Measure
from lookright.metrics.questions import FAITHFUL
from lookright.metrics.ranking import pixels
from lookright.metrics.removal import clean, ranks_of, removed_and_kept

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

BEATS_BASELINES = AgainstBaselines("What the explanation shows")
SUFFICIENCY = {
    fill: Measure(
        f"sufficiency_{fill}",
        f"Sufficiency, {fill}",
        False,
        "score",
        "Drop in class probability when only the most salient pixels are kept and the others are "
        f"replaced ({fill}), mean over 1, 5, 10, 20 and 50% of the pixels.",
        question=FAITHFUL,
        order=10,
    )
    for fill in FILLS
}
COMPREHENSIVENESS = {
    fill: Measure(
        f"comprehensiveness_{fill}",
        f"Comprehensiveness, {fill}",
        True,
        "score",
        f"Drop in class probability when the most salient pixels are replaced ({fill}), mean over "
        "1, 5, 10, 20 and 50% of the pixels.",
        question=FAITHFUL,
        order=20,
        terminal="column" if fill == "mean" else None,
        finding=BEATS_BASELINES,
    )
    for fill in FILLS
}


class Faithfulness(NamedTuple):
    """Per-sample scores (B,) in [-1, 1]: differences of class probabilities."""

    comprehensiveness: Tensor
    sufficiency: Tensor


class RemovalCurves(NamedTuple):
    """The probability of one class per image, for S shares of the most salient pixels.

    target: (B,) int64, the class; clean: (B,), on the image itself; removed: (B, S), without those
    pixels; kept: (B, S), with only those pixels.
    """

    target: Tensor
    clean: Tensor
    removed: Tensor
    kept: Tensor


def removal_curves(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    shares: Sequence[float] = SHARES,
    target: Tensor | None = None,
    max_images: int = 128,
) -> RemovalCurves:
    """The class probability as the most salient pixels are removed, and as only they are kept.

    images: (B, 3, H, W) in [0, 1]; saliency: (B, h, w), resized to (H, W) bilinearly before pixels
    are ranked; each share in (0, 1] removes round(share * H * W) pixels, at least one, in all
    channels. target: (B,) int64, by default the class predicted on the clean image. The model runs
    in evaluation mode on at most `max_images` images at once, and is not changed.

    Raises UserError if the number of maps and images differs, or on a share outside (0, 1].
    """
    counts = share_counts(shares, images)
    ranks = ranks_of(saliency, images)
    target, start = clean(model, images, target, max_images)
    removed, kept = removed_and_kept(model, images, fill, [ranks], counts, target, max_images)[:, 0]
    return RemovalCurves(target, start, removed, kept)


def share_counts(shares: Sequence[float], images: Tensor) -> list[int]:
    """The number of pixels in each share; raises UserError on a share outside (0, 1]."""
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"Shares of removed pixels lie in (0, 1], but got {tuple(shares)}; give 0.1 for 10%."
        )
    return [pixels(share, images.shape[-2] * images.shape[-1]) for share in shares]


def faithfulness(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    fill: Fill = blur,
    shares: Sequence[float] = SHARES,
    target: Tensor | None = None,
    max_images: int = 128,
) -> Faithfulness:
    """Comprehensiveness p(clean) - p(removed) and sufficiency p(clean) - p(kept), (B,) each.

    Both are averaged over the shares of the most salient pixels (DeYoung et al., ACL 2020, eqs. 1
    and 2, and their area over the perturbation curve). Arguments and errors are those of
    `removal_curves`.
    """
    curves = removal_curves(model, images, saliency, fill, shares, target, max_images)
    return Faithfulness(
        comprehensiveness=curves.clean - curves.removed.mean(1),
        sufficiency=curves.clean - curves.kept.mean(1),
    )
