"""The values of each batch, on disk until the result is written: a kill loses one batch."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lookright.evaluation.result import DAMAGED
from lookright.files import inside, regular, write_atomically
from lookright.spec import identity
from lookright.untrusted import npz

PARTIAL = ".partial-batches"

_SEAL = hashlib.sha256().digest_size
"""Bytes of the hash at the end of a record, which may be cut short by a power failure."""


@dataclass(frozen=True)
class BatchResult:
    """The values of one batch, by column and with a row for each image, and its first images.

    judged: (B,) bool; the images that have no row could not be read, or gave no finite logits.
    """

    values: dict[str, Tensor]
    shown: dict[str, Tensor]
    judged: Tensor

    def __len__(self) -> int:
        return len(self.judged)


class BatchCache:
    """The records of one domain, in `PARTIAL` of the folder; without a folder nothing is kept.

    Each is found by `asked` and the number of its first image. Another model, other data or
    another protocol asks for something else, so its records are not mixed up with these.
    """

    def __init__(self, folder: Path | None, asked: Mapping[str, Any]) -> None:
        name = identity(asked)
        self.folder = None if folder is None else inside(folder, f"{PARTIAL}/{name}/0").parent

    def read(self, start: int) -> BatchResult | None:
        """The record that starts at this image; None if there is none or it cannot be read."""
        if self.folder is None:
            return None
        try:
            if not _sealed(_path(self.folder, start)):
                return None
            with npz(_path(self.folder, start)) as arrays:
                parts: dict[str, dict[str, Tensor]] = {"values": {}, "shown": {}, "of": {}}
                for name in arrays:
                    part, _, key = name.partition("/")
                    parts[part][key] = torch.from_numpy(arrays[name])
                return BatchResult(parts["values"], parts["shown"], parts["of"]["judged"])
        except (*DAMAGED, MemoryError):
            return None

    def write(self, start: int, record: BatchResult) -> None:
        """Atomically."""
        if self.folder is None:
            return
        file = BytesIO()
        arrays: dict[str, Any] = {
            f"{part}/{name}": value.numpy()
            for part, of in (
                ("values", record.values),
                ("shown", record.shown),
                ("of", {"judged": record.judged}),
            )
            for name, value in of.items()
        }
        np.savez(file, **arrays)
        content = file.getvalue() + hashlib.sha256(file.getvalue()).digest()
        write_atomically(_path(self.folder, start), content, durable=False)


def _sealed(path: Path) -> bool:
    """Whether a record ends with the hash of what comes before it."""
    content = regular(path).read_bytes()
    return hashlib.sha256(content[:-_SEAL]).digest() == content[-_SEAL:]


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:06d}.npz"


def forget(folder: Path) -> None:
    """Delete the records, once the result is written."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def joined(records: Sequence[BatchResult]) -> dict[str, Tensor]:
    """The values of all images by column. A column that some batches lack, such as those about
    masks, has fewer rows."""
    names = dict.fromkeys(name for record in records for name in record.values)
    return {
        name: torch.cat([record.values[name] for record in records if name in record.values])
        for name in names
    }
