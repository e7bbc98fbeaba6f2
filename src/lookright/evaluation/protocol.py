"""How a model is evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self, TypeVar

from lookright.attacks import Ball
from lookright.attacks.parts import check_part, check_parts
from lookright.errors import UserError
from lookright.evaluation.stages import Stage, all_stages, in_order
from lookright.explainers import Explainer, GradCAM
from lookright.explainers.explainer import check_shown
from lookright.metrics import MapMetric
from lookright.metrics.metric import measure_of
from lookright.named import refuse_same

S = TypeVar("S", bound=Stage)


@dataclass(frozen=True)
class Protocol:
    """How a model is evaluated: the stages, and the settings that they share.

    Args:
        ball: norm and radius of the attacks; the radius is in pixel units.
        explainer: makes the explanations, always of the class predicted on the clean image.
        stages: with options of your own. Each replaces the standard stage of its class; expensive
            stages and your own are added to the standard ones.
        metrics: functions of maps of your own, each declared by `lookright.metrics.metric`.
        only: run only the stages that are named and those that they need.
        batch_size: images at once.
        limit: evaluate at most this many images of a domain, drawn by the seed; None is all.
        examples: number of images of a domain that are kept for the page.
        seed: of the attacks' random starts and of the draw of the images.
    """

    ball: Ball = field(default_factory=Ball)
    explainer: Explainer = field(default_factory=GradCAM)
    stages: tuple[Stage, ...] = ()
    metrics: tuple[MapMetric, ...] = ()
    only: bool = False
    batch_size: int = 128
    limit: int | None = None
    examples: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_part("ball", self.ball, "Ball(eps=8 / 255)", Ball)
        check_part("explainer", self.explainer, "GradCAM()", Explainer)
        check_parts("stages", self.stages, "Attacks()", Stage)
        check_parts("metrics", self.metrics, "upper_half")
        check_shown(self.explainer)
        for name in ("batch_size", "examples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more images, or none; got {self.limit}.")
        names = [stage.name for stage in self.chosen]
        if doubled := [name for name in names if names.count(name) > 1]:
            raise UserError(
                f"A protocol has one stage of a kind, but two are called {doubled[0]}: give all "
                "that is wanted of it to one, or name a class of your own otherwise."
            )
        for stage in self.chosen:
            stage.check(self)
        refuse_same((measure_of(each).key for each in self.metrics), "metrics")
        columns = {column for stage in self.chosen for column in stage.columns(self)}
        refuse_same((column.name for column in columns), "measures")

    @cached_property
    def chosen(self) -> tuple[Stage, ...]:
        """All stages that are run: those given, the standard ones, and those that these need."""
        standard = () if self.only else (kind for kind in all_stages() if kind.standard)
        stages = [*self.stages]
        stages += [kind() for kind in standard if not _has(stages, kind)]
        for stage in stages:
            stages += [kind() for kind in stage.needs if not _has(stages, kind)]
        return in_order(stages)

    @property
    def resolved(self) -> Self:
        """The same protocol with every stage listed as it is run: equal protocols have one spec."""
        return replace(self, stages=tuple(stage.resolved(self) for stage in self.chosen))

    def stage(self, kind: type[S]) -> S:
        """The stage of that class."""
        return next(stage for stage in self.chosen if isinstance(stage, kind))

    def thorough(self) -> Self:
        """This protocol with the expensive parts: AutoAttack, all corruptions and all attacks on
        the explanation. A stage that is given keeps its options."""
        kinds = () if self.only else all_stages()
        others = [kind() for kind in kinds if not _has(self.stages, kind)]
        return replace(self, stages=tuple(each.thorough() for each in (*self.stages, *others)))


def _has(stages: Sequence[Stage], kind: type[Stage]) -> bool:
    return any(isinstance(stage, kind) for stage in stages)
