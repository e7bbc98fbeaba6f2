"""Filling the outline of a polygon."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lookright.errors import UserError

MOST_CROSSINGS: Final = 10**8
"""How often an outline may cross the rows of an image; a real one does so some thousand times."""

_AT_ONCE: Final = 2**20


def fill(mask: NDArray[np.bool_], outline: NDArray[np.float64]) -> None:
    """Set the pixels in a mask (H, W) whose centres are inside of an outline (N, 2) of x and y.

    Inside is where a ray to the left crosses the outline an odd number of times. Each edge is
    crossed by the rows whose centres are at its upper end or below, and above its lower end.

    Raises:
        UserError: it crosses the rows more than MOST_CROSSINGS times.
    """
    height, width = mask.shape
    ends = np.stack([outline, np.roll(outline, -1, 0)])
    upper = ends[:, :, 1].argmin(0)
    each = np.arange(len(outline))
    (x, y), (x_low, y_low) = ends[upper, each].T, ends[1 - upper, each].T
    first, last = (np.clip(np.ceil(at - 0.5), 0, height).astype(np.int64) for at in (y, y_low))
    if (crossings := int((last - first).sum())) > MOST_CROSSINGS:
        raise UserError(
            f"Expected outlines that cross the rows of an image up to {MOST_CROSSINGS:,} times; "
            f"one of {len(outline):,} points does so {crossings:,} times: correct it."
        )
    if not crossings:
        return
    top, bottom = int(first.min()), int(last.max())
    flips = np.zeros((bottom - top, width + 1), bool)
    for edges, rows in _crossings(first, last):
        slope = (x_low[edges] - x[edges]) / (y_low[edges] - y[edges])
        at = x[edges] + (rows + 0.5 - y[edges]) * slope
        columns = np.clip(np.ceil(at - 0.5), 0, width).astype(np.int64)
        np.logical_xor.at(flips, (rows - top, columns), True)
    mask[top:bottom] |= np.logical_xor.accumulate(flips, 1)[:, :width]


def _crossings(
    first: NDArray[np.int64], last: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Each edge with each of its rows from first to last - 1, about _AT_ONCE of them at a time."""
    counts = last - first
    sums = np.cumsum(counts)
    parts = np.searchsorted(sums, np.arange(_AT_ONCE, sums[-1], _AT_ONCE)) + 1
    for edges in np.split(np.arange(len(first)), np.unique(parts)):
        some = counts[edges]
        start = np.repeat(first[edges] - np.cumsum(some) + some, some)
        yield np.repeat(edges, some), start + np.arange(some.sum())
