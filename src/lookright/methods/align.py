"""ALIGN: attribution-learning iterative guidance network (AAAI 2026, arXiv 2511.06944)."""

from collections.abc import Mapping

from torch import Tensor, nn

from lookright.batch import Batch
from lookright.distances import BCE, L1, Distance
from lookright.explainers import Explainer, GradCAM, explain_together
from lookright.explainers.explainer import check_signs
from lookright.guides import LearnedMask
from lookright.guides.mixup import mix_same_class, mixed_explanation_gap
from lookright.methods.method import Method, check_weights, joined


class ALIGN(Method):
    """L_clf = CE(f(x), y) + l3 d(Phi_y(x), M(x)) + l4 R_mix, and L_mask for the masker M.

    f and M are trained in the same step without gradients between them: the mask is constant in
    L_clf, and f is constant in L_mask (`LearnedMask`). During the warm-up only f is trained, on
    cross-entropy and R_mix. The paper gives neither l3 and l4 nor the length of the schedule; the
    defaults were chosen for this project on in-distribution validation images of Shortcut
    (docs/results/align.md).

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        guide: the masker M with its loss L_mask; None is `LearnedMask()`.
        explainer: Phi; by default as published.
        distance: d; by default as published. An empty map costs less by BCE than an unrelated one,
            but `Contrast()` of `GradCAM(relu=False)`, which has no such fault, gave worse
            masks (docs/results/align.md).
        guidance: l3.
        mixup: l4, the weight of the same-class mixup of explanations; 0 leaves it out.
        mixup_distance: the distance of R_mix; by default that of DRE.

    Raises:
        UserError: a negative weight; a distance that does not take signed maps, with an explainer
            that gives them.
    """

    explainer: Explainer
    guide: LearnedMask

    def __init__(
        self,
        model: nn.Module,
        guide: LearnedMask | None = None,
        explainer: Explainer = GradCAM(),
        distance: Distance = BCE(),
        guidance: float = 1.0,
        mixup: float = 1.0,
        mixup_distance: Distance = L1(),
    ) -> None:
        super().__init__(model)
        check_weights(guidance=guidance, mixup=mixup)
        self.guide = guide or LearnedMask()
        self.explainer = explainer
        self.distance = distance
        self.guidance = guidance
        self.mixup = mixup
        self.mixup_distance = mixup_distance
        check_signs(self.explainer, self.distance, self.mixup_distance)
        self.warm_up = self.guide.warm_up

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        guided = {"explanation": (self.distance, False)} if self.guidance else {}
        return guided | ({"mixup": (self.mixup_distance, True)} if self.mixup else {})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        guiding = self.progress >= self.warm_up
        mixed = mix_same_class(y) if self.mixup else None
        if not guiding and not mixed:
            return {"clean": self.cross_entropy(self.model(x), y)}

        parts = [(x, y), (mixed.of(x), mixed.labels)] if mixed else [(x, y)]
        (logits, saliency), *others = explain_together(self.explainer, self.model, *parts)
        losses = {"clean": self.cross_entropy(logits, y)}
        if guiding:
            target = self.guide(batch, saliency)
            losses["explanation"] = self.guidance * target.distance(saliency, self.distance)
            losses = joined(losses, self.guide.losses(self.model, batch), self.guide)
        if mixed:
            gap = mixed_explanation_gap(mixed, others[0][1], saliency, self.mixup_distance)
            losses = joined(losses, {"mixup": self.mixup * gap}, self.guide)
        return losses
