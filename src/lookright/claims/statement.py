"""A claim, as data and as a sentence."""

from dataclasses import dataclass
from math import floor
from typing import Literal

Property = Literal["prediction", "explanation", "both"]


@dataclass(frozen=True)
class Claim:
    """With probability 1 - delta over the draw of n images, at least `bound` of them all hold.

    claim: what is kept under the perturbation: the prediction, the explanation (its similarity to
    the clean one, at least `threshold`), or both. perturbation: what was done, in words. kept: of
    the n images drawn. delta: of the whole family; family: how many bounds hold together at that
    delta (Bonferroni: each is taken at delta / family). distribution: what the images are drawn
    from, in words. right: an image counts as kept only where its clean prediction was right.
    """

    claim: Property
    perturbation: str
    kept: int
    n: int
    bound: float
    delta: float
    family: int
    similarity: str | None = None
    threshold: float | None = None
    distribution: str = "this distribution"
    right: bool = False

    @property
    def sentence(self) -> str:
        """The claim as it may be quoted; the bound is rounded down."""
        return (
            f"With probability at least {_percent(1 - self.delta)} over the draw of {self.n} "
            f"images, at least {_percent_below(self.bound)} of the images of {self.distribution} "
            f"keep their {self._what} under {self.perturbation}: {self.kept} of {self.n} did."
            f"{_together(self.family, self.delta)}"
        )

    @property
    def _what(self) -> str:
        return _kept(self.claim, self.similarity, self.threshold, self.right)


@dataclass(frozen=True)
class DifferenceClaim:
    """With probability 1 - delta over the draw, `first` keeps at least `bound` more than `second`.

    Both models are tried on the same n images, each against the perturbation made for it.
    only_first, only_second: number of images that only this model keeps. bound: a lower bound of
    the difference of the two shares, in [-1, 1]; a negative one says how much worse `first` can be
    at most. p_value: of the one-sided exact sign test (McNemar's) that `first` keeps no more than
    `second`, uncorrected. The other fields are those of `Claim`.
    """

    claim: Property
    perturbation: str
    first: str
    second: str
    only_first: int
    only_second: int
    n: int
    bound: float
    p_value: float
    delta: float
    family: int
    similarity: str | None = None
    threshold: float | None = None
    distribution: str = "this distribution"
    right: bool = False

    @property
    def sentence(self) -> str:
        """The claim as it may be quoted; the bound is rounded towards the second model."""
        points = floor(self.bound * 1000) / 10
        claimed = (
            f"at least {points:.1f} percentage points more"
            if points > 0
            else f"at most {abs(points):.1f} percentage points fewer"
        )
        return (
            f"With probability at least {_percent(1 - self.delta)} over the draw of {self.n} "
            f"images, {claimed} of the images of {self.distribution} keep their "
            f"{_kept(self.claim, self.similarity, self.threshold, self.right)} under "
            f"{self.perturbation} with "
            f"{self.first} than with {self.second}: of the same {self.n} images {self.only_first} "
            f"did with {self.first} alone and {self.only_second} with {self.second} alone (sign "
            f"test p = {self.p_value:.2g}).{_together(self.family, self.delta)}"
        )


def _kept(
    claim: Property, similarity: str | None, threshold: float | None, right: bool = False
) -> str:
    prediction = "right prediction" if right else "prediction"
    explanation = f"explanation ({similarity} at least {threshold})"
    return {
        "prediction": prediction,
        "explanation": f"{explanation} of a right prediction" if right else explanation,
        "both": f"{prediction} and their {explanation}",
    }[claim]


def _together(family: int, delta: float) -> str:
    if family == 1:
        return ""
    return f" The {_percent(1 - delta)} are for all {family} bounds of its family together."


def _percent(share: float) -> str:
    return f"{100 * share:.14g}%"


def _percent_below(share: float) -> str:
    """In percent, rounded down to a tenth."""
    return f"{floor(share * 1000) / 10:.1f}%"
