"""The stage of attacks on explanations: how far can the map be moved at an unchanged answer?"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lookright import metrics
from lookright.attacks import GOALS, ExplanationAttack, Goal
from lookright.attacks.goals import TopK, goal_name, goal_of
from lookright.attacks.parts import check_parts
from lookright.drawing import Style, overlay_uri, picture_uri
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.grouping import MethodExamples, ResultSet, side_by_side
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics import MANIPULATED, Measure
from lookright.metrics.manipulation import MANIPULATED_KEPT
from lookright.metrics.questions import MANIPULABLE
from lookright.named import refuse_same

_STEPS, _SEARCHED = 50, 150
"""Steps of gradient ascent, and of random search, which needs more, for explainers without a
gradient."""

EXAMPLES = 4
"""Images per domain on the page; fewer where many methods are compared."""

GOAL_WORDS = {
    "topk": ("places", "away from its most salient places"),
    "centre": ("centre", "its centre of mass moved"),
    "target": ("corner", "to a chosen corner"),
}

_TURNED = measuring(MANIPULATED_KEPT)
_IMAGES = Column("manipulated_images", kept=False)
_SALIENCY = Column("manipulated_saliency", kept=False)
_PREDICTED = Column("manipulated_predicted", kept=False)


@dataclass(frozen=True)
class ExplanationAttacks(Stage):
    """One attack on the explanation for each goal, in the protocol's ball.

    Args:
        goals: where the explanation is to be moved: topk, centre, target, or a `Goal` of your own.
    """

    standard: ClassVar[bool] = False
    place: ClassVar[int] = 50

    goals: tuple[str | Goal, ...] = tuple(GOALS)

    def check(self, protocol: Protocol) -> None:
        check_parts("goals", self.goals, "TopK()")
        if not self.goals:
            raise UserError("ExplanationAttacks needs a goal at least, such as topk.")
        for goal in self.goals:
            goal_of(goal)
        refuse_same(map(goal_name, self.goals), "goals")

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
                for column, of in view.compared(_TURNED, turned, z, after).items():
                    found[column] = found.get(column, of) | of
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

    @classmethod
    def section(cls, results: ResultSet) -> Mapping[str, Any] | None:
        """The galleries of the domains whose explanations were attacked."""
        found = manipulated_galleries(results, results.shown(EXAMPLES))
        return {"manipulated": found, "goal_words": GOAL_WORDS} if found else None


def _moved(goal: str | Goal) -> Column:
    """How far the map went towards the goal."""
    name = goal_name(goal)
    said = f"How far an attack moves the explanation towards {name} at an unchanged prediction."
    own = Measure(
        f"manipulated_{name}",
        f"Manipulated, {name}",
        False,
        "score",
        said,
        beats=(),
        question=MANIPULABLE,
    )
    return measuring(MANIPULATED.get(name, own))


@dataclass(frozen=True)
class Manipulation:
    """A picture with its map, the prediction, and whether it is that of the clean image."""

    short: str
    words: str
    image: str
    overlay: str
    predicted: str
    kept: bool


@dataclass(frozen=True)
class ManipulatedCell:
    """One method's map of the clean image, and its map after the attack for each goal."""

    method: str
    style: Style
    manipulations: tuple[Manipulation, ...]


@dataclass(frozen=True)
class ManipulatedRow:
    """One image and a cell per method."""

    label: str
    image: str
    shade: str | None
    tiny: bool
    cells: tuple[ManipulatedCell, ...]


@dataclass(frozen=True)
class ManipulatedGallery:
    """The rows of one domain."""

    domain: str
    goals: tuple[str, ...]
    rows: tuple[ManipulatedRow, ...]


def manipulated_galleries(results: ResultSet, per_domain: int) -> list[ManipulatedGallery]:
    """Up to `per_domain` images of every domain, from the first seed of each method."""
    found = []
    for domain in results.domains:
        attacked = [source for source in results.examples(domain) if _goals(source)]
        rows = tuple(
            _row(grid, i)
            for grid in side_by_side(attacked)
            for i in range(min(per_domain, *(len(source.examples) for source in grid)))
        )
        if rows:
            goals = dict.fromkeys(goal for source in attacked for goal in _goals(source))
            found.append(ManipulatedGallery(domain, tuple(goals), rows))
    return found


def _row(grid: list[MethodExamples], i: int) -> ManipulatedRow:
    run, examples = grid[0].run, grid[0].examples
    image = examples.images[i]
    return ManipulatedRow(
        label=run.classes[examples.labels[i]],
        image=picture_uri(image),
        shade=grid[0].shade(i),
        tiny=max(image.shape[:2]) <= 64,
        cells=tuple(_cell(source, i) for source in grid),
    )


def _cell(source: MethodExamples, i: int) -> ManipulatedCell:
    e, classes = source.examples, source.run.classes
    clean = Manipulation(
        "clean",
        "the clean image",
        picture_uri(e.images[i]),
        overlay_uri(e.saliency[i]),
        classes[e.predicted[i]],
        kept=True,
    )
    manipulations = [clean]
    found = e.shown.get(ExplanationAttacks.name, {})
    for g, goal in enumerate(_goals(source)):
        short, words = GOAL_WORDS.get(goal, (goal, goal))
        manipulations.append(
            Manipulation(
                short,
                words,
                picture_uri(found["images"][i, g]),
                overlay_uri(found["saliency"][i, g]),
                classes[found["predicted"][i, g]],
                bool(found["predicted"][i, g] == e.predicted[i]),
            )
        )
    return ManipulatedCell(source.method.name, source.style, tuple(manipulations))


def _goals(source: MethodExamples) -> tuple[str, ...]:
    return ExplanationAttacks.of(source.run.domains[source.domain])
