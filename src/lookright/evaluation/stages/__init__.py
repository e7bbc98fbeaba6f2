"""The stages of an evaluation: one file for each stage, found by listing this folder."""

from collections.abc import Sequence
from inspect import isclass
from typing import TypeVar

from lookright.evaluation.stages.stage import Joined, Stage
from lookright.registry import members

S = TypeVar("S", Stage, type[Stage])


def in_order(stages: Sequence[S]) -> tuple[S, ...]:
    """The same stages, each after those that it needs."""
    left, done = list(stages), []
    while left:
        ready = next(each for each in left if not any(_needed(each, other) for other in left))
        left.remove(ready)
        done.append(ready)
    return tuple(done)


def _needed(stage: Stage | type[Stage], other: Stage | type[Stage]) -> bool:
    kind = other if isclass(other) else type(other)
    return other is not stage and issubclass(kind, stage.needs)


def all_stages() -> tuple[type[Stage], ...]:
    """The stages of the modules beside this file, each after those that it needs."""
    return in_order(list(members(Stage).values()))


__all__ = ["Joined", "Stage", "all_stages", "in_order"]
