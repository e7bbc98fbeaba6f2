"""What a certificate says, as data and as a sentence."""

from dataclasses import dataclass
from typing import Literal

Claim = Literal["prediction", "explanation", "both"]


@dataclass(frozen=True)
class Certificate:
    """With probability 1 - delta over the draw of n images, at least `bound` of them all hold.

    claim: what is kept under the perturbation: the prediction, the explanation (its similarity to
    the clean one, at least `threshold`), or both. perturbation: what was done, in words. kept: of
    the n images drawn. delta: of the whole family; family: how many bounds hold together at that
    delta (Bonferroni: each is taken at delta / family).
    """

    claim: Claim
    perturbation: str
    kept: int
    n: int
    bound: float
    delta: float
    family: int
    similarity: str | None = None
    threshold: float | None = None
