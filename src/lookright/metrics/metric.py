"""Metrics of saliency maps: pure functions, each declared with its measure."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, TypeVar

from torch import Tensor

from lookright.errors import UserError
from lookright.metrics.measure import Measure
from lookright.named import name_of

MapMetric = Callable[..., Tensor]

F = TypeVar("F", bound=MapMetric)

INPUTS = ("saliency", "images", "masks", "ignored", "labels", "logits", "target", "model")


def metric(measure: Measure) -> Callable[[F], F]:
    """Declare a function as the metric of a measure, so that every evaluation computes it.

    The names of its parameters say which inputs of a batch it needs: saliency (B, h, w),
    non-negative; images (B, 3, H, W) in [0, 1]; masks (B, 1, H, W) of the object; ignored
    (B, 1, H, W) bool, pixels to leave out, where masks are 0, or None; labels (B,); logits (B, K);
    target (B,), the explained class; model. It returns (B,). A metric that needs masks is given
    only the images that have one; a metric that needs saliency is computed for the explanation and
    for both baselines.
    """

    def declared(function: F) -> F:
        vars(function)["measure"] = measure
        return function

    return declared


def measure_of(function: MapMetric) -> Measure:
    """The measure declared for a function; raises UserError if there is none."""
    measure = getattr(function, "measure", None)
    if not isinstance(measure, Measure):
        raise UserError(
            f"{name_of(function)} is not declared as a metric: write @metric(Measure(...)) above "
            "it, from lookright.metrics."
        )
    return measure


def asked(function: MapMetric) -> tuple[str, ...]:
    """The names of the inputs that a metric needs; raises UserError on an unknown name."""
    measure_of(function)
    given = signature(function).parameters.values()
    wanted = [
        each.name for each in given if each.default is Parameter.empty or each.name == "ignored"
    ]
    unknown = [name for name in wanted if name not in INPUTS]
    if unknown or not wanted:
        raise UserError(
            f"The parameters of a metric are named {', '.join(INPUTS)}, but {name_of(function)} "
            f"has {unknown[0] if unknown else 'none'}: use these names."
        )
    return tuple(wanted)


def declared_in(namespace: dict[str, Any]) -> list[MapMetric]:
    """The metrics in a module's namespace, in order."""
    name = namespace["__name__"]
    return [
        each
        for each in namespace.values()
        if isinstance(getattr(each, "measure", None), Measure) and each.__module__ == name
    ]
