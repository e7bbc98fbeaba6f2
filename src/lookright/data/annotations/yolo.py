"""YOLO's text: a line for each object, with coordinates as shares of the width and height."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from lookright.data.annotations.annotated import UNIT, Annotated
from lookright.data.annotations.entries import (
    LARGEST_OF_IMAGE,
    annotated,
    box,
    each_file,
    named,
    numbers,
    polygon,
    shortened,
)
from lookright.data.annotations.shapes import Shape
from lookright.spec.text import Loader
from lookright.untrusted import content

_NAMES: Final = ("classes.txt", "_classes.txt", "obj.names")
_MOST_NAMES: Final = 2**20
_BEYOND: Final = 0.01
"""How far a rounded coordinate may be outside of the image."""


@dataclass(frozen=True)
class _Classes:
    """The names of classes by their numbers, and whether keypoints follow the boxes."""

    names: Mapping[int, str]
    keypoints: bool = False


def read_yolo(path: Path) -> Iterator[Annotated]:
    """The objects of a text file of YOLO, or of all such files below a folder.

    A line is a class and a box (centre, width, height; a confidence after it is not read) or an
    outline. The classes' names are those of the data set's YAML file, of classes.txt or of
    obj.names, in the folder, or above one that is called labels or is in such a one; else the
    numbers are the labels.

    Raises:
        UserError: the file is not one of YOLO, or the folder has none.
    """
    root = path if path.is_dir() else path.parent
    classes = _classes(root)

    def read(file: Path) -> Annotated:
        lines = content(file, LARGEST_OF_IMAGE).decode("utf-8-sig").splitlines()
        image = file.relative_to(root).with_suffix("").as_posix()
        objects = [line.split() for line in lines if line.strip()]
        return annotated(image, UNIT, objects, lambda each: _shape(each, classes))

    if path.is_dir() and (path / "labels").is_dir():
        path = path / "labels"
    yield from each_file(path, ".txt", "labels of YOLO", read, without=_NAMES)


def _shape(words: Sequence[str], classes: _Classes) -> Shape:
    try:
        category, *shares = int(words[0]), *map(float, words[1:])
    except ValueError as error:
        line = shortened(" ".join(words))
        raise ValueError(f"expected a class and numbers, got {line}") from error
    label = classes.names.get(category, str(category))
    if classes.names and category not in classes.names:
        raise ValueError(f"class {category} is not among the {len(classes.names)} with names")
    values = numbers(shares)
    if classes.keypoints or len(values) == 5:
        values = values[:4]
    if ((values < -_BEYOND) | (values > 1 + _BEYOND)).any():
        raise ValueError("expected shares of the width and height, from 0 to 1, got others")
    if len(values) == 4:
        x, y, width, height = values
        return box(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(values) < 4 or len(values) % 2:
        raise ValueError(f"expected a box or an outline after the class, got {len(values)} numbers")
    return polygon(label, [values])


def _classes(root: Path) -> _Classes:
    """What a folder says of the classes, or, of one in or of `labels`, one of the two above it."""
    above = root.resolve().parents[: 2 if "labels" in root.resolve().parts[-2:] else 0]
    for folder in (root, *above):
        for file in sorted(folder.glob("*")):
            if file.name in _NAMES:
                return named(file, "names of classes", _listed)
            if file.suffix.lower() in (".yaml", ".yml"):
                found = named(file, "names of classes", _of_yaml)
                if found is not None:
                    return found
    return _Classes({})


def _listed(path: Path) -> _Classes:
    lines = content(path, _MOST_NAMES).decode("utf-8-sig").strip().splitlines()
    return _Classes({number: line.strip() for number, line in enumerate(lines)})


def _of_yaml(path: Path) -> _Classes | None:
    """The `names` in a YAML file, a list or a mapping from numbers; None without any."""
    try:
        about = yaml.load(content(path, _MOST_NAMES), Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(about, dict) or "names" not in about:
        return None
    names = about["names"]
    found = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(found, dict) or not all(
        str(number).isdecimal() and isinstance(name, str | int) for number, name in found.items()
    ):
        raise ValueError("its 'names' are neither a list of names nor names by numbers")
    return _Classes(
        {int(number): str(name) for number, name in found.items()}, "kpt_shape" in about
    )
