"""The folders in the spec of a data set, which belong to this machine and not to the data."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDERS = ("root", "masks", "tool_masks")
"""The arguments of data sets that are folders."""


def with_folders(spec: Any, of: Callable[[str], str]) -> Any:
    """The spec with `of(folder)` in place of each of its folders."""
    if isinstance(spec, list):
        return [with_folders(each, of) for each in spec]
    if not isinstance(spec, Mapping):
        return spec
    return {
        name: of(value) if name in FOLDERS and isinstance(value, str) else with_folders(value, of)
        for name, value in spec.items()
    }


def from_here(spec: Any) -> Any:
    """The spec with absolute paths as they are found from the working folder."""
    if isinstance(spec, list):
        return [from_here(each) for each in spec]
    if isinstance(spec, Mapping):
        return {name: from_here(each) for name, each in spec.items()}
    absolute = isinstance(spec, str) and Path(spec).is_absolute()
    return relative(spec, Path.cwd()) if absolute else spec


def relative(folder: str, base: Path) -> str:
    """The folder as it is found from `base`; unchanged if it is on another drive."""
    try:
        return Path(os.path.relpath(folder, base.resolve())).as_posix()
    except ValueError:
        return folder
