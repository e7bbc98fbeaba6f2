"""As many images at once as the memory holds: where it runs out, half as many."""

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
    "could not create a primitive",  # oneDNN on a CPU, whatever it lacks
)


@dataclass
class BatchSize:
    """How many images at once; halved, with a warning, whenever the memory does not hold them.

    Raises:
        UserError: less than one.
    """

    images: int

    def __post_init__(self) -> None:
        if self.images < 1:
            raise UserError(f"batch_size must be 1 or more, got {self.images}.")

    def fit(self, work: Callable[[int], T], left: int) -> T:
        """What `work` gives, called with a number of images: of the `left` ones as many as fit.

        Raises:
            UserError: the memory does not even hold one image.
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
                        f"The memory does not hold the work on a single image ({said}): choose "
                        "smaller images, a smaller model or another device."
                    ) from error
            # Out here the error is gone, and with it what it kept of the batch.
            self.images = count // 2
            warnings.warn(
                f"The memory does not hold a batch of {count} images; going on with {self.images} "
                "at once.",
                stacklevel=2,
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def out_of_memory(error: Exception) -> bool:
    """Whether an accelerator or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _SAID)
