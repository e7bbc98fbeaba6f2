"""The stage of attacks on explanations: how far does the map move, the answer being kept?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from lookright import metrics
from lookright.attacks import GOALS, ExplanationAttack, Goal
from lookright.attacks.goals import TopK, goal_name, goal_of
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics import MANIPULATED, Measure
from lookright.metrics.manipulation import MANIPULATED_KEPT

_STEPS, _SEARCHED = 50, 150
"""Of gradient, and of random search where the explainer has none, which needs more of them."""

_TURNED = measuring(MANIPULATED_KEPT)
_IMAGES = Column("manipulated_images", kept=False)
_SALIENCY = Column("manipulated_saliency", kept=False)
_PREDICTED = Column("manipulated_predicted", kept=False)


@dataclass(frozen=True)
class ExplanationAttacks(Stage):
    """One attack on the explanation for each goal, in the protocol's ball.

    Args:
        goals: where to it is manipulated: topk, centre, target, or a `Goal` of your own.
    """

    standard: ClassVar[bool] = False

    goals: tuple[str | Goal, ...] = tuple(GOALS)

    def check(self, protocol: Protocol) -> None:
        if not self.goals:
            raise UserError("ExplanationAttacks needs a goal at least, such as topk.")
        for goal in self.goals:
            goal_of(goal)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        moved = (_moved(goal) for goal in self.goals)
        return (
            *(_IMAGES, _SALIENCY, _PREDICTED, *_TURNED.beside_baselines),
            *(each for column in moved for each in column.beside_baselines),
        )

    def see(self, view: View) -> Columns:
        explainer, ball = view.protocol.explainer, view.protocol.ball
        steps = _STEPS if explainer.differentiable else _SEARCHED
        found: dict[Column, Tensor] = {}
        images, saliency, predicted = [], [], []
        for name in self.goals:
            goal = goal_of(name)
            attack = ExplanationAttack(goal, steps=steps, explainer=explainer).within(ball)
            generator = view.generator(f"push {goal_name(name)}")
            z = attack(view.model, view.batch.images, view.predicted, generator)
            logits, after = view.explain(z)
            found |= view.compared(_moved(name), goal.manipulated, z, after)
            if isinstance(goal, TopK):
                kept = metrics.correct(logits, view.predicted)
                turned = partial(metrics.manipulated_kept, kept=kept)
                found |= view.compared(_TURNED, turned, z, after)
            images.append(z)
            saliency.append(after)
            predicted.append(logits.argmax(1))
        found[_IMAGES] = torch.stack(images, 1)
        found[_SALIENCY] = torch.stack(saliency, 1)
        found[_PREDICTED] = torch.stack(predicted, 1)
        return found

    def show(self, view: View) -> Mapping[str, Tensor]:
        """(B, G, ...) for the G goals."""
        return {
            "images": pixels(view[_IMAGES]),
            "saliency": heat(view[_SALIENCY]),
            "predicted": view[_PREDICTED],
        }

    def summary(self, joined: Joined) -> list[str]:
        """The names of the goals, in the order of the pictures."""
        return list(map(goal_name, self.goals))

    @classmethod
    def of(cls, here: DomainResult) -> tuple[str, ...]:
        """The names of the goals that were tried in a domain."""
        return read_as(tuple[str, ...], here.stages.get(cls.name, []))


def _moved(goal: str | Goal) -> Column:
    """How far the map went towards the goal."""
    name = goal_name(goal)
    said = f"How far an attack on the explanation moves it towards {name}, the prediction kept."
    own = Measure(f"manipulated_{name}", f"Manipulated, {name}", False, "score", said, beats=())
    return measuring(MANIPULATED.get(name, own))
