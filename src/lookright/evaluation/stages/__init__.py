"""What an evaluation measures: one file a stage, found by looking into this folder."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from inspect import isabstract, isclass
from pkgutil import iter_modules
from typing import TypeVar

from lookright.evaluation.stages.stage import Joined, Stage

S = TypeVar("S", Stage, type[Stage])


def in_order(stages: Sequence[S]) -> tuple[S, ...]:
    """As given, but each behind those that it needs."""
    left, done = list(stages), []
    while left:
        ready = next(each for each in left if not any(_needed(each, other) for other in left))
        left.remove(ready)
        done.append(ready)
    return tuple(done)


def _needed(stage: Stage | type[Stage], other: Stage | type[Stage]) -> bool:
    kind = other if isclass(other) else type(other)
    return other is not stage and issubclass(kind, stage.needs)


@cache
def all_stages() -> tuple[type[Stage], ...]:
    """The public stages of the modules beside this file, each behind those that it needs."""
    modules = [import_module(each.name) for each in iter_modules(__path__, f"{__name__}.")]
    found = [
        thing
        for module in modules
        for name, thing in vars(module).items()
        if isclass(thing)
        and issubclass(thing, Stage)
        and not isabstract(thing)
        and thing.__module__ == module.__name__
        and name[0] != "_"
    ]
    return in_order(found)


__all__ = ["Joined", "Stage", "all_stages", "in_order"]
