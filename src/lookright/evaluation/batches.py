"""The batches of a domain one after the other; memory that runs out halves them."""

import warnings
from collections.abc import Iterator, Sequence

import torch

from lookright.data import ImageData
from lookright.errors import UserError
from lookright.evaluation.judge import Judge, Told
from lookright.evaluation.records import Record, Records


def judged(
    judge: Judge,
    data: ImageData,
    where: Sequence[int],
    kept: Records,
    told: Told,
    home: str | None,
    device: torch.device,
) -> Iterator[Record]:
    """A record for each batch of the domain's samples `where`; those kept are not made again.

    home: the domain that was trained on, in which the same samples are looked up.

    Raises:
        UserError: the memory does not even hold one image.
    """
    number, size = data.domain_index(judge.domain), judge.protocol.batch_size
    twins = _twins(data, judge.domain, where, home)
    start = 0
    while start < len(where):
        record = kept.read(number, start)
        if record is None:
            chosen = slice(start, start + size)
            try:
                batch = data.samples(judge.domain, where[chosen]).to(device)
                twin = data.samples(home, twins[chosen]).to(device) if home and twins else None
                record = judge.see(batch, start, twin, told)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                size = _halved(min(size, len(where) - start), error)
            else:
                kept.write(number, start, record)
        if record is None:
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        start += len(record)
        told(start, "")
        yield record


def out_of_memory(error: Exception) -> bool:
    """Whether an accelerator or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = ("out of memory", "can't allocate memory", "not enough memory")
    return any(words in str(error) for words in said)


def _halved(size: int, error: Exception) -> int:
    if size == 1:
        raise UserError(
            "The memory does not hold the evaluation of a single image: choose smaller images, a "
            "smaller model or another device."
        ) from error
    warnings.warn(
        f"The memory does not hold a batch of {size} images; going on with {size // 2} at once.",
        stacklevel=2,
    )
    return size // 2


def _twins(
    data: ImageData, domain: str, where: Sequence[int], home: str | None
) -> list[int] | None:
    """Where the same samples are in `home`; None where they are not all there."""
    if home is None or home == domain:
        return None
    at = {key: index for index, key in enumerate(data.keys(home))}
    keys = data.keys(domain)
    found = [at.get(keys[index]) for index in where]
    return [index for index in found if index is not None] if None not in found else None
