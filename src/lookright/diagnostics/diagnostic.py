"""The verdict of one check for gradient masking."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lookright.statistics.bounds import share_at_least

_DELTA = 0.01


@dataclass(frozen=True)
class Diagnostic:
    """The verdict of one check: its name, "fine" or "suspect", and the reason with its numbers."""

    name: str
    verdict: Literal["fine", "suspect"]
    reason: str


def fine(name: str, reason: str) -> Diagnostic:
    """A verdict that nothing was found."""
    return Diagnostic(name, "fine", reason)


def suspect(name: str, reason: str) -> Diagnostic:
    """A verdict that something was found."""
    return Diagnostic(name, "suspect", reason)


def nothing_to_doubt(name: str) -> Diagnostic:
    """The verdict if no image counts as robust."""
    return fine(
        name, "No image that is classified correctly from its own pixels withstands the attack."
    )


def clearly(found: int, n: int, above: float) -> bool:
    """Whether the share among all images exceeds `above`, given `found` of n sampled images.

    True if the exact 99% lower bound of the share is larger. A false alarm therefore has a
    probability of at most 1%, however few images there are.
    """
    return n > 0 and share_at_least(found, n, _DELTA) > above


def asked(values: Mapping[str, Tensor], name: str) -> Tensor:
    """The values of the images that were checked; those of the others are NaN."""
    found = values[name].double()
    return found[~found.isnan()]
