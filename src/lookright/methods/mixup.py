"""Same-class mixup on explanations: R_mix, the regulariser of DRE, EGAT and ALIGN.

Li et al., Are Data-driven Explanations Robust against Out-of-distribution Data?, CVPR 2023.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

from lookright.distances import minmax


@dataclass(frozen=True)
class Mixed:
    """P mixed images of one class each: lam * first + (1 - lam) * second.

    images: (P, 3, H, W); labels: (P,); first, second: (P,) indices into the batch; lam: (P,).
    """

    images: Tensor
    labels: Tensor
    first: Tensor
    second: Tensor
    lam: Tensor


def mix_same_class(images: Tensor, labels: Tensor, concentration: float = 0.2) -> Mixed:
    """Mix each pair of `same_class_pairs` with lam ~ Beta(concentration, concentration).

    images: (B, 3, H, W); labels: (B,). The published concentration is 0.2.
    """
    first, second = same_class_pairs(labels)
    lam = Beta(concentration, concentration).sample((len(first),)).to(images)
    weight = lam.view(-1, 1, 1, 1)
    mixed = weight * images[first] + (1 - weight) * images[second]
    return Mixed(mixed, labels[first], first, second, lam)


def mixed_explanation_gap(mixed: Mixed, of_mixed: Tensor, of_images: Tensor) -> Tensor:
    """R_mix: the mean of |Phi(x_m) - (lam Phi(x_i) + (1 - lam) Phi(x_j))|, a scalar (DRE, eq. 4).

    of_mixed: (P, h, w), the maps of the mixed images; of_images: (B, h, w), those of the batch;
    each is min-max-normalised. 0 where no two images share a class.
    """
    if not len(mixed.lam):
        return of_images.sum() * 0
    lam = mixed.lam.view(-1, 1, 1)
    normalised = minmax(of_images)
    target = lam * normalised[mixed.first] + (1 - lam) * normalised[mixed.second]
    return (minmax(of_mixed) - target).abs().mean()


def same_class_pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices i, j (P,) of disjoint pairs of images with one label; the labels are (B,).

    The batch is sorted by class once and neighbours are paired, so an image is in one pair at most;
    a class with a single image has none.
    """
    order = torch.argsort(labels, stable=True)
    sorted_labels = labels[order]
    start = torch.searchsorted(sorted_labels, sorted_labels)
    place = torch.arange(len(labels), device=labels.device) - start
    first = (place[:-1] % 2 == 0) & (sorted_labels[1:] == sorted_labels[:-1])
    at = first.nonzero()[:, 0]
    return order[at], order[at + 1]
