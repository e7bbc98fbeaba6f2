"""Memory shared by a process and the workers forked from it."""

import mmap
from math import prod
from typing import Self

import torch
from torch import Tensor


class SharedRows:
    """Rows of uint8, each available once any process has stored it.

    Worker processes forked after its creation share the rows, so that an image is decoded only
    once, by any of them. Memory is allocated page by page as rows are stored. A copy that was
    pickled to another process is empty and stores nothing.
    """

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self.count, self.shape = count, shape
        self._put = mmap.mmap(-1, max(1, count))
        self._memory = mmap.mmap(-1, max(1, count * prod(shape)))
        values = torch.frombuffer(self._memory, dtype=torch.uint8)
        self._rows = values[: count * prod(shape)].view(count, *shape)

    def get(self, row: int) -> Tensor | None:
        """The row, or None if it is not stored; it is shared, so do not write to it."""
        return self._rows[row] if row < self.count and self._put[row] else None

    def put(self, row: int, values: Tensor) -> None:
        if row < self.count:
            self._rows[row] = values
            self._put[row] = 1

    def __reduce__(self) -> tuple[type[Self], tuple[int, tuple[int, ...]]]:
        return type(self), (0, self.shape)
