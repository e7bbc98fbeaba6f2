"""Evaluates the batches of a domain one after the other, and keeps each when it is done."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import repeat

import torch

from lookright.batch import Batch
from lookright.data import ImageData, Split
from lookright.data.loaders import stored_loader, to_device
from lookright.evaluation.cache import BatchCache, BatchResult
from lookright.evaluation.evaluator import Evaluator, Told
from lookright.memory import BatchSize


def judged(
    judge: Evaluator,
    data: ImageData,
    where: Sequence[int],
    kept: BatchCache,
    told: Told,
    home: str | None,
    device: torch.device,
    workers: int | None = None,
) -> Iterator[BatchResult]:
    """A record for each batch of the domain's samples `where`; kept ones are not evaluated again.

    home: the training domain, in which the same samples are looked up. workers: processes that
    decode images, as in `stored_loader`.

    Raises:
        UserError: not even one image fits into memory.
    """
    size = BatchSize(judge.protocol.batch_size)
    found = list(_kept(kept, len(where), size.images))
    missing = [
        at for start, count, record in found for at in range(start, start + count) if record is None
    ]
    twins = _twins(data, judge.domain, where, home)

    def loaded(domain: str, positions: Sequence[int]) -> Iterator[Batch]:
        part = Split(data, [(domain, positions[at]) for at in missing], forgiving=True)
        return to_device(stored_loader(part, judge.protocol.batch_size, device, workers), device)

    batches = loaded(judge.domain, where)
    others: Iterator[Batch | None] = loaded(home, twins) if home and twins else repeat(None)
    for start, count, record in found:
        if record is not None:
            told(start + count, "")
            yield record
            continue
        batch, twin = next(batches), next(others)
        done = 0
        while done < count:
            at = slice(done, count)
            rest = batch.select(at), twin.select(at) if twin else None
            record = size.fit(partial(_seen, judge, *rest, start + done, told), count - done)
            kept.write(start + done, record)
            done += len(record)
            told(start + done, "")
            yield record


def _kept(kept: BatchCache, total: int, size: int) -> Iterator[tuple[int, int, BatchResult | None]]:
    """Each batch's first image, how many it has, and its record where there is one."""
    start = 0
    while start < total:
        record = kept.read(start)
        if record is not None and not 0 < len(record) <= total - start:
            record = None
        count = min(size, total - start) if record is None else len(record)
        yield start, count, record
        start += count


def _seen(
    judge: Evaluator, batch: Batch, twin: Batch | None, start: int, told: Told, count: int
) -> BatchResult:
    """Evaluate the first `count` images of a batch."""
    first = slice(count)
    return judge.see(batch.select(first), start, twin.select(first) if twin else None, told)


def _twins(
    data: ImageData, domain: str, where: Sequence[int], home: str | None
) -> list[int] | None:
    """The positions of the same scenes in `home`; None unless all of them are there, or where a
    sample of the same key is the same image."""
    keys = data.keys(domain)
    if home is None or home == domain or keys == data.contents(domain):
        return None
    at = {key: index for index, key in enumerate(data.keys(home))}
    found = [at.get(keys[index]) for index in where]
    return [index for index in found if index is not None] if None not in found else None
