"""The stage of attacks: accuracy under attack, by radius too, and stability of the explanation."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lookright import metrics
from lookright.attacks import FGSM, PGD, Attack, AutoAttack, Ball, LInf, Norm
from lookright.attacks.gradient import check_judge
from lookright.attacks.parts import check_parts
from lookright.drawing import pixel_levels
from lookright.errors import UserError
from lookright.evaluation.column import LABEL, Column, Columns, measuring
from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult, Result
from lookright.evaluation.stages.answers import RIGHT, Answers
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics.classification import (
    ACCURACY_ADVERSARIAL,
    ACCURACY_FGSM,
    ACCURACY_PGD,
    BALANCED_ACCURACY_ADVERSARIAL,
    accuracy_under,
)
from lookright.metrics.stability import (
    ALIKE,
    PLACES,
    STABILITY_COSINE,
    STABILITY_OTHERS,
    STABILITY_SPEARMAN,
    STABILITY_TOPK,
    at_few_places,
)
from lookright.named import refuse_same
from lookright.spec import parameters

ATTACKED = Column("attacked", kept=False)
"""The images (B, 3, H, W) after the main attack."""

KEPT = Column("kept_pgd")
"""Whether the prediction is right both before and after the main attack."""

STAYS = measuring(STABILITY_COSINE)

_LOGITS = Column("logits_attacked", kept=False)
_SALIENCY = Column("saliency_attacked", kept=False)
_FGSM, _PGD, _WORST = (
    measuring(ACCURACY_FGSM),
    measuring(ACCURACY_PGD),
    measuring(ACCURACY_ADVERSARIAL),
)
_STABILITY: dict[Column, Callable[[Tensor, Tensor], Tensor]] = {
    STAYS: metrics.stability_cosine,
    measuring(STABILITY_SPEARMAN): metrics.stability_spearman,
    measuring(STABILITY_TOPK): metrics.stability_topk,
}
_MAPS = Column("maps")
"""(B, 2, h, w): the saliency of an image before and after the attack, at few places."""

_CURVE_STEPS = 10
_SLACK, _ROUNDING = 1e-3, 1e-6
"""By which share of its radius others' arithmetic may leave the ball, and then by how much a pixel
may lie outside."""


def right_at(eps: float) -> Column:
    """Whether the answer is right under the attack of this radius alone."""
    return Column(f"right_at_{eps}")


def robust_to(eps: float) -> Column:
    """Whether the answer is right under the attacks of this radius and of every smaller one."""
    return Column(f"robust_to_{eps}")


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy under the attack of size `eps` (in pixel units, 0 to 1)."""

    eps: float
    accuracy: metrics.Estimate


