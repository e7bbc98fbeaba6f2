"""Where the user's own modules come from: the path of Python, and the folder he works in."""

import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any


class WorkingFolder(MetaPathFinder):
    """Finds modules in a folder, where nothing else has found them.

    It finds only those that the user has named, and what modules of the folder import: libraries
    look for many modules that need not be there, and a file that only bears such a name is not run.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.named: set[str] = set()
        self.found: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is not None or not (name in self.named or _importer() in self.found):
            return None
        spec = PathFinder.find_spec(name, [self.folder])
        self.found |= {name} if spec else set()
        return spec


@contextmanager
def working_folder() -> Iterator[None]:
    """Within it, the user's own modules are found in the working folder, and no others there.

    The empty entry that `python -c` puts at the head of `sys.path` would put the working folder
    before all libraries; it is left out meanwhile.
    """
    finder, implied = WorkingFolder(os.getcwd()), sys.path[:1] == [""]
    sys.meta_path.append(finder)
    if implied:
        del sys.path[0]
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if implied:
            sys.path.insert(0, "")


def import_named(name: str) -> ModuleType:
    """Import a module that the user has named.

    Raises:
        ImportError: there is none.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise ModuleNotFoundError(f"'{name}' is not the name of a module")
    for finder in sys.meta_path:
        if isinstance(finder, WorkingFolder):
            finder.named.add(name.partition(".")[0])
    return import_module(name)


def is_installed(name: str) -> bool:
    """Whether a module is part of an installed package; it is not imported to find out."""
    spec = PathFinder.find_spec(name.partition(".")[0])
    found = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    return any(
        Path(file).is_relative_to(folder) for file in found if file for folder in _libraries()
    )


def _libraries() -> set[str]:
    """The folders that packages are installed into."""
    paths = sysconfig.get_paths()
    folders = {paths["purelib"], paths["platlib"], *site.getsitepackages()}
    return {*folders, site.getusersitepackages()}


def _importer() -> str:
    """The outermost package whose code imports a module just now."""
    frame = sys._getframe(2)
    while frame.f_back and _package(frame) == "importlib":
        frame = frame.f_back
    return _package(frame)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
