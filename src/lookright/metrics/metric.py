"""What a metric of maps is: a pure function with its measure declared beside it."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, TypeVar

from torch import Tensor

from lookright.errors import UserError
from lookright.metrics.measure import Measure
from lookright.named import name_of

MapMetric = Callable[..., Tensor]

F = TypeVar("F", bound=MapMetric)

INPUTS = ("saliency", "images", "masks", "labels", "logits", "target", "model")


def metric(measure: Measure) -> Callable[[F], F]:
    """Declare a function as the metric of a measure, so that every evaluation takes it.

    It asks for what it needs by the names of its parameters, of one batch: saliency (B, h, w),
    non-negative, images (B, 3, H, W) in [0, 1], masks (B, 1, H, W) of the object, labels (B,),
    logits (B, K), target (B,), the class explained, and model. It gives (B,). One that asks for
    masks sees the images with a mask alone; one that asks for saliency is taken of the explanation
    and of both baselines.
    """

    def declared(function: F) -> F:
        vars(function)["measure"] = measure
        return function

    return declared


def measure_of(function: MapMetric) -> Measure:
    """What was declared of it; raises UserError where nothing was."""
    measure = getattr(function, "measure", None)
    if not isinstance(measure, Measure):
        raise UserError(
            f"{name_of(function)} is not declared as a metric: write @metric(Measure(...)) above "
            "it, from lookright.metrics."
        )
    return measure


def asked(function: MapMetric) -> tuple[str, ...]:
    """The inputs that a metric asks for; raises UserError on another."""
    measure_of(function)
    given = signature(function).parameters.values()
    wanted = [each.name for each in given if each.default is Parameter.empty]
    unknown = [name for name in wanted if name not in INPUTS]
    if unknown or not wanted:
        raise UserError(
            f"A metric asks for {', '.join(INPUTS)} by these names, but {name_of(function)} asks "
            f"for {unknown[0] if unknown else 'nothing'}: name its parameters so."
        )
    return tuple(wanted)


def declared_in(namespace: dict[str, Any]) -> list[MapMetric]:
    """The metrics that a module declares, in its order."""
    name = namespace["__name__"]
    return [
        each
        for each in namespace.values()
        if isinstance(getattr(each, "measure", None), Measure) and each.__module__ == name
    ]
