"""Does the model use what the saliency shows: remove it, or keep nothing else."""

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
        f"Probability lost when only the most salient pixels stay and the others are filled "
        f"({fill}), mean over 1, 5, 10, 20 and 50% of the pixels.",
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
        f"Probability lost when the most salient pixels are filled ({fill}), mean over 1, 5, 10, "
        "20 and 50% of the pixels.",
        question=FAITHFUL,
        order=20,
        terminal="column" if fill == "mean" else None,
        finding=BEATS_BASELINES,
    )
    for fill in FILLS
}


class Faithfulness(NamedTuple):
    """Per-sample scores (B,) in [-1, 1], of the class probability."""

    comprehensiveness: Tensor
    sufficiency: Tensor


class RemovalCurves(NamedTuple):
    """Probability of one fixed class per image, for S shares of the most salient pixels.

    target: (B,) int64 class; clean: (B,); removed: (B, S), without those pixels; kept: (B, S), with
    only those pixels.
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

    images: (B, 3, H, W) in [0, 1]; saliency: (B, h, w), brought to (H, W) bilinearly before pixels
    are ranked; each share in (0, 1] removes round(share * H * W) pixels, at least one, all channels
    together. target: (B,) int64, by default the class predicted on the clean image. The model runs
    in evaluation mode, never on more than `max_images` at once, and comes back as it was.

    Raises UserError on maps for another number of images or a share outside (0, 1].
    """
    counts = share_counts(shares, images)
    ranks = ranks_of(saliency, images)
    target, start = clean(model, images, target, max_images)
    removed, kept = removed_and_kept(model, images, fill, [ranks], counts, target, max_images)[:, 0]
    return RemovalCurves(target, start, removed, kept)


def share_counts(shares: Sequence[float], images: Tensor) -> list[int]:
    """How many pixels of the images each share is; raises UserError outside (0, 1]."""
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
    """Comprehensiveness and sufficiency, p(clean) - p(without) and p(clean) - p(only), (B,) each.

    Averaged over the shares of most salient pixels (DeYoung et al., ACL 2020, equations 1 and 2 and
    their area over the perturbation curve). Arguments and errors are those of `removal_curves`.
    """
    curves = removal_curves(model, images, saliency, fill, shares, target, max_images)
    return Faithfulness(
        comprehensiveness=curves.clean - curves.removed.mean(1),
        sufficiency=curves.clean - curves.kept.mean(1),
    )
