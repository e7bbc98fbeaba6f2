"""From disk to device: decoding in worker processes, uint8 until the device, one batch ahead."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, Final

import torch
from torch.utils.data import DataLoader, Sampler

from lookright.batch import Batch, collate
from lookright.data.dataset import Split
from lookright.errors import UserError

_MOST_WORKERS: Final = 4
_WORTH_WORKERS: Final = 256
"""Images to be decoded from which on starting worker processes is worth the time it takes."""


class Loader(DataLoader[Batch]):
    """A DataLoader whose workers' mistakes of the user's are one line, without their traceback."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        try:
            yield from super().__iter__()
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
    """Batches of a part on their way to `device`: as `ImageData.stored` has them, uint8 if it can.

    They are for `Batch.to(device)`, which makes floats of them. For a CUDA device they are in
    pinned memory, so that their copies do not keep the processor waiting. workers: processes that
    decode; None is `default_workers`.
    """
    workers = default_workers(part) if workers is None else workers
    return Loader(
        part.as_stored(),
        batch_size=batch_size,
        sampler=sampler,
        drop_last=drop_last,
        collate_fn=collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),
    )


def default_workers(part: Split) -> int:
    """One process a core, up to four, where many images are to be decoded; else none."""
    waiting = part.data.undecoded(tuple(dict.fromkeys(domain for domain, _ in part.where)))
    if min(waiting, len(part)) < _WORTH_WORKERS:
        return 0
    return min(_MOST_WORKERS, _cores())


def to_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Each batch on the device; while it is worked on, the next one is on its way there.

    One that cannot be read is told after those before it were worked on.
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


def _cores() -> int:
    """The cores that this process may use."""
    counted: Any = getattr(os, "process_cpu_count", None)
    if counted is None and hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return (counted or os.cpu_count)() or 1
