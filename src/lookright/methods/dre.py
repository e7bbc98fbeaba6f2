"""Distributionally robust explanations (DRE, Li et al., CVPR 2023, arXiv 2303.16390)."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import L1, Distance, minmax
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM, explain_together
from lookright.explainers.explainer import check_signs
from lookright.guides import MixedExplanation
from lookright.guides.mixup import mixed_explanation_gap
from lookright.methods.method import Method, check_weights
from lookright.processes import weight

Sparsity = Literal["map", "columns"]


class DRE(Method):
    """L = CE(f(x), y) + explanation R_exp + sparsity |Phi| + mixed CE(f(x_m), y).

    x_m = lam x_i + (1 - lam) x_j mixes two images of the same class. R_exp is the mean of |Phi(x_m)
    - (lam Phi(x_i) + (1 - lam) Phi(x_j))|. |Phi| is the mean of Phi over the images and over their
    mixtures, with equal weight. Every Phi is min-max-normalised. The weights and lam ~ Beta(0.2,
    0.2) are those of the authors' code, which differs from this method in four ways:

    - its |Phi|, a matrix norm where the paper has the L1 norm of the map, is the mean over columns
      of each one's largest value: sparsity_of="columns";
    - its Grad-CAM, captum's, has no ReLU and takes the weights of the channels as constants in the
      loss, while here the gradient goes through them too;
    - it mixes every image of a class with one drawn from that class, which may be itself, while
      here the images are paired without repetition;
    - it averages within a class and then over all classes, those absent from the batch counting as
      zero, while here every image and every pair has the same weight.

    Min-max-normalised maps that are empty satisfy R_exp and |Phi| best, which is DRE's own
    definition; `distance=Correlation()` and `sparsity=0` avoid it.

    With one pair of every class in a batch, positive maps and "columns" the losses are the same.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        explainer: Phi, the saliency of the labelled class.
        concentration: lam is drawn from Beta(concentration, concentration).
        explanation, sparsity, mixed: weights of the loss terms.
        sparsity_of: whether |Phi| is the mean of the "map", or of the maxima of its "columns".
        distance: of the maps in R_exp; by default as published.
    """

    explainer: Explainer
    guide: MixedExplanation

    def __init__(
        self,
        model: nn.Module,
        explainer: Explainer = GradCAM(),
        concentration: float = 0.2,
        explanation: float = 1.0,
        sparsity: float = 0.5,
        mixed: float = 0.1,
        sparsity_of: Sparsity = "map",
        distance: Distance = L1(),
    ) -> None:
        super().__init__(model)
        check_weights(explanation=explanation, sparsity=sparsity, mixed=mixed)
        if sparsity_of not in ("map", "columns"):
            raise UserError(f"sparsity_of is 'map' or 'columns', got '{sparsity_of}'.")
        self.guide = MixedExplanation(concentration)
        self.explainer = explainer
        self.concentration = concentration
        self.explanation = explanation
        self.sparsity = sparsity
        self.mixed = mixed
        self.sparsity_of = sparsity_of
        self.distance = distance
        check_signs(self.explainer, self.distance)

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        return {"explanation": (self.distance, True)} if self.explanation else {}

    @property
    def met_by_silence(self) -> dict[str, tuple[str, ...]]:
        return super().met_by_silence | ({"sparsity": ("empty",)} if self.sparsity else {})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        pairs = self.guide.mix(batch)
        (clean, of_clean), (mixed, of_mixed) = explain_together(
            self.explainer, self.model, (x, y), (pairs.of(x), pairs.labels)
        )
        share = weight(len(mixed), mixed)
        sizes = [self._size(of_clean)]
        sizes += [self._size(of_mixed) * share] if len(mixed) else []
        mixed_error = self.cross_entropy(mixed, pairs.labels, "sum") / max(1, len(mixed))
        gap = mixed_explanation_gap(pairs, of_mixed, of_clean, self.distance)
        return {
            "clean": self.cross_entropy(clean, y),
            "explanation": self.explanation * gap,
            "sparsity": self.sparsity * torch.stack(sizes).mean(),
            "mixed": self.mixed * mixed_error * share,
        }

    def _size(self, saliency: Tensor) -> Tensor:
        maps = minmax(saliency)
        return maps.mean() if self.sparsity_of == "map" else maps.amax(1).mean()
