"""How far an attack has manipulated the explanation: measures of a clean and an attacked map.

Every function takes two batches (B, h, w) of the same shape and returns (B,), 0 for an unchanged
map; scaling either map changes nothing. A degenerate clean map cannot be manipulated, so its value
is 0; a degenerate attacked map counts as uniform.
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
        "Share of the 10% most salient places that are no longer among them after an attack on the "
        "explanation that keeps the prediction; about 0.9 for an unrelated map, less on small "
        "grids.",
        beats=("random",),
        question=MANIPULABLE,
        order=10,
        finding=Levels(
            "How far the explanation can be moved",
            "Share of its most salient places that are lost under an attack on the explanation "
            "while the prediction stays",
            "can be moved least",
            baseline="random",
        ),
    ),
    "centre": Measure(
        "manipulated_centre",
        "Centre moved",
        False,
        "score",
        "How far an attack on the explanation moves the saliency's centre of mass while the "
        "prediction stays, as a share of the image's diagonal.",
        beats=(),
        question=MANIPULABLE,
        order=20,
    ),
    "target": Measure(
        "manipulated_target",
        "Drawn to a target",
        False,
        "score",
        "Gain in cosine similarity with a disc in the farthest corner under an attack on the "
        "explanation that keeps the prediction.",
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
    "Share of images where an attack keeps the prediction while at least half of the 10% most "
    "salient places are lost.",
    beats=("random",),
    question=MANIPULABLE,
    order=90,
)


def manipulated_topk(before: Tensor, after: Tensor, share: float = 0.1) -> Tensor:
    """The share in [0, 1] of the most salient places that are no longer among them.

    1 minus the top-k intersection of Ghorbani, Abid and Zou (AAAI 2019). share: of the h * w
    places, `top_places` compares round(share * h * w); a tenth as in `stability_topk`.
    """
    before, after, speaks = _comparable(before, after)
    top = top_places(before, share)
    kept = (top & top_places(after, share)).sum((-2, -1))
    return speaks * (1 - kept / top.sum((-2, -1)).clamp(min=1))


def manipulated_centre(before: Tensor, after: Tensor) -> Tensor:
    """The distance in [0, 1] between the centres of mass, as a share of the diagonal.

    The centre shift of Ghorbani, Abid and Zou (AAAI 2019), in units that do not depend on the grid.
    """
    before, after, speaks = _comparable(before, after)
    return speaks * diagonals(centre_of_mass(after) - centre_of_mass(before), before)


def manipulated_target(before: Tensor, after: Tensor, target: Tensor | None = None) -> Tensor:
    """The gain in cosine similarity with the target, in [-1, 1].

    target: non-negative, (B, h', w') or one map (h', w') for all, resized to the maps' grid; None
    is `far_disc(before)`. Dombrowski et al. (NeurIPS 2019) also attack towards a target map, but
    their measures of similarity depend on the scale of the maps; the cosine does not.
    """
    before, after, speaks = _comparable(before, after)
    target = on_grid(target, before)
    return speaks * (Cosine()(before, target) - Cosine()(after, target))


def manipulated_kept(before: Tensor, after: Tensor, kept: Tensor) -> Tensor:
    """(B,) bool: the prediction is `kept` (B,), and at least half of the top tenth is lost."""
    return kept & (manipulated_topk(before, after) >= 0.5)


def centre_of_mass(saliency: Tensor) -> Tensor:
    """(B, 2): the centre of mass of saliency (B, h, w), as shares of the height and width."""
    mass = unit_mass(saliency)
    down, right = _places(mass)
    return torch.stack([(mass.sum(2) * down).sum(1), (mass.sum(1) * right).sum(1)], 1)


def diagonals(shift: Tensor, saliency: Tensor) -> Tensor:
    """Lengths (B,) of shifts (B, 2) in shares of the sides, as shares of the map's diagonal."""
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
    """(B, h, w): the target for each clean map (B, h, w), by default its far disc."""
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
    """The centres of the rows (h,) and columns (w,) as shares of the height and width."""
    down, right = (
        torch.arange(size, device=saliency.device, dtype=saliency.dtype).add(0.5) / size
        for size in saliency.shape[-2:]
    )
    return down, right


def _comparable(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both maps, uniform where they are degenerate, and (B,) 1 where the clean one is not."""
    if before.ndim != 3 or before.shape != after.shape:
        raise UserError(
            "Manipulation compares two batches of maps (B, h, w) of the same shape, but got "
            f"{tuple(before.shape)} and {tuple(after.shape)}; explain both with the same "
            "explainer."
        )
    dtype = torch.promote_types(torch.promote_types(before.dtype, after.dtype), torch.float32)
    silent = degenerate(before)
    before, after = (
        torch.where(degenerate(each)[:, None, None], 1, each.to(dtype)) for each in (before, after)
    )
    return before, after, (~silent).to(dtype)
