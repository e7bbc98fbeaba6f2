"""Explanation-guided adversarial training (EGAT, arXiv 2603.01938)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.distances import L1, Distance
from lookright.explainers import Explainer, GradCAM
from lookright.guides import CleanExplanation, Guide, Target
from lookright.methods.method import Method, check_weights
from lookright.methods.mixup import mix_same_class, mixed_explanation_gap


class EGAT(Method):
    """L = CE(f(x'), y) + a CE(f(x), y) + b d(Phi_y(x'), target) + c R_mix.

    The paper publishes neither weights nor distance. The defaults are this project's, chosen on
    in-distribution validation images of Shortcut alone (docs/results/shortcut.md).

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: finds x' during training; None is `PGD()`.
        explainer: Phi, the saliency of the labelled class; None is `GradCAM()`.
        distance: d; None is `L1()`, of min-max-normalised maps.
        guide: the target that Phi_y(x') should match; None is `CleanExplanation()`, Phi_y(x) with
            gradients on both sides.
        clean: a.
        stability: b; with 0 (and no mixup) no explanation is computed.
        mixup: c, of the same-class mixup on explanations.

    Raises:
        UserError: a negative weight; a guide that needs masks on data that has none.
    """

    attack: Attack

    def __init__(
        self,
        model: nn.Module,
        attack: Attack | None = None,
        explainer: Explainer | None = None,
        distance: Distance | None = None,
        guide: Guide | None = None,
        clean: float = 0.5,
        stability: float = 1.0,
        mixup: float = 0.0,
    ) -> None:
        super().__init__(model)
        check_weights(clean=clean, stability=stability, mixup=mixup)
        self.attack = attack or PGD()
        self.explainer = explainer or GradCAM()
        self.distance = distance or L1()
        self.guide = guide or CleanExplanation()
        self.clean = clean
        self.stability = stability
        self.mixup = mixup

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        attacked = self.attack(self.model, x, y)
        if not self.stability and not self.mixup:
            adversarial, clean = self.model(torch.cat([attacked, x])).chunk(2)
            return self._classification(adversarial, clean, y)

        kept = len(x) if self.mixup else 0
        mixed = mix_same_class(x[:kept], y[:kept])
        logits, saliency = self.explainer(
            self.model, torch.cat([attacked, x, mixed.images]), torch.cat([y, y, mixed.labels])
        )
        adversarial, clean, _ = logits.tensor_split([len(x), 2 * len(x)])
        of_attacked, of_clean, of_mixed = saliency.tensor_split([len(x), 2 * len(x)])
        losses = self._classification(adversarial, clean, y)
        if self.stability:
            moved = _mean_moved(self.distance, of_attacked, self.guide(batch, of_clean))
            losses["explanation"] = self.stability * moved
        if self.mixup:
            losses["mixup"] = self.mixup * mixed_explanation_gap(mixed, of_mixed, of_clean)
        return losses

    def _classification(self, adversarial: Tensor, clean: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {
            "adversarial": F.cross_entropy(adversarial, y),
            "clean": self.clean * F.cross_entropy(clean, y),
        }


def _mean_moved(distance: Distance, saliency: Tensor, target: Target) -> Tensor:
    """The mean distance over the images whose target is known."""
    moved = distance(saliency, target.maps)
    if target.known is None:
        return moved.mean()
    return (moved * target.known).sum() / target.known.sum().clamp_min(1)
