"""Explanation-guided adversarial training (EGAT, arXiv 2603.01938)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.distances import L1, Distance
from lookright.explainers import Explainer, GradCAM
from lookright.guides import CleanExplanation, Guide
from lookright.methods.method import Method, check_weights


class EGAT(Method):
    """L = CE(f(x'), y) + a CE(f(x), y) + b d(Phi_y(x'), target) + c R_mix.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: finds x' during training.
        explainer: Phi, the saliency of the labelled class.
        distance: d.
        guide: the target that Phi_y(x') should match; the clean explanation Phi_y(x) by default.
        clean: a.
        stability: b; with 0 no explanation is computed.
    """

    attack: Attack

    def __init__(
        self,
        model: nn.Module,
        attack: Attack | None = None,
        explainer: Explainer | None = None,
        distance: Distance | None = None,
        guide: Guide | None = None,
        clean: float = 1.0,
        stability: float = 1.0,
    ) -> None:
        super().__init__(model)
        check_weights(clean=clean, stability=stability)
        self.attack = attack or PGD()
        self.explainer = explainer or GradCAM()
        self.distance = distance or L1()
        self.guide = guide or CleanExplanation()
        self.clean = clean
        self.stability = stability

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        attacked = self.attack(self.model, x, y)
        both, labels = torch.cat([attacked, x]), y.repeat(2)
        logits, saliency = self.explainer(self.model, both, labels)
        adversarial, clean = logits.chunk(2)
        saliency_attacked, saliency_clean = saliency.chunk(2)
        target = self.guide(batch, saliency_clean)
        moved = self.distance(saliency_attacked, target.maps)
        return {
            "adversarial": F.cross_entropy(adversarial, y),
            "clean": self.clean * F.cross_entropy(clean, y),
            "explanation": self.stability * moved.mean(),
        }
