"""Same-class mixup: the pairs, and what is mixed of them (DRE, arXiv 2303.16390)."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta


@dataclass(frozen=True)
class Mixed:
    """P mixtures of two samples of one class: lam * first + (1 - lam) * second.

    labels: (P,); first, second: (P,) indices into the batch; lam: (P,) in [0, 1].
    """

    labels: Tensor
    first: Tensor
    second: Tensor
    lam: Tensor

    def of(self, values: Tensor) -> Tensor:
        """The mixtures (P, ...) of the batch's images or maps (B, ...)."""
        lam = self.lam.to(values).view(-1, *[1] * (values.ndim - 1))
        return lam * values[self.first] + (1 - lam) * values[self.second]


def mix_same_class(labels: Tensor, concentration: float = 0.2) -> Mixed:
    """Each pair of `same_class_pairs` with lam ~ Beta(concentration, concentration).

    labels: (B,). The published concentration is 0.2. Warns where no two samples share a class.
    """
    first, second = same_class_pairs(labels)
    if not len(first):
        warnings.warn(
            f"No two of the {len(labels)} images of a batch share a class, so same-class mixup has "
            "nothing to mix there: raise batch_size.",
            stacklevel=2,
        )
    lam = Beta(concentration, concentration).sample((len(first),)).to(labels.device)
    return Mixed(labels[first], first, second, lam)


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
