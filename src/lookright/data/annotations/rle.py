"""Run-length encoding as COCO has it: the lengths of runs of pixels outside and inside in turn.

The first run is outside, and the pixels go down the first column, then down the next ones.

In the compressed form, each length is the difference to the last but one (from the fourth on), and
is written in groups of five bits, the lowest first, one printable character for each: its code less
48 holds the group, and in 32 whether another one follows; the sign is that of the last group. This
is not left to pycocotools, which reads beyond the end of a damaged text.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_LONGEST: Final = 40
"""Bits of a length: no image has more pixels."""


def runs_of(pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The lengths of the runs of pixels (H, W)."""
    flat = pixels.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    start = [0, 0] if flat[:1].any() else [0]
    ends = np.concatenate([start, changes, [flat.size]]).astype(np.int64)
    return ends[1:] - ends[:-1]


def pixels_of(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels (height, width) of runs whose lengths are together height * width."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def read_runs(counts: object, height: int, width: int) -> NDArray[np.int64]:
    """The lengths of the runs as a file has them, as a list of numbers or compressed.

    Raises:
        ValueError: they are neither, or are not together height * width.
    """
    listed = _decompressed(counts) if isinstance(counts, str) else counts
    if not isinstance(listed, list) or not all(type(run) is int and run >= 0 for run in listed):
        raise ValueError("its counts are not the lengths of runs")
    if sum(listed) != height * width:
        raise ValueError(
            f"its counts are together {sum(listed)}, not {height} x {width} = {height * width}"
        )
    return np.array(listed, np.int64)


def _decompressed(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for group in (ord(character) - 48 for character in text):
        if not 0 <= group < 64 or shift > _LONGEST:
            raise ValueError("its counts are not the compressed lengths of runs")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("its counts end in the middle of a length")
    return runs
