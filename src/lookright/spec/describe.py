"""Objects as JSON: `build(spec_of(thing))` is equal to `thing`.

| an object | its spec | |---|---| | None, a bool, a number, text | itself; an infinite number or
NaN is `{"float": "inf"}` | | a path | its text | | a list or tuple | a list | | a small tensor |
`{"tensor": [...], "dtype": "float32"}` | | a class or function | `{"import":
"package.module.name"}` | | an instance | `{"class_path": "lookright.attacks.PGD", "init_args":
{"eps": 0.03, ...}}` | | `functools.partial` of a class | as an instance, with `"partial": true` |

An instance is described by the arguments of its class: the fields of a dataclass, or the parameters
of `__init__`, which the class must keep as attributes of the same names. A class lists in
`SPEC_IGNORES` the parameters that are not part of its spec, such as the model of a method; they are
passed to `build`.
"""

import functools
import hashlib
import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from lookright.errors import UserError
from lookright.registry import path_of

_LARGEST = 2**16


def spec_of(thing: Any) -> Any:
    """The spec of an object, JSON-ready.

    Raises:
        UserError: an object that could not be built again from its spec; the message says how to
            change that.
    """
    if isinstance(thing, float) and not math.isfinite(thing):
        return {"float": str(thing)}
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    if isinstance(thing, Path):
        return str(thing)
    if isinstance(thing, list | tuple):
        return [spec_of(each) for each in thing]
    if isinstance(thing, Mapping):
        return {_text(name): spec_of(each) for name, each in thing.items()}
    if isinstance(thing, functools.partial):
        if thing.args:
            raise UserError(
                f"A partial of {path_of(thing.func)} has positional arguments: pass them by name."
            )
        options = {name: spec_of(each) for name, each in thing.keywords.items()}
        return {"class_path": path_of(thing.func), "init_args": options, "partial": True}
    if type(thing).__module__ == "torch" and type(thing).__name__ == "Tensor":
        return _tensor(thing)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        return {"import": path_of(thing)}
    options = {name: spec_of(each) for name, each in arguments_of(thing).items()}
    return {"class_path": path_of(type(thing)), "init_args": options}


def identity(thing: Any) -> str:
    """16 hexadecimal digits that are the same for objects with the same spec."""
    text = json.dumps(spec_of(thing), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def arguments_of(thing: Any) -> dict[str, Any]:
    """The arguments from which the object's class can make it again.

    Raises:
        UserError: the class does not keep one of them as an attribute.
    """
    if is_dataclass(thing):
        return {each.name: getattr(thing, each.name) for each in fields(thing) if each.init}
    found: dict[str, Any] = {}
    for name, parameter in parameters(type(thing)).items():
        if not hasattr(thing, name):
            raise UserError(
                f"{type(thing).__name__} does not keep its argument '{name}', so it cannot be "
                f"rebuilt: set self.{name} in its __init__, or make it a dataclass."
            )
        kept = getattr(thing, name)
        found |= kept if parameter.kind is parameter.VAR_KEYWORD else {name: kept}
    return found


def ignored(make: Any) -> tuple[str, ...]:
    """The parameters of a class that are not part of its spec."""
    return tuple(getattr(make, "SPEC_IGNORES", ()))


def parameters(make: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function by name, without `SPEC_IGNORES`; types resolved."""
    signature = inspect.signature(make)
    try:
        hints = get_type_hints(make.__init__ if inspect.isclass(make) else make)
    except (NameError, TypeError):
        hints = {}
    made = {
        each.name: each.default_factory()
        for each in (fields(make) if inspect.isclass(make) and is_dataclass(make) else ())
        if each.default_factory is not MISSING
    }
    return {
        name: each.replace(
            annotation=hints.get(name, each.annotation), default=made.get(name, each.default)
        )
        for name, each in signature.parameters.items()
        if name not in ignored(make) and each.kind is not each.VAR_POSITIONAL
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    if tensor.numel() > _LARGEST:
        raise UserError(
            f"A tensor of shape {tuple(tensor.shape)} is too large for a spec; give a file that "
            "contains it."
        )
    values = tensor.detach().cpu()
    return {"tensor": values.tolist(), "dtype": str(values.dtype).removeprefix("torch.")}


def _text(name: Any) -> str:
    if not isinstance(name, str):
        raise UserError(f"Expected text as the keys of a mapping, got {name!r}.")
    return name
