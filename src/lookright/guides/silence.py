"""Whether a map that says nothing costs less than one that says something else.

A term that an empty map satisfies trains a network towards empty maps: Grad-CAM's ReLU and the
min-max normalisation give two empty maps the distance 0.
"""

import torch
from torch import Tensor

from lookright.distances import Distance
from lookright.guides.guide import Target

_SIDE = 8
_LESS = 0.99


def cheap_silence(distance: Distance, of_model: bool) -> tuple[str, ...]:
    """The maps that say nothing and cost less than an unrelated map: kinds out of empty, constant,
    saturated (one place is off, all others are on) and point (one place is on).

    An unrelated map is the target moved to every place in turn; the mean distance is compared.

    of_model: the target is an explanation of the same model (`Guide.of_model`), which may say as
    little; otherwise it is a mask.
    """
    place = torch.eye(_SIDE**2).unflatten(1, (_SIDE, _SIDE))
    nothing = {
        "empty": torch.zeros_like(place),
        "constant": torch.full_like(place, 0.5),
        "saturated": 1 - place,
        "point": place,
    }
    target = _waves() if of_model else _square()

    def cost(maps: Tensor, wanted: Tensor) -> float:
        return float(Target(wanted.expand_as(maps), is_mask=not of_model).distance(maps, distance))

    unrelated = cost(_moved(target), target)
    wanted = {kind: (target, maps[:1]) if of_model else (target,) for kind, maps in nothing.items()}
    return tuple(
        kind
        for kind, maps in nothing.items()
        if min(cost(maps, each) for each in wanted[kind]) < _LESS * unrelated
    )


def _moved(saliency: Tensor) -> Tensor:
    """The map (h, w) moved to every place, around the borders: (h w, h, w)."""
    shifts = torch.cartesian_prod(torch.arange(_SIDE), torch.arange(_SIDE)).tolist()
    return torch.stack([saliency.roll(shift, (0, 1)) for shift in shifts])


def _waves() -> Tensor:
    """A positive map (h, w) without a pattern."""
    return torch.arange(_SIDE**2).cos().add(1).unflatten(0, (_SIDE, _SIDE))


def _square() -> Tensor:
    """The mask (h, w) of an object that covers a seventh of the image."""
    mask = torch.zeros(_SIDE, _SIDE)
    mask[2:5, 3:6] = 1
    return mask
