"""Batch sizes that fit in memory: halved whenever it runs out."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import shorten
from typing import TypeVar

import torch

from lookright.errors import UserError

T = TypeVar("T")

_SAID = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "ALLOC_FAILED",
    "could not create a primitive",  # oneDNN on a CPU, for any missing resource
)


@dataclass
class BatchSize:
    """The number of images per batch; halved, with a warning, whenever memory runs out.

    Raises:
        UserError: a number below 1.
    """

    images: int

    def __post_init__(self) -> None:
        if self.images < 1:
            raise UserError(f"batch_size must be 1 or more, got {self.images}.")

    def fit(self, work: Callable[[int], T], left: int) -> T:
        """The result of `work(count)`, with as many of the `left` images as fit in memory.

        Raises:
            UserError: not even a single image fits.
        """
        while True:
            count = min(self.images, left)
            try:
                return work(count)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                if count == 1:
                    said = shorten(str(error), 100) or type(error).__name__
                    raise UserError(
                        f"The memory is too small for a single image ({said}): choose "
                        "smaller images, a smaller model or another device."
                    ) from error
            # Outside the except block the error no longer keeps the batch's tensors alive.
            self.images = count // 2
            warnings.warn(
                f"The memory is too small for a batch of {count} images; going on with "
                f"{self.images} at once.",
                stacklevel=2,
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def out_of_memory(error: Exception) -> bool:
    """Whether the error says that an accelerator or the machine ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _SAID)
