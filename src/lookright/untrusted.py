"""Reading what somebody else may have written, without the memory or time that it could ask for."""

import gzip
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

LARGEST: Final = 2**30
"""Bytes that a packed file may unpack to."""

_NODES: Final = 1_000_000


@contextmanager
def npz(path: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an .npz file, each read when it is asked for; no pickles.

    Raises:
        ValueError: it unpacks to more than LARGEST; and the errors of `numpy.load`.
    """
    with zipfile.ZipFile(path) as archive:
        _check(sum(each.file_size for each in archive.infolist()))
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays


def unzipped(path: Path) -> bytes:
    """The content of a .gz file.

    Raises:
        ValueError: it unpacks to more than LARGEST; and the errors of `gzip.open`.
    """
    with gzip.open(path) as file:
        content = file.read(LARGEST + 1)
    _check(len(content))
    return content


def yaml_of(text: str) -> Any:
    """The plain values of a YAML or JSON text.

    Raises:
        yaml.YAMLError: it is none, or has a part inside itself or too deep in others, or unfolds to
            more than a million values.
    """
    try:
        found = yaml.safe_load(text)
        _count(found, 0, ())
    except RecursionError as error:
        raise yaml.YAMLError("its parts lie too deep in each other") from error
    return found


def _count(value: Any, before: int, inside: tuple[int, ...]) -> int:
    """The number of values, counted after `before`; inside: the ids of what holds this value."""
    if id(value) in inside:
        raise yaml.YAMLError("a part of it lies inside itself")
    count = before + 1
    if count > _NODES:
        raise yaml.YAMLError(f"it unfolds to more than {_NODES} values")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            count = _count(each, count, (*inside, id(value)))
    return count


def _check(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"it unpacks to more than {LARGEST >> 20} MiB")
