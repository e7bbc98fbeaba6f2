"""The batches of a domain one after the other, each kept when it is done."""

from collections.abc import Iterator, Sequence

import torch

from lookright.data import ImageData
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
) -> Iterator[BatchResult]:
    """A record for each batch of the domain's samples `where`; those kept are not made again.

    home: the domain that was trained on, in which the same samples are looked up.

    Raises:
        UserError: the memory does not even hold one image.
    """
    size, start = BatchSize(judge.protocol.batch_size), 0
    twins = _twins(data, judge.domain, where, home)

    def seen(count: int) -> BatchResult:
        chosen = slice(start, start + count)
        batch = data.samples(judge.domain, where[chosen]).to(device)
        twin = data.samples(home, twins[chosen]).to(device) if home and twins else None
        return judge.see(batch, start, twin, told)

    while start < len(where):
        record = kept.read(start)
        if record is None:
            record = size.fit(seen, len(where) - start)
            kept.write(start, record)
        start += len(record)
        told(start, "")
        yield record


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
