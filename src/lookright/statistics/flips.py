"""The randomisation test of paired differences: could their signs be a coin's?"""

import numpy as np
from numpy.typing import NDArray

from lookright.statistics.paired import Paired

_CELLS = 8192
_REACH = 20.0
"""Standard deviations of the sum that the cells span, half of them on each side."""

_SMALL = 20
"""Cells below which a difference is not put on them."""

_FEW = 12
"""Differences of these whose signs are all tried."""

_ROUNDED = 4.0
"""Times the length of what rounding takes from the differences: what it may take from a sum."""

_ALIKE = 1e-6
_LEAST = 1e-12
_COSINES = np.cos(2 * np.pi * np.arange(_CELLS) / _CELLS)


def flipped(differences: NDArray[np.float64]) -> float:
    """The two-sided p-value of the sum of (n,) differences, if every sign was as likely the other.

    Fisher's randomisation test (The Design of Experiments 1935, section 21): the share of the 2^n
    ways to set the signs in which the sum is as far from 0. It is exact for differences of one
    size, the sign test, and for multiples of one unit that is not far below the sum's standard
    deviation (1/400), as thirds of three seeds. Otherwise each of a twentieth of that deviation and
    more is rounded by at most 2.5%, and a sum counts as as far that falls short by what rounding
    may take; of the smaller ones the twelve largest count as they are, and the sum of the others is
    a walk of their variance. At least 1e-12; 1 where nothing differs.
    """
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    sizes = np.abs(differences)
    if np.ptp(sizes) <= 1e-9 * sizes.max():
        more = int((differences > 0).sum())
        return max(_LEAST, Paired(more, len(sizes) - more, len(sizes)).p)
    per_unit = _CELLS / (_REACH * np.sqrt(np.square(differences).sum()))
    unit = _unit(sizes)
    whole = per_unit * unit >= 1
    cells = differences * (np.floor(per_unit * unit) / unit if whole else per_unit)
    small = (np.abs(cells) < _SMALL) & (not whole)
    large = np.rint(cells[~small]).astype(np.int64)
    smaller = np.sort(np.abs(cells[small]))[::-1]
    few, others = smaller[:_FEW], smaller[_FEW:]
    # The distribution of the sum, in cells, from its characteristic function.
    frequencies = np.arange(_CELLS // 2 + 1)
    turns, counts = np.unique(np.abs(large), return_counts=True)
    of_large = (_COSINES[np.outer(frequencies, turns) % _CELLS] ** counts).prod(1)
    variance = np.square(others).sum()
    # A normal finer than the cells would ring through the transform; a walk on them cannot.
    steps = max(1, int(np.ceil(2 * variance)))
    of_others = (1 - variance / steps * (1 - _COSINES[frequencies])) ** steps
    chances = np.fft.fftshift(np.fft.irfft(of_large * of_others))
    sums = np.arange(_CELLS) - _CELLS // 2
    reached = np.append(np.cumsum(chances[::-1])[::-1], 0.0)
    of_few = np.zeros(1)
    for each in few:
        of_few = np.concatenate([of_few + each, of_few - each])
    # Sums of few sizes lie apart by twice the least; half of that lies between two of them.
    between = others.min() + 0.5 if len(others) else 1e-6
    between = max(between, _ROUNDED * float(np.linalg.norm(cells[~small] - large)))
    total = abs(large.sum() + cells[small].sum()) - between
    if total <= 0:
        return 1.0
    p = 2 * reached[np.searchsorted(sums, total - of_few)].mean()
    return float(np.clip(p, _LEAST, 1.0))


def _unit(sizes: NDArray[np.float64]) -> float:
    """The largest number of which all (n,) sizes are multiples, by Euclid's algorithm."""
    least = _ALIKE * sizes.max()
    unit = 0.0
    for size in np.unique(sizes):
        rest = float(size)
        while rest > least:
            unit, rest = rest, abs(unit - rest * round(unit / rest))
    return unit
