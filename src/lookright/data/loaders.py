"""Loading from disk to device: worker processes decode, and batches are prefetched as uint8."""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Sampler

from lookright.batch import Batch, collate
from lookright.data.dataset import Split
from lookright.errors import UserError

_MOST_WORKERS: Final = 4
_WORTH_WORKERS: Final = 256
"""Number of images to decode from which starting worker processes pays off."""


class Loader(DataLoader[Batch]):
    """A DataLoader that raises a worker's UserError as one line, without its traceback.

    waited: the seconds in which batches were asked for and not yet there.
    """

    waited: float = 0.0

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        asked = time.perf_counter()
        try:
            for batch in super().__iter__():
                self.waited += time.perf_counter() - asked
                yield batch
                asked = time.perf_counter()
        except UserError as error:
            *wrapped, last = str(error).strip().splitlines()
            raise (type(error)(last.partition(": ")[2]) if wrapped else error) from None


def stored_loader(
    part: Split,
    batch_size: int,
    device: torch.device,
    workers: int | None = None,
    sampler: Sampler[int] | None = None,
    drop_last: bool = False,
) -> Loader:
    """A loader of the batches of a part as `ImageData.stored` gives them, uint8 if possible.

    `Batch.to(device)` then makes them float32. For a CUDA device the batches are in pinned memory,
    so that copies are asynchronous. workers: the number of decoding processes; None is
    `default_workers`.
    """
    check_workers(workers)
    workers = default_workers(part) if workers is None else workers
    return Loader(
        part.as_stored(),
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context=_context() if workers else None,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),
    )


def check_workers(workers: int | None) -> None:
    """Raises UserError for fewer than no processes."""
    if workers is not None and workers < 0:
        raise UserError(f"workers is a number of processes, 0 or more; got {workers}.")


def default_workers(part: Split) -> int:
    """One process per core, at most four, if many images have to be decoded; otherwise none."""
    waiting = part.data.undecoded(tuple(dict.fromkeys(domain for domain, _ in part.where)))
    if min(waiting, len(part)) < _WORTH_WORKERS:
        return 0
    return min(_MOST_WORKERS, _cores())


def to_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Each batch on the device; the next batch is copied while the current one is processed.

    An error in reading a batch is raised after the batches before it were processed.
    """
    moved = (batch.to(device) for batch in batches)
    ready = next(moved, None)
    while ready is not None:
        ahead: Batch | None = None
        failure: Exception | None = None
        try:
            ahead = next(moved, None)
        except Exception as error:
            failure = error
        yield ready
        if failure is not None:
            raise failure
        ready = ahead


def _context() -> str | None:
    """The start method of workers: fork if that is safe, so that they share `SharedRows`."""
    return "fork" if sys.platform == "linux" else None


def _cores() -> int:
    """The number of cores that this process may use."""
    counted: Any = getattr(os, "process_cpu_count", None)
    if counted is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (counted or os.cpu_count)() or 1
