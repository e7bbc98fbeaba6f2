"""Same-class mixup: pairs, mixtures, and the mixed explanation as the guide (DRE).

Li et al., CVPR 2023, arXiv 2303.16390: the explanation of a mixed image should be the mixture of
the explanations.
"""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Beta

from lookright.batch import Batch
from lookright.distances import Distance, minmax
from lookright.errors import UserError
from lookright.guides.guide import Guide, Target


@dataclass(frozen=True)
class Mixed:
    """P mixtures of two samples of the same class: lam * first + (1 - lam) * second.

    labels: (P,); first, second: (P,) indices into the batch; lam: (P,) in [0, 1].
    """

    labels: Tensor
    first: Tensor
    second: Tensor
    lam: Tensor

    def of(self, values: Tensor) -> Tensor:
        """The mixtures (P, ...) of the images or maps (B, ...) of a batch."""
        lam = self.lam.to(values).view(-1, *[1] * (values.ndim - 1))
        return lam * values[self.first] + (1 - lam) * values[self.second]


@dataclass(frozen=True)
class MixedExplanation(Guide):
    """Phi(lam x_i + (1 - lam) x_j) should equal lam Phi(x_i) + (1 - lam) Phi(x_j), with
    min-max-normalised maps (DRE, Li et al., CVPR 2023, eq. 4).

    concentration: lam is drawn from Beta(concentration, concentration).
    """

    of_model: ClassVar[bool] = True

    concentration: float = 0.2

    def __post_init__(self) -> None:
        if not self.concentration > 0:
            raise UserError(f"concentration must be above 0, got {self.concentration}.")

    def mix(self, batch: Batch) -> Mixed:
        return mix_same_class(batch.labels, self.concentration)

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        return Target(saliency, is_mask=True, normalised=True)


def mixed_explanation_gap(
    mixed: Mixed, of_mixed: Tensor, of_images: Tensor, distance: Distance
) -> Tensor:
    """R_mix: the mean of d(Phi(x_m), lam Phi(x_i) + (1 - lam) Phi(x_j)), a scalar (DRE, eq. 4).

    of_mixed: (P, h, w), the maps of the mixed images; of_images: (B, h, w), the maps of the batch.
    Every map is min-max-normalised, those of the images before they are mixed. The distance is
    `L1()` in DRE. 0 if no two images share a class.
    """
    target = Target(mixed.of(minmax(of_images)), is_mask=True, normalised=True)
    return target.distance(of_mixed, distance)


def mix_same_class(labels: Tensor, concentration: float = 0.2) -> Mixed:
    """Mixes each pair of `same_class_pairs`, with lam ~ Beta(concentration, concentration).

    labels: (B,). The published concentration is 0.2. Warns if no two samples share a class.
    """
    first, second = same_class_pairs(labels)
    if not len(first):
        warnings.warn(
            f"No two of the {len(labels)} images of a batch share a class, so same-class mixup has "
            "nothing to mix: raise batch_size.",
            stacklevel=2,
        )
    lam = Beta(concentration, concentration).sample((len(first),)).to(labels.device)
    return Mixed(labels[first], first, second, lam)


def same_class_pairs(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Indices i, j (P,) of disjoint pairs of images with the same label; labels: (B,).

    The batch is sorted by class and neighbours are paired, so an image is in at most one pair; a
    class with a single image has no pair.
    """
    order = torch.argsort(labels, stable=True)
    sorted_labels = labels[order]
    start = torch.searchsorted(sorted_labels, sorted_labels)
    place = torch.arange(len(labels), device=labels.device) - start
    first = (place[:-1] % 2 == 0) & (sorted_labels[1:] == sorted_labels[:-1])
    at = first.nonzero()[:, 0]
    return order[at], order[at + 1]
