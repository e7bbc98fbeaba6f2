"""What was found of each batch, on disk until the result is there: a kill loses one batch."""

import hashlib
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

from lookright.files import write_atomically


@dataclass(frozen=True)
class Record:
    """What was found of one batch: a row for each image by name, and what is shown of the first."""

    values: dict[str, Tensor]
    shown: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.values["labels"])


class Records:
    """The records of one evaluation in `folder`/partial, by its identity, domain and first image.

    An evaluation of another model, data or protocol has another identity, and finds none of them.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        self.parent = folder / "partial"
        self.folder = self.parent / name

    def read(self, domain: int, start: int) -> Record | None:
        """None where there is none, or none that can be read."""
        try:
            with np.load(self._path(domain, start), allow_pickle=False) as arrays:
                parts: dict[str, dict[str, Tensor]] = {"values": {}, "shown": {}}
                for name in arrays.files:
                    part, _, key = name.partition("/")
                    parts[part][key] = torch.from_numpy(arrays[name])
                return Record(**parts)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, domain: int, start: int, record: Record) -> None:
        """Atomically."""
        file = BytesIO()
        arrays: dict[str, Any] = {
            f"{part}/{name}": value.numpy()
            for part, of in (("values", record.values), ("shown", record.shown))
            for name, value in of.items()
        }
        np.savez(file, **arrays)
        write_atomically(self._path(domain, start), file.getvalue())

    def clear(self) -> None:
        """Forget everything: the result is there."""
        shutil.rmtree(self.parent, ignore_errors=True)

    def _path(self, domain: int, start: int) -> Path:
        return self.folder / f"{domain}-{start:06d}.npz"


def joined(records: Sequence[Record]) -> dict[str, Tensor]:
    """The values of all images by name; a name that a batch lacks, as of masks, has fewer rows."""
    names = dict.fromkeys(name for record in records for name in record.values)
    return {
        name: torch.cat([record.values[name] for record in records if name in record.values])
        for name in names
    }
