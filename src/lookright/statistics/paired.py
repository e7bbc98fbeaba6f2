"""Is an explanation better than a baseline: the exact sign test on the same images."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lookright.statistics.bounds import sign_test

Verdict = Literal["worse than", "not told apart from", "better than"]
LEVEL = 0.05
ALIKE = 1e-6


@dataclass(frozen=True)
class Paired:
    """On how many of n images one map scores better than another, and on how many worse.

    On the rest they are alike, to a millionth of the largest score. Were either as likely on every
    image, counts as uneven would come up with probability `p` (exact, two-sided; for bools it is
    McNemar's, Psychometrika 1947).
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
        """What may be said at the level of 0.05."""
        if self.p > LEVEL:
            return "not told apart from"
        return "better than" if self.better > self.worse else "worse than"


def paired(own: Tensor, other: Tensor, higher_is_better: bool) -> Paired:
    """Scores (n,) of the same images, under one measure."""
    own, other = own.double(), other.double()
    alike = ALIKE * max(float(each.abs().amax()) for each in (own, other))
    gain = own - other if higher_is_better else other - own
    return Paired(int((gain > alike).sum()), int((gain < -alike).sum()), len(gain))
