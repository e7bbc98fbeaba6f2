"""How far an attack manipulated the explanation: measures of the clean map and the attacked one.

Every function takes two batches (B, h, w) on one grid and returns (B,), 0 where the map stayed;
scaling either map changes nothing. A clean map that says nothing cannot be moved, so its value is
0; an attacked one that says nothing counts as the uniform map.
"""

import torch
from torch import Tensor

from lookright.distances import Cosine, degenerate, resize, unit_mass
from lookright.errors import UserError
from lookright.metrics.findings import Levels
from lookright.metrics.measure import Measure
from lookright.metrics.questions import MANIPULABLE
from lookright.metrics.ranking import top_places

MANIPULATED = {
    "topk": Measure(
        "manipulated_topk",
        "Top places lost",
        False,
        "score",
        "Share of the 10% most salient places that an attack on the explanation drives out, the "
        "prediction kept; a map that has nothing to do with the clean one loses 0.9.",
        beats=("random",),
        question=MANIPULABLE,
        order=10,
        finding=Levels(
            "How far the explanation can be moved",
            "Share of its most salient places that an attack on the explanation drives out while "
            "the answer stays",
            "can be moved least",
            scale="90%: as unlike as another map",
        ),
    ),
    "centre": Measure(
        "manipulated_centre",
        "Centre moved",
        False,
        "score",
        "How far an attack on the explanation moves the saliency's centre of mass, the prediction "
        "kept, as a share of the image's diagonal.",
        beats=(),
        question=MANIPULABLE,
        order=20,
    ),
    "target": Measure(
        "manipulated_target",
        "Drawn to a target",
        False,
        "score",
        "Cosine with a disc in the far corner that an attack on the explanation gains, the "
        "prediction kept.",
        beats=(),
        question=MANIPULABLE,
        order=30,
    ),
}
MANIPULATED_KEPT = Measure(
    "manipulated_kept",
    "Explanation turned",
    False,
    "rate",
    "Share of images where an attack keeps the prediction and drives out at least half of the 10% "
    "most salient places.",
    beats=("random",),
    question=MANIPULABLE,
    order=90,
)


def manipulated_topk(before: Tensor, after: Tensor, share: float = 0.1) -> Tensor:
    """The share in [0, 1] of the most salient places that are no longer among them.

    1 minus the top-k intersection of Ghorbani, Abid and Zou (AAAI 2019). share: of the h * w
    places, `top_places` compares round(share * h * w); a tenth is `stability_topk`'s.
    """
    before, after, speaks = _comparable(before, after)
    top = top_places(before, share)
    kept = (top & top_places(after, share)).sum((-2, -1))
    return speaks * (1 - kept / top.sum((-2, -1)).clamp(min=1))


def manipulated_centre(before: Tensor, after: Tensor) -> Tensor:
    """The distance in [0, 1] of the centres of mass, as a share of the diagonal.

    The centre-shift of Ghorbani, Abid and Zou (AAAI 2019), in units that suit every grid.
    """
    before, after, speaks = _comparable(before, after)
    return speaks * diagonals(centre_of_mass(after) - centre_of_mass(before), before)


def manipulated_target(before: Tensor, after: Tensor, target: Tensor | None = None) -> Tensor:
    """The cosine with the target that was gained, in [-1, 1].

    target: non-negative, (B, h', w') or one map (h', w') for all, resized to the maps' grid; None
    is `far_disc(before)`. Dombrowski et al. (NeurIPS 2019) reach for a target map; their measures
    of similarity depend on the maps' scale, the cosine does not.
    """
    before, after, speaks = _comparable(before, after)
    target = on_grid(target, before)
    return speaks * (Cosine()(before, target) - Cosine()(after, target))


def manipulated_kept(before: Tensor, after: Tensor, kept: Tensor) -> Tensor:
    """(B,) bool: the prediction is `kept` (B,) bool, and half of the top tenth or more is lost."""
    return kept & (manipulated_topk(before, after) >= 0.5)


def centre_of_mass(saliency: Tensor) -> Tensor:
    """(B, 2): where the saliency (B, h, w) is on average, as shares of the height and width."""
    mass = unit_mass(saliency)
    down, right = _places(mass)
    return torch.stack([(mass.sum(2) * down).sum(1), (mass.sum(1) * right).sum(1)], 1)


def diagonals(shift: Tensor, saliency: Tensor) -> Tensor:
    """(B, 2) as shares of height and width to (B,) as shares of the diagonal of (B, h, w)."""
    h, w = saliency.shape[-2:]
    sides = torch.tensor([h, w], dtype=shift.dtype) / (h * h + w * w) ** 0.5
    return torch.linalg.vector_norm(shift * sides.to(shift.device), dim=1)


def far_disc(saliency: Tensor) -> Tensor:
    """(B, h, w): 1 on a disc in the corner farthest from the centre of mass, 0 elsewhere.

    Its radius is a quarter of the side, and it touches both edges of the corner.
    """
    centre = 0.25 + 0.5 * (centre_of_mass(saliency) < 0.5).to(saliency.dtype)
    down, right = _places(saliency)
    away = (down[:, None] - centre[:, :1, None]) ** 2 + (right - centre[:, 1:, None]) ** 2
    return (away <= 0.25**2).to(saliency.dtype)


def on_grid(target: Tensor | None, clean: Tensor) -> Tensor:
    """(B, h, w): the target of each clean map (B, h, w), by default its far disc."""
    if target is None:
        return far_disc(clean)
    if target.ndim not in (2, 3) or (target.ndim == 3 and len(target) != len(clean)):
        raise UserError(
            f"A target is one map (h, w), or one for each of {len(clean)} images, but got "
            f"{tuple(target.shape)}; drop a mask's channel with masks[:, 0]."
        )
    target = target.to(clean).expand(len(clean), *target.shape[-2:])
    return resize(target, clean.shape[-2:])


def _places(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """The middles of rows (h,) and columns (w,) as shares of the height and width."""
    down, right = (
        torch.arange(size, device=saliency.device, dtype=saliency.dtype).add(0.5) / size
        for size in saliency.shape[-2:]
    )
    return down, right


def _comparable(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both maps, uniform where they say nothing, and (B,) 1 where the clean one says something."""
    if before.ndim != 3 or before.shape != after.shape:
        raise UserError(
            "A manipulate is from one batch of maps (B, h, w) to another of its shape, but got "
            f"{tuple(before.shape)} and {tuple(after.shape)}; explain both with the same explainer."
        )
    dtype = torch.promote_types(torch.promote_types(before.dtype, after.dtype), torch.float32)
    silent = degenerate(before)
    before, after = (
        torch.where(degenerate(each)[:, None, None], 1, each.to(dtype)) for each in (before, after)
    )
    return before, after, (~silent).to(dtype)
