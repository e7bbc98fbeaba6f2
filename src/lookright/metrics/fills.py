"""Fills, which replace removed pixels: functions from images (B, 3, H, W) in [0, 1] to images."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import isclass
from typing import Any

import torch
from torch import Tensor

from lookright.errors import UserError, did_you_mean
from lookright.metrics.measure import Measure
from lookright.named import name_of

Fill = Callable[[Tensor], Tensor]


def blur(images: Tensor) -> Tensor:
    """Gaussian blur; sigma is a tenth of the height and width, weights renormalised at borders."""
    h, w = images.shape[-2:]
    return (_gaussian(h, images) @ images @ _gaussian(w, images).T).clamp(0, 1)


def mean_colour(images: Tensor) -> Tensor:
    """Each image's mean colour."""
    return images.mean((-2, -1), keepdim=True).expand_as(images)


def black(images: Tensor) -> Tensor:
    """Zeros."""
    return torch.zeros_like(images)


FILLS: dict[str, Fill] = {"blur": blur, "mean": mean_colour, "black": black}


def fill_named(name: str) -> Fill:
    """The fill of that name; raises UserError with the nearest one."""
    if name not in FILLS:
        raise UserError(
            f"Unknown fill '{name}'; expected one of {', '.join(FILLS)}.{did_you_mean(name, FILLS)}"
        )
    return FILLS[name]


def fill_of(fill: str | Fill) -> Fill:
    """The fill of that name, or the user's own: a function of images, or a class whose instances
    are such functions."""
    if isinstance(fill, str):
        return fill_named(fill)
    own: Any = fill() if isclass(fill) else fill
    return lambda images: own(images.clone())  # which it may change in place


def fill_name(fill: str | Fill) -> str:
    """The fill's name in a result."""
    return fill if isinstance(fill, str) else name_of(fill)


def under_fill(measures: Mapping[str, Measure], name: str) -> Measure:
    """The measure for that fill; for a fill of the user's own, declared like the built-in ones."""
    if name in measures:
        return measures[name]
    fill, like = next(iter(measures.items()))
    renamed = {what: getattr(like, what).replace(fill, name) for what in ("key", "title")}
    return replace(like, **renamed, description=like.description.replace(f"({fill})", f"({name})"))


def _gaussian(size: int, like: Tensor) -> Tensor:
    """(size, size): row i holds Gaussian weights around pixel i, which sum to 1."""
    position = torch.arange(size, device=like.device, dtype=like.dtype)
    distance = (position[:, None] - position) / (0.1 * size)
    return (-distance.square() / 2).softmax(1)
