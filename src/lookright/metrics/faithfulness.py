"""Does the model use what the saliency shows: remove it, or keep nothing else."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lookright.distances import resize
from lookright.errors import UserError
from lookright.metrics.fills import FILLS, Fill, blur
from lookright.metrics.measure import Measure
from lookright.metrics.ranking import descending_ranks, pixels
from lookright.modes import frozen

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)

SUFFICIENCY = {
    fill: Measure(
        f"sufficiency_{fill}",
        f"Sufficiency, {fill}",
        False,
        "score",
        f"Probability lost when only the most salient pixels stay and the others are filled "
        f"({fill}), mean over 1, 5, 10, 20 and 50%.",
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
        "20 and 50%.",
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
    count, _, h, w = images.shape
    if saliency.ndim != 3 or len(saliency) != count:
        raise UserError(
            f"Faithfulness needs one saliency map (h, w) for each of {count} images, but got "
            f"{tuple(saliency.shape)}; pass the maps of this same batch."
        )
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(
            f"Shares of removed pixels lie in (0, 1], but got {tuple(shares)}; give 0.1 for 10%."
        )
    device = images.device
    with frozen(model), torch.no_grad():
        logits = torch.cat([model(chunk) for chunk in images.split(max_images)])
        target = logits.argmax(1) if target is None else target
        filled = fill(images)
        ranks = descending_ranks(resize(saliency.to(images.dtype), (h, w)))[:, None]
        tops = torch.tensor([pixels(share, h * w) for share in shares], device=device)

        probabilities = []
        every_variant = torch.arange(2 * len(shares) * count, device=device)
        for index in every_variant.split(max_images):
            image = index % count
            share = index // count % len(shares)
            keeps = (index // (count * len(shares))).bool()
            shown = (ranks[image] < tops[share].view(-1, 1, 1, 1)) == keeps.view(-1, 1, 1, 1)
            variant = torch.where(shown, images[image], filled[image])
            probabilities.append(_probability(model(variant), target[image]))
        removed, kept = torch.cat(probabilities).view(2, len(shares), count).mT
    return RemovalCurves(target, _probability(logits, target), removed, kept)


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


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return logits.softmax(1).gather(1, target[:, None])[:, 0]
