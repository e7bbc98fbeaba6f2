"""What was found of each batch, on disk until the result is there: a kill loses one batch."""

import json
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

from lookright.data.dataset import hashed
from lookright.evaluation.column import LABEL
from lookright.files import write_atomically

PARTIAL = "partial"


@dataclass(frozen=True)
class BatchResult:
    """What was found of one batch: a row for each image by name, and what is shown of the first."""

    values: dict[str, Tensor]
    shown: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values[LABEL.name])


class BatchCache:
    """The records of one domain in `folder`/partial, by identity and first image; none without it.

    A domain of another model, other data or another protocol has another identity, and finds none
    of them.
    """

    def __init__(self, folder: Path | None, identity: Mapping[str, Any]) -> None:
        name = hashed(json.dumps(identity, sort_keys=True))
        self.folder = None if folder is None else folder / PARTIAL / name

    def read(self, start: int) -> BatchResult | None:
        """None where there is none, or none that can be read."""
        if self.folder is None:
            return None
        try:
            with np.load(_path(self.folder, start), allow_pickle=False) as arrays:
                parts: dict[str, dict[str, Tensor]] = {"values": {}, "shown": {}}
                for name in arrays.files:
                    part, _, key = name.partition("/")
                    parts[part][key] = torch.from_numpy(arrays[name])
                return BatchResult(**parts)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, start: int, record: BatchResult) -> None:
        """Atomically."""
        if self.folder is None:
            return
        file = BytesIO()
        arrays: dict[str, Any] = {
            f"{part}/{name}": value.numpy()
            for part, of in (("values", record.values), ("shown", record.shown))
            for name, value in of.items()
        }
        np.savez(file, **arrays)
        write_atomically(_path(self.folder, start), file.getvalue())


def _path(folder: Path, start: int) -> Path:
    return folder / f"{start:06d}.npz"


def forget(folder: Path) -> None:
    """No records any more: the result is there."""
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)


def joined(records: Sequence[BatchResult]) -> dict[str, Tensor]:
    """The values of all images by name; a name that a batch lacks, as of masks, has fewer rows."""
    names = dict.fromkeys(name for record in records for name in record.values)
    return {
        name: torch.cat([record.values[name] for record in records if name in record.values])
        for name in names
    }
