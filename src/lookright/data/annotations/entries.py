"""What the readers of all formats share: files into entries, and entries into shapes.

A file that is damaged, or of another format, is refused if it was named, and counted among others
of a folder. An entry that cannot be read is counted, and so is one without area, such as a point.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from lookright.data.annotations.annotated import Annotated
from lookright.data.annotations.shapes import Box, Polygon, Shape
from lookright.errors import UserError
from lookright.untrusted import content, parsed_xml

T = TypeVar("T")

LARGEST_OF_IMAGE: Final = 2**26
"""Bytes of the file of one image."""

MOST_POINTS: Final = 10**6
"""Points of an outline."""

FARTHEST: Final = 1e7
"""Pixels that a coordinate may be away from the corner of the image."""


class NoAreaError(ValueError):
    """An entry without area; the message says what it is: "a point"."""


def annotated(
    image: str,
    size: tuple[int, int] | None,
    entries: Iterable[T],
    shape: Callable[[T], Shape],
    ignored: tuple[Shape, ...] = (),
) -> Annotated:
    """The shapes of the entries of an image; `shape` raises ValueError for one that has none.

    Folders in the image's name may be divided as on Windows.
    """
    shapes: list[Shape] = []
    passed_over: list[str] = []
    unread: list[str] = []
    for number, entry in enumerate(entries, 1):
        try:
            shapes.append(shape(entry))
        except NoAreaError as error:
            passed_over.append(str(error))
        except ValueError as error:
            unread.append(f"entry {number}: {error}")
    name = image.replace("\\", "/")
    return Annotated(name, size, tuple(shapes), ignored, tuple(passed_over), tuple(unread))


def each_file(
    path: Path,
    suffix: str,
    what: str,
    read: Callable[[Path], Annotated],
    without: tuple[str, ...] = (),
) -> Iterator[Annotated]:
    """The annotations of a file, or of all files with that suffix below a folder.

    An image that is named without its folder is taken to lie in one called as that of the file.

    without: names of files in the folder that are no annotations.

    Raises:
        UserError: the folder has none, or the file cannot be read; one of several in a folder that
            cannot be read is `unread`.
    """
    if not path.is_dir():
        yield named(path, what, read)
        return
    files = [file for file in files_below(path, suffix) if file.name not in without]
    if not files:
        raise UserError(f"Expected {what} in '{path}'; it has no {suffix} file: name their folder.")
    for file in files:
        try:
            found = read(file)
            folder = file.parent.relative_to(path).as_posix()
            known = "/" in found.image or folder == "."
            yield found if known else replace(found, image=f"{folder}/{found.image}")
        except (ValueError, OSError, UserError) as error:
            yield Annotated(file.stem, None, (), unread=(f"'{file}': {error}",))


def each_xml(
    path: Path, what: str, of: Callable[[Element, Path], Annotated]
) -> Iterator[Annotated]:
    """`each_file` of XML; `of` gives the annotations in the outermost element of a file."""
    yield from each_file(
        path, ".xml", what, lambda file: of(parsed_xml(content(file, LARGEST_OF_IMAGE)), file)
    )


def named(path: Path, what: str, read: Callable[[Path], T]) -> T:
    """What `read` finds in a file that the user has named.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read(path)
    except (ValueError, OSError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(
            f"Expected {what} in '{path}'; {why}: name another file, or export it again."
        ) from error


def files_below(folder: Path, *suffixes: str) -> list[Path]:
    """The files with one of these suffixes below a folder, without hidden ones, sorted."""
    found = []
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        found += [
            Path(at, name)
            for name in files
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    return sorted(found)


def field(entry: object, key: str, kind: type[T]) -> T:
    """The value of a key of a JSON object, of that type; raises ValueError without it."""
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"expected '{key}' as {_WORDS[kind]}, got {shortened(value)}")
    return value


_WORDS: Final[Mapping[type, str]] = {str: "text", int: "a whole number", list: "a list"}


def shortened(value: object) -> str:
    """The value for a message, at most forty characters of it."""
    text = repr(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}..."


def numbers(values: object, columns: int | None = None) -> NDArray[np.float64]:
    """Finite numbers (N,), or (N, columns), none of them out of reach; ValueError for others."""
    expected = "numbers" if columns is None else f"lists of {columns} numbers"
    inner = () if columns is None else (columns,)
    try:
        found = np.array(values)
    except ValueError:  # lists of different lengths
        raise ValueError(f"expected {expected}, got lists of different lengths") from None
    if found.dtype.kind not in "iuf" or found.ndim == 0 or found.shape[1:] != inner:
        raise ValueError(f"expected {expected}, got {shortened(values)}")
    if not (np.abs(found) <= FARTHEST).all():
        raise ValueError(f"expected {expected} from -10^7 to 10^7, got others")
    return found.astype(np.float64)


def number(text: str | None) -> float:
    """A number written as text; raises ValueError for other text, and for one out of reach."""
    try:
        return float(numbers([float(text or "")])[0])
    except ValueError:
        raise ValueError(f"expected a number up to 10^7, got {shortened(text)}") from None


def text_of(entry: Element, name: str) -> str:
    """The text in an element within another one; raises ValueError if there is none."""
    if text := (entry.findtext(name) or "").strip():
        return text
    raise ValueError(f"it has no <{name}>")


def size_of(height: object, width: object) -> tuple[int, int] | None:
    """The size of an image; None if it is not given as two whole numbers above 0."""
    try:
        sides = numbers([float(str(height)), float(str(width))])
    except ValueError:
        return None
    rows, columns = sides.round().astype(int).tolist()
    return (rows, columns) if (sides == (rows, columns)).all() and min(rows, columns) > 0 else None


def box(label: str, left: float, top: float, right: float, bottom: float) -> Box:
    """The box with these edges; NoAreaError if there is nothing in it."""
    if left >= right or top >= bottom:
        raise NoAreaError("a box without area")
    return Box(label, float(left), float(top), float(right), float(bottom))


def polygon(label: str, outlines: Iterable[NDArray[np.float64]]) -> Polygon:
    """The polygon of outlines (2N,) or (N, 2); NoAreaError if none has three points."""
    rings = [np.reshape(outline, (-1, 2)) for outline in outlines]
    if any(len(ring) > MOST_POINTS for ring in rings):
        raise ValueError(f"expected up to {MOST_POINTS:,} points, got {max(map(len, rings)):,}")
    whole = tuple(ring for ring in rings if len(ring) >= 3)
    if not whole:
        raise NoAreaError("an outline of fewer than three points")
    return Polygon(label, whole)
