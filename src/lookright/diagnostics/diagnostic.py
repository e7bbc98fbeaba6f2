"""Signs that a robust figure is not what a working attack would give."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lookright.statistics.bounds import share_at_least

_DELTA = 0.01


@dataclass(frozen=True)
class Diagnostic:
    """One check beside a robust figure: its name, one word, and the reason with its numbers."""

    name: str
    verdict: Literal["fine", "suspect"]
    reason: str


def fine(name: str, reason: str) -> Diagnostic:
    """Nothing was found."""
    return Diagnostic(name, "fine", reason)


def suspect(name: str, reason: str) -> Diagnostic:
    """Something was found."""
    return Diagnostic(name, "suspect", reason)


def nothing_to_doubt(name: str) -> Diagnostic:
    """There is no image whose robustness is claimed."""
    return fine(name, "No image that its own pixels make right withstands the attack.")


def clearly(found: int, n: int, above: float) -> bool:
    """Whether more than the share `above` would be found among all images, not only among these n.

    The exact 99% lower bound of the share is above it, so an honest model whose share is not has
    one alarm in a hundred, with however few images.
    """
    return n > 0 and share_at_least(found, n, _DELTA) > above


def asked(values: Mapping[str, Tensor], name: str) -> Tensor:
    """The values of the images of which something was asked; the others hold NaN."""
    found = values[name].double()
    return found[~found.isnan()]