@dataclass(frozen=True)
class Robustness:
    """The summary of a domain: accuracy by the radius of the attack, ascending from 0.

    eps, norm: those of the main attack.
    """

    eps: float
    norm: str
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Attacks(Stage):
    """FGSM, PGD and further attacks in the protocol's ball, and PGD in balls of other radii.

    Args:
        steps, restarts: of the main attack, PGD; its step size is 2.5 * eps / steps.
        curve: further radii of the robustness curve in pixel units, PGD with 10 steps each; 0 and
            the ball's own are always on it.
        attacks: further attacks, such as AutoAttack, all in the protocol's ball. The accuracy under
            each is reported (under the worst case of several of one class), and each counts in the
            worst case of all attacks.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Answers,)
    place: ClassVar[int] = 10

    steps: int = 20
    restarts: int = 2
    curve: tuple[float, ...] = (1 / 255, 2 / 255, 4 / 255, 16 / 255)
    attacks: tuple[Attack, ...] = ()

    def main(self, ball: Ball) -> PGD:
        """The main attack."""
        return PGD(steps=self.steps, restarts=self.restarts).within(ball)

    def radii(self, ball: Ball) -> tuple[float, ...]:
        """The radii of the robustness curve, ascending from 0."""
        return tuple(sorted({0.0, ball.eps, *self.curve}))

    def check(self, protocol: Protocol) -> None:
        self.main(protocol.ball)
        check_parts("curve", self.curve, "4 / 255")
        for eps in self.curve:
            replace(protocol.ball, eps=eps)
        refuse_same((f"{eps:.6f}" for eps in self.radii(protocol.ball)), "radii of the curve")
        check_parts("attacks", self.attacks, "AutoAttack()", Attack)
        for attack in self.attacks:
            _within(attack, protocol.ball)

    def thorough(self) -> Self:
        """With AutoAttack, unless it is there."""
        if any(isinstance(attack, AutoAttack) for attack in self.attacks):
            return self
        return replace(self, attacks=(*self.attacks, AutoAttack()))

    def resolved(self, protocol: Protocol) -> Self:
        """With the further attacks in the protocol's ball."""
        attacks = tuple(_within(attack, protocol.ball) for attack in self.attacks)
        return replace(self, attacks=attacks)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        radii = self.radii(protocol.ball)
        return (
            *(ATTACKED, _LOGITS, _SALIENCY, KEPT, _FGSM, _PGD),
            *dict.fromkeys(_under(attack) for attack in self.attacks),
            *map(right_at, radii),
            *map(robust_to, radii),
            _WORST,
            *(each for column in _STABILITY for each in column.beside_baselines),
            _MAPS,
        )

    def see(self, view: View) -> Columns:
        ball, model = view.protocol.ball, view.model
        x, y = view.batch.images, view.batch.labels
        attacked = self.main(ball)(model, x, y, view.generator("PGD"))
        logits, saliency = view.explain(attacked)
        found = {ATTACKED: attacked, _LOGITS: logits, _SALIENCY: saliency}
        found[_FGSM] = view.right(FGSM().within(ball)(model, x, y))
        found[_PGD] = metrics.correct(logits, y)
        # The attack is on the label, so an image that was wrong before it counts as not kept.
        found[KEPT] = view[RIGHT] & found[_PGD]
        under = [found[_FGSM], found[_PGD]]
        names = [_under(attack).name for attack in self.attacks]
        for number, (name, attack) in enumerate(zip(names, self.attacks, strict=True)):
            before = names[:number].count(name)  # a repeated attack gets a random start of its own
            generator = view.generator(f"{name} {before}" if before else name)
            z = _within(attack, ball)(model, x, y, generator)
            _check_inside(ball, z, x, attack)
            under.append(view.right(z))
            column = _under(attack)
            found[column] = found.get(column, under[-1]) & under[-1]
        at = {0.0: view[RIGHT], ball.eps: metrics.correct_under_all(under)}
        # Robust at a radius only where right at every smaller one: the larger ball contains them.
        robust = at[0.0]
        for eps in self.radii(ball):
            if eps not in at:
                attack = PGD(steps=_CURVE_STEPS).within(replace(ball, eps=eps))
                at[eps] = view.right(attack(model, x, y, view.generator(f"curve {eps:.6f}")))
            robust = robust & at[eps]
            found |= {right_at(eps): at[eps], robust_to(eps): robust}
        found[_WORST] = found[robust_to(ball.eps)]
        for column, measure in _STABILITY.items():
            found |= view.compared(column, measure, attacked, saliency)
        maps = view.saliency, saliency
        found[_MAPS] = torch.stack([at_few_places(each) for each in maps], 1)
        return found

    def show(self, view: View) -> Mapping[str, Tensor]:
        probability, predicted = view[_LOGITS].softmax(1).max(1)
        return {
            "attacked": pixels(view[ATTACKED]),
            "saliency": heat(view[_SALIENCY]),
            "predicted": predicted,
            "probability": probability,
        }

    def figures(self, joined: Joined) -> dict[str, metrics.Estimate]:
        balanced = metrics.balanced(joined[_WORST], joined[LABEL])
        found = super().figures(joined) | {BALANCED_ACCURACY_ADVERSARIAL.key: balanced}
        others = _others(joined)
        return found if others is None else found | {STABILITY_OTHERS.key: others}

    def warnings(self, joined: Joined) -> Iterator[str]:
        others = _others(joined)
        if others and others.value > ALIKE and joined[_MAPS][0, 0].numel() >= PLACES:
            yield (
                "The explanations of different images have a mean cosine of "
                f"{others.value:.2f}: that one stays under attack says little."
            )

    def summary(self, joined: Joined) -> Robustness:
        ball = joined.protocol.ball
        points = (CurvePoint(eps, metrics.rate(joined[robust_to(eps)])) for eps in self.radii(ball))
        return Robustness(ball.eps, type(ball.norm).__name__, tuple(points))

    @classmethod
    def of(cls, here: DomainResult) -> Robustness | None:
        """The summary of a domain; None where it was not attacked."""
        told = here.stages.get(cls.name)
        return None if told is None else read_as(Robustness, told)

    @classmethod
    def section(cls, results: ResultSet) -> Mapping[str, Any] | None:
        """Accuracies, curves and example images, clean and attacked."""
        from lookright.evaluation.stages.attacks_section import section

        return section(results)


def ball_of(result: Result) -> tuple[float, str] | None:
    """Radius and norm of the ball that a result's attacks search; None where it has none."""
    told = next((Attacks.of(here) for here in result.domains.values()), None)
    return None if told is None else (told.eps, told.norm)


def radius_in_words(eps: float, norm: str) -> str:
    """Such as "8/255", or "0.5 (L2)" where the norm is not that of single pixels."""
    return f"{pixel_levels(eps)}/255" if norm == LInf.__name__ else f"{eps:g} ({norm})"


def _others(joined: Joined) -> metrics.Estimate | None:
    """How alike the maps of different images are; None for a single image."""
    maps = joined[_MAPS]
    return metrics.mean(metrics.stability_others(*maps.unbind(1))) if len(maps) > 1 else None


def _under(attack: Attack) -> Column:
    """The column of the accuracy under one attack alone."""
    own = accuracy_under(type(attack).__name__)
    known = (measure for measure in metrics.MEASURES if measure.key == own.key)
    return measuring(next(known, own))


def _within(attack: Attack, ball: Ball) -> Attack:
    """The attack in the protocol's ball; refused if it names another one, or needs masks."""
    check_judge(attack)
    if attack.ball not in (None, Ball(), ball, _usual_ball(attack)):
        raise UserError(
            f"The attacks of a protocol share its ball, {ball.words}, but {type(attack).__name__} "
            f"has {attack.ball.words}: leave out its norm and eps, or make them those of the ball."
        )
    return attack.within(ball)


def _usual_ball(attack: Attack) -> Ball | None:
    """The ball of such an attack where nothing is said of it."""
    known = {name: each.default for name, each in parameters(type(attack)).items()}
    eps, norm = known.get("eps"), known.get("norm", getattr(attack, "norm", LInf()))
    return Ball(norm, eps) if isinstance(eps, float) and isinstance(norm, Norm) else None


def _check_inside(ball: Ball, z: Tensor, x: Tensor, attack: Attack) -> None:
    """Refuse images that are not those of the ball, whose figure is not that of the ball."""
    delta = z - x
    beyond = delta - ball.norm.project(delta, (1 + _SLACK) * ball.eps), z - z.clamp(0, 1)
    if not all(each.abs().amax() <= _ROUNDING for each in beyond):
        raise UserError(
            f"{type(attack).__name__} left the ball of the protocol, {ball.words}, in which its "
            "figure would stand: keep its images in ball.project(z, x), or give it a field eps."
        )
