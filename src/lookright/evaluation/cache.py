"""The values of each batch, on disk until the result is written: a kill loses one batch."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from lookright.files import write_atomically
from lookright.spec import identity
from lookright.untrusted import npz

PARTIAL = "partial"


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
    """The records of one domain in `folder`/partial; without a folder nothing is kept.

    Each is found by `asked` and the number of its first image. Another model, other data or
    another protocol asks for something else, so its records are not mixed up with these.
    """

    def __init__(self, folder: Path | None, asked: Mapping[str, Any]) -> None:
        name = identity(asked)
        self.folder = None if folder is None else folder / PARTIAL / name

    def read(self, start: int) -> BatchResult | None:
        """The record that starts at this image; None if there is none or it cannot be read."""
        if self.folder is None:
            return None
        try:
            with npz(_path(self.folder, start)) as arrays:
                parts: dict[str, dict[str, Tensor]] = {"values": {}, "shown": {}, "of": {}}
                for name in arrays:
                    part, _, key = name.partition("/")
                    parts[part][key] = torch.from_numpy(arrays[name])
                return BatchResult(parts["values"], parts["shown"], parts["of"]["judged"])
        except (OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile):
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
        write_atomically(_path(self.folder, start), file.getvalue())


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
