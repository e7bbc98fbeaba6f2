"""Do two models differ? Exact tests and intervals for paired values, one pair per image."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lookright.errors import UserError
from lookright.statistics.intervals import CONFIDENCE, rate
from lookright.statistics.paired import ALIKE, Paired

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The first model's mean minus the second's on the same n images.

    low, high: the 95% interval of the difference; more, less: the number of images on which the
    first model has the higher value, and the lower value; p: the exact two-sided p-value of the
    hypothesis that both are equally likely.
    """

    value: float
    low: float
    high: float
    more: int
    less: int
    n: int

    @property
    def p(self) -> float:
        return Paired(self.more, self.less, self.n).p


def rate_difference(first: Values, second: Values) -> Difference:
    """The difference of two shares of successes, given as values 0 and 1, (n,) each.

    The test is McNemar's in its exact form (Psychometrika 1947, with the binomial instead of the
    chi-square distribution); the interval is the hybrid score interval, method 10 of Newcombe
    (Statistics in Medicine 17, 1998, 2635-2650).

    Raises:
        UserError: there is no pair, or a value is neither 0 nor 1.
    """
    _check(first, second)
    if not np.isin([first, second], (0, 1)).all():
        raise UserError("A rate counts successes, so its values are 0 or 1, but got other values.")
    one, two = first == 1, second == 1
    more, less = int((one & ~two).sum()), int((two & ~one).sum())
    low, high = _newcombe(int((one & two).sum()), more, less, int((~one & ~two).sum()))
    return Difference((more - less) / len(one), low, high, more, less, len(one))


def score_difference(first: Values, second: Values) -> Difference:
    """The difference of the means of two scores, (n,) each.

    The test is the exact sign test; values that differ by at most a millionth of the largest count
    as equal. The interval is Student's t interval of the paired differences (Biometrika 1908),
    which is infinite for a single pair.

    Raises:
        UserError: there is no pair, or a value is not finite.
    """
    _check(first, second)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UserError("A difference needs finite scores; leave out images without one.")
    gain, n = first - second, len(first)
    alike = ALIKE * float(max(np.abs(first).max(), np.abs(second).max()))
    centre, half = float(gain.mean()), float("inf")
    if n > 1:
        half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * gain.std(ddof=1) / sqrt(n))
    more, less = int((gain > alike).sum()), int((gain < -alike).sum())
    return Difference(centre, centre - half, centre + half, more, less, n)


def holm(p: Sequence[float]) -> list[float]:
    """The p-values corrected for multiple testing (Holm), in the order given.

    If only differences with a corrected p-value of at most 0.05 are reported, the probability that
    any reported difference is false is at most 5%, however the tests depend on each other (Holm,
    Scandinavian Journal of Statistics 1979).
    """
    corrected, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda index: p[index])):
        least = max(least, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = least
    return corrected


def _check(first: Values, second: Values) -> None:
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise UserError(
            "A paired difference needs two values for each of at least one image, but got "
            f"{first.shape} and {second.shape}."
        )


def _newcombe(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """The interval of the difference of two paired shares, from the number of each outcome."""
    n = both + first + second + neither
    one, two = rate((both + first, n)), rate((both + second, n))
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = both * neither - first * second
    towards = max(product - n / 2, 0) if product > 0 else product
    phi = towards / sqrt(margins) if margins else 0.0

    def length(down: float, up: float) -> float:
        return sqrt(max(down**2 - 2 * phi * down * up + up**2, 0.0))

    gap = (first - second) / n
    low = gap - length(one.value - one.low, two.high - two.value)
    high = gap + length(one.high - one.value, two.value - two.low)
    return max(low, -1.0), min(high, 1.0)
