"""Memory that a process and the workers forked from it fill and read together."""

import mmap
from math import prod
from typing import Self

import torch
from torch import Tensor


class SharedRows:
    """Rows of uint8, each there once some process has put it.

    Worker processes forked after it was made see each other's rows, so that an image is decoded
    once, whichever worker does it; the memory is taken page by page, as rows come. A copy in a
    process that was not forked, but got it sent, holds nothing and keeps nothing.
    """

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.count, self.shape = count, shape
        self._put = mmap.mmap(-1, max(1, count))
        self._memory = mmap.mmap(-1, max(1, count * prod(shape)))
        values = torch.frombuffer(self._memory, dtype=torch.uint8)
        self._rows = values[: count * prod(shape)].view(count, *shape)

    def get(self, row: int) -> Tensor | None:
        """The row, where it is there; it is shared, so do not write to it."""
        return self._rows[row] if row < self.count and self._put[row] else None

    def put(self, row: int, values: Tensor) -> None:
        if row < self.count:
            self._rows[row] = values
            self._put[row] = 1

    def __reduce__(self) -> tuple[type[Self], tuple[int, tuple[int, ...]]]:
        return type(self), (0, self.shape)
