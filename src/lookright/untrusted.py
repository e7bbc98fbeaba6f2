"""Reading what somebody else may have written, without the memory that it could ask for."""

import gzip
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

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


def content(path: Path, most: int = LARGEST) -> bytes:
    """The bytes of a file.

    Raises:
        ValueError: there are more than `most`; OSError: it cannot be read.
    """
    with regular(path).open("rb") as file:
        large = os.fstat(file.fileno()).st_size > most
        found = b"" if large else file.read(most + 1)
    if large or len(found) > most:
        raise ValueError(f"it is larger than {most >> 20} MiB")
    return found


def parsed_xml(text: bytes) -> Element:
    """The outermost element of an XML text, which declares no entities and names no other file.

    Raises:
        ValueError: it is no XML, or has a document type, in which both could be.
    """
    parser, tree = expat.ParserCreate(), TreeBuilder()
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text, True)
        return tree.close()
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"it is no XML: {error}") from error


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it has a document type (<!DOCTYPE ...>): remove that")


def _check(size: int) -> None:
    if size > LARGEST:
        raise ValueError(f"it unpacks to more than {LARGEST >> 20} MiB")
