"""The code of one's own that a job names, so that a job of changed code is another job."""

import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from lookright.files import content_hash

_INSTALLED = tuple(
    Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "purelib", "platlib")
)


def own_code(spec: Any) -> dict[str, str]:
    """The hash of each module of one's own in a spec, by its name.

    It is of the file that defines a class or a function, not of what that imports. Installed
    packages, lookright among them, are left out: a run keeps their versions.
    """
    found = {}
    for path in _named(spec):
        module = _module_of(path)
        file = getattr(sys.modules.get(module), "__file__", None)
        if file and module.partition(".")[0] != "lookright" and not _is_installed(Path(file)):
            with suppress(OSError):
                found[module] = content_hash(Path(file))
    return found


def _named(spec: Any) -> Iterator[str]:
    """The import paths in a spec, and a model that is named as package.module:function."""
    if isinstance(spec, list):
        for each in spec:
            yield from _named(each)
    elif isinstance(spec, dict):
        for name, value in spec.items():
            if isinstance(value, str):
                if name in ("class_path", "import") or (name == "model" and ":" in value):
                    yield value
            else:
                yield from _named(value)


def _module_of(path: str) -> str:
    """The module that defines what has this import path; '' where it cannot be imported."""
    module, _, name = path.replace(":", ".").rpartition(".")
    with suppress(ImportError, AttributeError, ValueError):
        return str(getattr(import_module(module), name).__module__)
    return ""


def _is_installed(file: Path) -> bool:
    return any(file.resolve().is_relative_to(root) for root in _INSTALLED)
