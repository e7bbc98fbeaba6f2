"""Reading a checkpoint of any tool without running code: its tensors, by their names."""

import pickletools
import warnings
import zipfile
from _compat_pickle import IMPORT_MAPPING
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lookright.errors import UserError

_LEGACY = 4
"""Before torch 1.6 a file began with four pickles: a number, a version, the system, the content."""

_DEPTH = 12


def read_tensors(path: Path) -> dict[str, tuple[str, Tensor]]:
    """All tensors in a file: by their path in it, the part of that path above the state dict.

    `{"model": {"fc.weight": w}}` gives `{"model.fc.weight": ("model.", w)}`. Nothing that the file
    names is imported or called, except for what torch's `weights_only` allows; an object of another
    class is passed over, and of a pickled module only the tensors are read.

    Raises:
        UserError: no such file, or one that cannot be read in this way.
    """
    if not path.is_file():
        raise UserError(f"No file of weights at {path}.")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
        found = {above + name: (above, value) for above, name, value in _tensors(content, set())}
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as weights ({type(error).__name__}): expected .safetensors or "
            "a state dict of plain tensors saved by torch.save; where it was made, save it anew by "
            "torch.save(model.state_dict(), 'weights.pth')."
        ) from error
    if not found:
        raise UserError(
            f"{path} is not a state dict: expected a mapping from parameter names to tensors."
        )
    return found


class _Unread:
    """Stands for an object of a class that is not imported."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _UnreadMapping:
    """The same for a subclass of dict: torch lets no other class than its own have items."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


def _unpickled(path: Path) -> Any:
    """The content of a file of `torch.save`, with stand-ins for objects of other classes."""
    with suppress(UnpicklingError):
        return _standing_in(path, {})
    named = _named(path)
    with suppress(UnpicklingError):
        return _standing_in(path, dict.fromkeys(named, _Unread))
    arrays = {name for name in named if name.startswith("numpy.")}
    return _standing_in(path, {n: _Unread if n in arrays else _UnreadMapping for n in named})


def _standing_in(path: Path, instead: Mapping[str, type]) -> Any:
    allowed: list[Any] = [(stand_in, name) for name, stand_in in instead.items()]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def _named(path: Path) -> set[str]:
    """The classes and functions that a pickle names, found without unpickling it."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(path):
            return {name for _ in range(_LEGACY) for name in _globals(file)}
    with zipfile.ZipFile(path) as archive:
        inner = next(each for each in archive.namelist() if each.endswith("/data.pkl"))
        with archive.open(inner) as file:
            return set(_globals(file))


def _globals(file: Any) -> Iterator[str]:
    for code, said, _ in pickletools.genops(file):
        if code.name == "GLOBAL":
            module, _, name = str(said).partition(" ")
            yield f"{IMPORT_MAPPING.get(module, module)}.{name}"


def _tensors(content: Any, seen: set[int], above: str = "") -> Iterator[tuple[str, str, Tensor]]:
    """(path of the mapping, name in it, tensor) of all tensors; what is held twice is read once."""
    if id(content) in seen or above.count(".") > _DEPTH:
        return
    inner = content
    if isinstance(content, _Unread):
        state = getattr(content, "state", None)
        is_module = isinstance(state, Mapping) and "_parameters" in state
        inner = dict(_of_module(content, seen)) if is_module else state
    if isinstance(inner, list | tuple):
        inner = dict(enumerate(inner))
    if not isinstance(inner, Mapping):
        return
    seen.add(id(content))
    for name, value in inner.items():
        if isinstance(value, Tensor):
            yield above, str(name), value
        else:
            yield from _tensors(value, seen, f"{above}{name}.")


def _of_module(module: _Unread, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """The state dict of a pickled `nn.Module`."""
    state = getattr(module, "state", None)
    if id(module) in seen or not isinstance(state, Mapping):
        return
    seen.add(id(module))
    passing = state.get("_non_persistent_buffers_set") or ()
    for kind in ("_parameters", "_buffers"):
        for name, value in (state.get(kind) or {}).items():
            if isinstance(value, Tensor) and name not in passing:
                yield str(name), value
    for name, inner in (state.get("_modules") or {}).items():
        if isinstance(inner, _Unread):
            yield from ((f"{name}.{rest}", value) for rest, value in _of_module(inner, seen))
