"""Mask alignment: explanations are trained to match masks, as in GRADIA, RES and CARE."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import Distance, minmax
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM, explain_together
from lookright.explainers.explainer import check_signs
from lookright.guides import CleanExplanation, Guide, HumanMask
from lookright.methods.method import Method, check_weights, joined


class MaskAlignment(Method):
    """L = CE(f(x), y) + guidance d(Phi_y(x), target), plus the loss of a learned guide.

    Human masks and weight 1 are GRADIA's (Gao et al., CSCW 2022, arXiv 2202.02838), averaged over
    the images that have a mask. Its L1 distance of Grad-CAM, `GradCAM()` and `L1()` here, costs an
    empty map less than an unrelated one, so the defaults are another. The slack for inexact
    boundaries and incomplete regions of RES (Gao et al., KDD 2022, arXiv 2206.13413) is not
    included.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        guide: the target that Phi_y(x) should match; None is `HumanMask()`.
        explainer: Phi; by default the class map before the ReLU, of 4 x 4 places or more, less the
            mean of all classes'.
        distance: d; None is `Contrast()` of the map and the mask, and `Correlation()` for the guide
            MixedExplanation.
        guidance: weight of the distance.

    Raises:
        UserError: a negative weight; a distance that does not take signed maps, with an explainer
            that gives them; a guide that needs masks on data that has none; the guide
            CleanExplanation, which explanations of clean images match already.
    """

    explainer: Explainer
    guide: Guide

    def __init__(
        self,
        model: nn.Module,
        guide: Guide | None = None,
        explainer: Explainer = GradCAM(relu=False, places=4, centred=True),
        distance: Distance | None = None,
        guidance: float = 1.0,
    ) -> None:
        super().__init__(model)
        check_weights(guidance=guidance)
        if isinstance(guide, CleanExplanation):
            raise UserError(
                "MaskAlignment explains clean images, which match the guide CleanExplanation "
                "already: guide by masks, or train by EGAT."
            )
        self.guide = guide or HumanMask()
        self.explainer = explainer
        self.distance = distance or self.guide.fitting
        check_signs(self.explainer, self.distance)
        self.guidance = guidance
        self.warm_up = self.guide.warm_up

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        return {"explanation": (self.distance, self.guide.of_model)} if self.guidance else {}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        if self.progress < self.warm_up:
            return {"clean": self.cross_entropy(self.model(x), y)}

        parts = [(x, y)]
        pairs = self.guide.mix(batch)
        if pairs:
            parts.append((pairs.of(x), pairs.labels))
        explained = explain_together(self.explainer, self.model, *parts)
        (logits, of_clean), of_guided = explained[0], explained[-1][1]
        teacher = self.guide.teacher
        if teacher:
            with torch.no_grad():
                of_clean = self.explainer(teacher, x, y)[1]
        target = self.guide(batch, pairs.of(minmax(of_clean)) if pairs else of_clean)
        losses = {
            "clean": self.cross_entropy(logits, y),
            "explanation": self.guidance * target.distance(of_guided, self.distance),
        }
        return joined(losses, self.guide.losses(self.model, batch), self.guide)
