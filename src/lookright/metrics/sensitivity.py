"""Max-sensitivity: how much the explanation changes under tiny changes of the image."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.explainers.explainer import Explainer
from lookright.metrics.measure import Measure
from lookright.metrics.questions import SPECIFIC
from lookright.metrics.removal import clean, split
from lookright.modes import frozen, ordinary
from lookright.seeds import own_noise

MAX_SENSITIVITY = Measure(
    "max_sensitivity",
    "Max-sensitivity",
    False,
    "score",
    "Largest change of the explanation, relative to its norm, over 10 random perturbations of at "
    "most 0.02 per pixel.",
    beats=("random",),
    question=SPECIFIC,
    order=10,
)
RADIUS, SAMPLES = 0.02, 10
_PURPOSE = 70

Explain = Callable[[Tensor, Tensor], Tensor]


def max_sensitivity(
    model: nn.Module,
    images: Tensor,
    explainer: Explainer,
    target: Tensor | None = None,
    radius: float = RADIUS,
    samples: int = SAMPLES,
    max_images: int = 128,
) -> Tensor:
    """(B,) max over d of |Phi(x + d) - Phi(x)| / |Phi(x)|, Frobenius norms, at least 0.

    Yeh et al. (NeurIPS 2019), section 4: d is drawn `samples` times, uniformly in [-radius, radius]
    in pixel units, and x + d is clipped to [0, 1]; the defaults are captum's. target: (B,) int64,
    the class explained at x and at every x + d, by default the one predicted at x. If the norm of
    the explanation is zero, its change is not divided, as in captum. An explanation that is not
    finite counts as zero. Noise that the explainer draws is the same at x and at every x + d.

    Raises UserError on a negative radius or less than one sample.
    """
    target = clean(model, images, target, max_images)[0] if target is None else target
    explain = explained_by(explainer, model)
    with frozen(model):
        blocks = zip(images.split(max_images), target.split(max_images), strict=True)
        saliency = torch.cat([explain(x, y) for x, y in blocks])
        return largest_changes([explain], images, [saliency], target, radius, samples, max_images)[
            0
        ]


def largest_changes(
    explains: Sequence[Explain],
    images: Tensor,
    maps: Sequence[Tensor],
    target: Tensor,
    radius: float = RADIUS,
    samples: int = SAMPLES,
    max_images: int = 128,
) -> Tensor:
    """(M, B): largest changes for M functions of (images, target), given their M maps of images."""
    if radius < 0 or samples < 1:
        raise UserError(
            "Max-sensitivity needs a radius of at least 0 and at least 1 sample, but got "
            f"radius={radius}, samples={samples}."
        )
    blocks = []
    for block in split(len(images), max_images):
        x, y = ordinary(images[block]), target[block]
        largest = [torch.zeros(len(x), device=x.device, dtype=x.dtype) for _ in maps]
        for sample in range(samples):
            chance = image_chance(x, x.shape[1:].numel(), _PURPOSE + sample).view_as(x)
            moved = (x + radius * (2 * chance - 1)).clamp(0, 1)
            for number, (explain, saliency) in enumerate(zip(explains, maps, strict=True)):
                change = relative_change(saliency[block], explain(moved, y))
                largest[number] = torch.maximum(largest[number], change)
        blocks.append(torch.stack(largest))
    return torch.cat(blocks, 1)


def relative_change(before: Tensor, after: Tensor) -> Tensor:
    """(B,): |after - before| / |before| for maps (B, h, w), not divided where |before| is zero.

    A map that is not finite counts as zero.

    Raises UserError on maps of different shapes.
    """
    if before.shape != after.shape:
        raise UserError(
            f"Max-sensitivity compares maps of the same shape, but got {tuple(before.shape)} and "
            f"{tuple(after.shape)}; pass the maps of the same explainer."
        )
    before, after = (
        torch.where(each.isfinite().all(-1).all(-1)[:, None, None], each, 0)
        for each in (before, after)
    )
    length = torch.linalg.vector_norm(before, dim=(-2, -1))
    change = torch.linalg.vector_norm(after - before, dim=(-2, -1))
    return change / torch.where(length > 0, length, 1)


def explained_by(explainer: Explainer, model: nn.Module) -> Explain:
    """A function from (images, target) to the explainer's maps of one model, without gradients.

    An explainer that draws noise draws the same noise each time, from torch's last seed.
    """

    def explain(images: Tensor, target: Tensor) -> Tensor:
        with own_noise(images.device, torch.initial_seed()), torch.no_grad():
            return explainer(model, images, target)[1]

    return explain
