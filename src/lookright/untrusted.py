"""Reading what somebody else may have written, without the memory that it could ask for."""

import gzip
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lookright.files import regular

LARGEST: Final = 2**30
"""Bytes that a packed file may unpack to."""


@contextmanager
def npz(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an .npz file, each read when it is asked for; no pickles.

    Raises:
        ValueError: it unpacks to more than LARGEST; and the errors of `numpy.load`.
    """
    with zipfile.ZipFile(regular(path)) as archive:
        _check(sum(each.file_size for each in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def unzipped(path: Path) -> bytes:
    """The content of a .gz file.

    Raises:
        ValueError: it is damaged, or unpacks to more than LARGEST; OSError: it cannot be read.
    """
    try:
        with gzip.open(regular(path)) as file:
            content = file.read(LARGEST + 1)
    except (zlib.error, EOFError) as error:
        raise ValueError(str(error)) from error
    _check(len(content))
    return content


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _check(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"it unpacks to more than {LARGEST >> 20} MiB")
