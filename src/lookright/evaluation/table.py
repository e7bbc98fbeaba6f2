"""The values of every image, beside the result: `images.csv.gz`, which pandas reads.

Each image has a row: its `domain`, its key as `image`, its `label` and the `predicted` class, both
as numbers in the order of the result's classes, and then the values that the stages computed. A
value stands in the column of its measure's key, that of a baseline in `key@random` or `key@centre`.
True is 1; an undefined value is empty. In names, control characters are escaped (`visible`).
"""

import csv
import gzip
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lookright.errors import UserError
from lookright.files import as_path, verified, write_atomically
from lookright.untrusted import unzipped
from lookright.visible import visible

FILE = "images.csv.gz"
_DOMAIN, _TEXT, _WHOLE = "domain", ("image",), ("label", "predicted")

Rows = Mapping[str, NDArray[Any]]
"""The table of one domain: columns of one length by name."""


def write_table(folder: Path, domains: Mapping[str, Rows]) -> None:
    """Replace the table in that folder, atomically; floats are written exactly."""
    tables = {
        domain: {name: cells for name, of in rows.items() if any(cells := _cells(of))}
        for domain, rows in domains.items()
    }
    names = list(dict.fromkeys(name for table in tables.values() for name in table))
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_DOMAIN, *names])
    for domain, table in tables.items():
        empty = [""] * len(table["image"])
        for row in zip(*(table.get(name, empty) for name in names), strict=True):
            writer.writerow([visible(domain), *row])
    packed = gzip.compress(text.getvalue().encode(), mtime=0)
    write_atomically(folder / FILE, packed)


def read_table(folder: Path | str) -> dict[str, dict[str, NDArray[Any]]]:
    """The columns of each domain, by its visible name; those empty in all of it are left out.

    `image` is text, `label` and `predicted` are int64, every other one float64 with NaN where it is
    not defined.

    Raises:
        UserError: there is no table, or it is damaged.
    """
    folder = as_path(folder)
    path = folder / FILE
    try:
        text = unzipped(verified(path)).decode("utf-8")
        names, *rows = list(csv.reader(StringIO(text, newline="")))
        return {
            domain: _columns(names[1:], [row[1:] for row in of])
            for domain, of in groupby(rows, key=itemgetter(0))
        }
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(
            f"Expected the values of every image in {path}, but it cannot be read ({error}): "
            "evaluate the model again, with --overwrite."
        ) from error


def _cells(values: NDArray[Any]) -> list[str]:
    if values.dtype.kind in "biu":
        return [str(int(value)) for value in values.tolist()]
    if values.dtype.kind == "f":
        return [
            "" if value != value else repr(value).removesuffix(".0") for value in values.tolist()
        ]
    return [visible(text) for text in values.tolist()]


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
    found = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if name in _TEXT:
            found[name] = np.array(cells, dtype=np.str_)
        elif name in _WHOLE:
            found[name] = np.array(cells, dtype=np.int64)
        elif any(cells):
            found[name] = np.array([cell or "nan" for cell in cells], dtype=np.float64)
    return found
