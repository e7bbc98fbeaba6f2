"""The randomisation test of paired differences: could their signs be a coin's?"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

_CELLS = 4096
_REACH = 20.0
"""Standard deviations of the sum that the cells span, half of them on each side."""

_LEAST = 1e-12
_COSINES = np.cos(2 * np.pi * np.arange(_CELLS) / _CELLS)


def flipped(differences: NDArray[np.float64]) -> float:
    """The two-sided p-value of the sum of (n,) differences, if every sign was as likely the other.

    Fisher's randomisation test (The Design of Experiments 1935, section 21): the share of the 2^n
    ways to set the signs in which the sum is as far from 0. For differences of one size it is the
    exact sign test; otherwise each is rounded to a 200th of the sum's standard deviation. At least
    1e-12; 1 where nothing differs.
    """
    spread = sqrt(float(np.square(differences).sum()))
    if spread == 0:
        return 1.0
    signed = np.rint(differences * _CELLS / (_REACH * spread)).astype(np.int64)
    sizes, counts = np.unique(np.abs(signed), return_counts=True)
    # The sum's distribution from its characteristic function, of one cosine for each difference.
    turns = np.outer(np.arange(_CELLS // 2 + 1), sizes) % _CELLS
    chances = np.fft.irfft((_COSINES[turns] ** counts).prod(1))
    sums = np.abs(np.fft.fftfreq(_CELLS, 1 / _CELLS))
    return float(np.clip(chances[sums >= abs(signed.sum())].sum(), _LEAST, 1.0))
