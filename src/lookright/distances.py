"""Distances between saliency maps: training losses and measures alike.

Every distance is `distance(saliency, target) -> (B,)`: saliency (B, h, w) and target (B, h', w')
are non-negative, or of either sign where the distance is `signed`; if their sizes differ the
saliency is resized to the target's size. Each distance is twice differentiable, and finite on any
finite map, also on constant and all-zero maps, where the gradient is zero instead of infinite. A
NaN in the input gives NaN, so that training stops. Half precision is computed in float32.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.errors import UserError

MAP = (-2, -1)


def resize(saliency: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """(B, h, w) resized to (B, *size), bilinearly between pixel centres, antialiased if smaller."""
    h, w = saliency.shape[-2:]
    if (h, w) == tuple(size):
        return saliency
    shrinks = size[0] < h or size[1] < w
    return F.interpolate(
        saliency[:, None], tuple(size), mode="bilinear", align_corners=False, antialias=shrinks
    )[:, 0]


def _is_constant(saliency: Tensor, eps: float) -> Tensor:
    """(B, 1, 1) bool: the map is finite and varies by at most `eps` of its largest magnitude."""
    peak = saliency.abs().amax(MAP, keepdim=True)
    span = saliency.amax(MAP, keepdim=True) - saliency.amin(MAP, keepdim=True)
    return (span <= eps * peak) & peak.isfinite()


def degenerate(saliency: Tensor, eps: float = 1e-6) -> Tensor:
    """(B, h, w) to (B,) bool: maps that are constant, or that contain a NaN or infinity.

    `eps` is relative to the map's largest magnitude, so scaling a map changes nothing.
    """
    return _is_constant(saliency, eps)[:, 0, 0] | ~saliency.isfinite().all(-1).all(-1)


def in_unit_range(values: Tensor) -> bool:
    """Whether all values are in [0, 1], but for the rounding of a mask that was resized."""
    return bool(((values.float() - 0.5).abs() < 0.5001).all())


def minmax(saliency: Tensor, eps: float = 1e-6) -> Tensor:
    """Each map (B, h, w) shifted and scaled to span [0, 1]; a constant map becomes zeros.

    A map counts as constant if it varies by at most `eps` of its largest magnitude; scaling it
    would only amplify rounding errors. This is the normalisation of DRE (arXiv 2303.16390).
    """
    constant = _is_constant(saliency, eps)
    low, high = saliency.amin(MAP, keepdim=True), saliency.amax(MAP, keepdim=True)
    span = torch.where(constant, torch.ones_like(high), high - low)
    return torch.where(constant, torch.zeros_like(saliency), (saliency - low) / span)


def unit_mass(saliency: Tensor) -> Tensor:
    """Each map (B, h, w) scaled to sum to 1; an all-zero map becomes uniform."""
    mass = saliency.sum(MAP, keepdim=True)
    h, w = saliency.shape[-2:]
    uniform = torch.full_like(saliency, 1 / (h * w))
    return torch.where(mass == 0, uniform, saliency / torch.where(mass == 0, 1, mass))


def ruzicka(one: Tensor, other: Tensor) -> Tensor:
    """sum(min) / sum(max) of maps (B, h, w) in [0, 1], (B,) in [0, 1]: the soft IoU; 0 for two
    empty maps."""
    union = torch.maximum(one, other).sum(MAP)
    return torch.minimum(one, other).sum(MAP) / torch.where(union == 0, 1, union)


def leaving_out(ignored: Tensor | None, measure: Callable[..., Tensor], *maps: Tensor) -> Tensor:
    """`measure(*maps)`, (B,), of maps (B, ..., H, W) without their ignored places (B, H, W).

    Maps of which places are ignored are measured one by one, as a single row (..., 1, n) of the n
    places that are left, or as zeros if none is. The measure must not depend on where places lie.
    """
    if ignored is None or not ignored.any():
        return measure(*maps)
    some = ignored.flatten(1).any(1)
    parts = [measure(*(each[~some] for each in maps))] if not some.all() else []
    for at in some.nonzero()[:, 0].tolist():
        kept, own = ~ignored[at], [each[at : at + 1] for each in maps]
        rows = [each[..., kept][..., None, :] for each in own]
        parts.append(measure(*(rows if kept.any() else map(torch.zeros_like, own))))
    return torch.cat(parts)[some.to(torch.uint8).argsort(stable=True).argsort()]


@dataclass(frozen=True)
class Distance(ABC):
    """(B, h, w) and (B, h', w') to (B,): the distance of the saliency from its target, at least 0.

    ignored: (B, h', w') bool, places that are left out (`leaving_out`), None for none. Raises
    UserError if the two are not batches of maps of the same length.

    signed: whether it compares maps of either sign, such as class maps before the ReLU.
    """

    signed: ClassVar[bool] = True

    def __call__(self, saliency: Tensor, target: Tensor, ignored: Tensor | None = None) -> Tensor:
        if saliency.ndim != 3 or target.ndim != 3 or len(saliency) != len(target):
            raise UserError(
                "A distance compares two batches of maps (B, h, w) of the same length, but got "
                f"{tuple(saliency.shape)} and {tuple(target.shape)}; drop a mask's channel with "
                "masks[:, 0]."
            )
        dtype = torch.promote_types(saliency.dtype, target.dtype)
        dtype = torch.promote_types(dtype, torch.float32)
        saliency = resize(saliency.to(dtype), target.shape[-2:])
        return leaving_out(ignored, self.compare, saliency, target.to(dtype)).clamp(min=0)

    @abstractmethod
    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        """The distance (B,) of two batches of maps (B, h, w) of the same size."""


@dataclass(frozen=True)
class MinMaxDistance(Distance):
    """A distance of min-max-normalised maps, invariant to shift and scale of the saliency.

    mask_target: the target is a mask in [0, 1] and is not normalised. This matters for soft masks
    and for masks that cover the whole image.
    """

    mask_target: bool = False

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        return self.compare_normalised(
            minmax(saliency), target if self.mask_target else minmax(target)
        )

    @abstractmethod
    def compare_normalised(self, saliency: Tensor, target: Tensor) -> Tensor:
        """The distance (B,) of two batches of maps in [0, 1]."""


@dataclass(frozen=True)
class L1(MinMaxDistance):
    """Mean absolute difference of min-max-normalised maps, in [0, 1] (DRE, arXiv 2303.16390)."""

    def compare_normalised(self, saliency: Tensor, target: Tensor) -> Tensor:
        return (saliency - target).abs().mean(MAP)


@dataclass(frozen=True)
class MSE(MinMaxDistance):
    """Mean squared difference of min-max-normalised maps, in [0, 1]; smooth at equal maps."""

    def compare_normalised(self, saliency: Tensor, target: Tensor) -> Tensor:
        return (saliency - target).square().mean(MAP)


@dataclass(frozen=True)
class BCE(MinMaxDistance):
    """Mean binary cross-entropy of min-max-normalised maps (ALIGN, arXiv 2511.06944).

    The saliency is rescaled to [eps, 1 - eps], which bounds the loss by -log(eps) and its gradient
    by 1 / eps. The minimum, at equal maps, is the entropy of the target, not 0.
    """

    eps: float = 1e-3

    def compare_normalised(self, saliency: Tensor, target: Tensor) -> Tensor:
        chance = self.eps + (1 - 2 * self.eps) * saliency
        return -(target * chance.log() + (1 - target) * (1 - chance).log()).mean(MAP)


@dataclass(frozen=True)
class SoftIoU(MinMaxDistance):
    """1 - sum(min) / sum(max) of min-max-normalised maps, in [0, 1]; 0 for two empty maps.

    For binary masks it is one minus intersection over union. Unlike the variant with products it is
    0 for equal soft maps (Ruzicka similarity).
    """

    def compare_normalised(self, saliency: Tensor, target: Tensor) -> Tensor:
        return torch.where((saliency + target).amax(MAP) == 0, 0, 1 - ruzicka(saliency, target))


@dataclass(frozen=True)
class KL(Distance):
    """KL(target || saliency) of maps scaled to unit mass, in nats, in [0, log(h w / smoothing)].

    Both are mixed with a share `smoothing` of the uniform map, so that places where the saliency is
    zero have a finite cost.
    """

    signed: ClassVar[bool] = False

    smoothing: float = 1e-2

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        uniform = self.smoothing / (saliency.shape[-2] * saliency.shape[-1])
        p = (1 - self.smoothing) * unit_mass(target) + uniform
        q = (1 - self.smoothing) * unit_mass(saliency) + uniform
        return (p * (p.log() - q.log())).sum(MAP)


@dataclass(frozen=True)
class Cosine(Distance):
    """1 - cosine similarity of the maps as vectors, in [0, 1], of signed maps in [0, 2].

    Invariant to scale. The distance of an all-zero map is 1, even from another all-zero map.
    """

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        a, b = _direction(saliency), _direction(target)
        return 1 - (a * b).sum(MAP)


@dataclass(frozen=True)
class Correlation(Distance):
    """1 - Pearson's correlation of the maps, in [0, 2]; invariant to shift and positive scale.

    The correlation with a constant map counts as 0, so its distance is 1, that of unrelated maps,
    even from another constant map. The gradient is orthogonal to the map's deviation from its mean,
    so that a step along it never makes a map less varied (docs/theory.md).
    """

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        a, b = _direction(_deviation(saliency)), _direction(_deviation(target))
        return 1 - (a * b).sum(MAP)


@dataclass(frozen=True)
class Contrast(Distance):
    """1 - cosine of the saliency and the mask's deviation from its mean, in [0, 2].

    It is least, 0, for a map that is positive on the mask and negative off it, so that a ReLU
    leaves the mask alone; `Correlation` would allow any offset. A constant map is 1 away, as
    unrelated maps are on average, and the gradient leads away from it. Invariant to positive scale.
    """

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        return 1 - (_direction(saliency) * _direction(_deviation(target))).sum(MAP)


@dataclass(frozen=True)
class RawL1(Distance):
    """Mean absolute difference of the maps as they are, in their own unit.

    For maps in units of the logit (`MarginMap`) it bounds the change of the margin
    (docs/theory.md). Two empty maps have the distance 0.
    """

    def compare(self, saliency: Tensor, target: Tensor) -> Tensor:
        return (saliency - target).abs().mean(MAP)


def _deviation(saliency: Tensor, eps: float = 1e-6) -> Tensor:
    """(B, h, w) minus each map's mean; zeros for a map that is constant, as in `minmax`."""
    constant = _is_constant(saliency, eps)
    return torch.where(constant, 0, saliency - saliency.mean(MAP, keepdim=True))


def _direction(saliency: Tensor) -> Tensor:
    """(B, h, w) scaled to Euclidean length 1, zero maps kept; rescaled first to avoid underflow."""
    peak = saliency.detach().abs().amax(MAP, keepdim=True)
    zero = peak == 0
    scaled = torch.where(zero, 1, saliency / torch.where(zero, 1, peak))
    return torch.where(zero, 0, scaled / scaled.square().sum(MAP, keepdim=True).sqrt())
