"""Is an explanation better than a baseline? The exact sign test on the same images."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lookright.statistics.bounds import sign_test

Verdict = Literal["worse than", "not told apart from", "better than"]
LEVEL = 0.05
ALIKE = 1e-6


@dataclass(frozen=True)
class Paired:
    """The number of images, of n, on which one map scores better than another, and worse.

    n counts the images on which both have a finite score; on the rest of them they are equal, to a
    millionth of the largest score. `p` is the exact two-sided p-value of the hypothesis that both
    are equally likely on every image (the sign test; for bools it is McNemar's, Psychometrika
    1947).
    """

    better: int
    worse: int
    n: int

    @property
    def p(self) -> float:
        tails = sign_test(self.better, self.worse), sign_test(self.worse, self.better)
        return min(1.0, 2 * min(tails))

    @property
    def verdict(self) -> Verdict:
        """The conclusion at the significance level of 0.05."""
        if self.p > LEVEL:
            return "not told apart from"
        return "better than" if self.better > self.worse else "worse than"


def paired(own: Tensor, other: Tensor, higher_is_better: bool) -> Paired:
    """Compare two sets of scores (n,) of the same images under one measure."""
    own, other = own.double(), other.double()
    known = own.isfinite() & other.isfinite()
    if not known.any():
        return Paired(0, 0, 0)
    own, other = own[known], other[known]
    alike = ALIKE * max(float(each.abs().amax()) for each in (own, other))
    gain = own - other if higher_is_better else other - own
    return Paired(int((gain > alike).sum()), int((gain < -alike).sum()), len(gain))
