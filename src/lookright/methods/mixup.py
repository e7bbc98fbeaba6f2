"""Same-class mixup on explanations: R_mix, the regulariser of DRE, EGAT and ALIGN.

Li et al., Are Data-driven Explanations Robust against Out-of-distribution Data?, CVPR 2023.
"""

import torch
from torch import Tensor


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
