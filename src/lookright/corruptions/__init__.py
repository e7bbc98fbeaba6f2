"""Common corruptions: the fifteen of ImageNet-C and its four extra ones, batched.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, ICLR 2019; the parameters are theirs. Implemented here because the maintained library
(imagecorruptions-imaug) takes one image at a time on the CPU, uses NumPy's global random state, and
does not scale lengths with the image: see `docs/corruptions.md`.
"""

from inspect import isclass
from typing import Any

from torch import Tensor

from lookright.corruptions.blur import BLURS, GAUSSIAN
from lookright.corruptions.corruption import Corruption, Corrupts, Family
from lookright.corruptions.digital import DIGITAL, SATURATE
from lookright.corruptions.noise import NOISES, SPECKLE
from lookright.corruptions.spatter import SPATTER
from lookright.corruptions.weather import WEATHER
from lookright.errors import UserError, did_you_mean
from lookright.named import name_of

CORRUPTIONS: dict[str, Corruption] = {
    member.name: member for member in (*NOISES, *BLURS, *WEATHER, *DIGITAL)
}
"""The fifteen corruptions that are averaged over, in ImageNet-C's order."""

EXTRA_CORRUPTIONS: dict[str, Corruption] = {
    member.name: member for member in (SPECKLE, GAUSSIAN, SPATTER, SATURATE)
}
"""The four that ImageNet-C reserves for choosing hyperparameters."""


def corrupt(images: Tensor, name: str, severity: int) -> Tensor:
    """Corrupted images, of the same shape, dtype and device as images (B, 3, H, W), in [0, 1].

    Random numbers are derived from the image (`chance.image_chance`): the same in every batch and
    run, and at every severity. Lengths in pixels are those of ImageNet-C, times shorter side / 224.

    name: one of CORRUPTIONS or EXTRA_CORRUPTIONS; severity: 1 to 5. Raises UserError on others.
    """
    return corruption_named(name)(images, severity)


def corruption_named(name: str) -> Corruption:
    """The corruption of that name; raises UserError with the nearest one."""
    known = CORRUPTIONS | EXTRA_CORRUPTIONS
    if name not in known:
        raise UserError(
            f"Unknown corruption '{name}'; expected one of {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    return known[name]


def corruption_of(part: str | Corrupts) -> Corruption:
    """The corruption of that name, or the user's own: a function of images and a severity, or a
    class whose instances are such functions."""
    if isinstance(part, str):
        return corruption_named(part)
    if isinstance(part, Corruption):
        return part
    spoil: Any = part() if isclass(part) else part
    return Corruption(name_of(part), "own", spoil)


__all__ = [
    "CORRUPTIONS",
    "EXTRA_CORRUPTIONS",
    "Corruption",
    "Corrupts",
    "Family",
    "corrupt",
    "corruption_named",
    "corruption_of",
]
