"""Finding attacks, methods, guides and so on by name, and the user's own classes by import path.

A kind is an abstract class, such as `Attack`. Its members are the public subclasses in the modules
of its package, so a class in a new file there is found without being registered.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache
from importlib import import_module
from inspect import isabstract, isclass
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from lookright.errors import UserError, did_you_mean
from lookright.imports import import_named, is_installed

KINDS: Mapping[str, str] = {
    "attack": "lookright.attacks.Attack",
    "corruption": "lookright.corruptions.Corruption",
    "data": "lookright.data.ImageData",
    "distance": "lookright.distances.Distance",
    "explainer": "lookright.explainers.Explainer",
    "goal": "lookright.attacks.Goal",
    "guide": "lookright.guides.Guide",
    "masker": "torch.nn.Module",
    "method": "lookright.methods.Method",
    "norm": "lookright.attacks.Norm",
    "objective": "lookright.attacks.Objective",
    "perturbation": "lookright.perturbations.Perturbation",
    "stage": "lookright.evaluation.stages.Stage",
}
"""The base class of each kind, by the kind's name."""


def imported(path: str, what: str = "class") -> Any:
    """The class, function or value at an import path, `package.module.Name`, that a user names.

    Raises:
        UserError: no such module, or no such name in it (the nearest is suggested).
    """
    module, _, last = path.rpartition(".")
    try:
        home = import_named(module) if module else None
    except ImportError as error:
        raise UserError(
            f"There is no module '{module}' for the {what} {path} ({error}): it must be importable "
            "from here."
        ) from error
    if home is None or not hasattr(home, last):
        near = did_you_mean(last, vars(home) if home else ())
        raise UserError(f"There is no {what} '{last}' in the module '{module}'.{near}")
    return getattr(home, last)


def already_imported(path: str, what: str = "class") -> Any:
    """Like `imported`, but never imports a module outside lookright; for paths read from a file.

    Importing a module runs its code, and a run or a result may come from someone else.

    Raises:
        UserError: the module is not part of lookright and has not been imported yet.
    """
    module = path.rpartition(".")[0]
    if module.partition(".")[0] != "lookright" and module not in sys.modules:
        raise UserError(
            f"A file names the {what} {path}, but its module has not been imported, and reading a "
            f"file does not import modules: if you trust it, import {module} first."
        )
    return imported(path, what)


def installed(path: str, what: str = "class") -> Any:
    """Like `imported`, but only of lookright and installed packages; for paths read from a config.

    Raises:
        UserError: the module lies elsewhere, such as in the working folder; it is not imported.
    """
    if path.partition(".")[0] != "lookright" and not is_installed(path):
        raise untrusted(path, what)
    return imported(path, what)


def untrusted(path: str, what: str) -> UserError:
    """The refusal of code that a config file names."""
    return UserError(
        f"A config file names the {what} {path}, which is code and no part of an installed "
        "package: name it on the command line, or say --trust_config if you trust the file."
    )


def is_part(thing: Any) -> bool:
    """Whether it is a class of a kind, an optimizer or a dataclass of lookright."""
    if not isclass(thing):
        return False
    own = thing.__module__.partition(".")[0] == "lookright" and is_dataclass(thing)
    kinds = [*KINDS.values(), "torch.optim.Optimizer"]
    return own or any(issubclass(thing, imported(path)) for path in kinds)


def kind_named(kind: str) -> type:
    """The base class of a kind by its name, such as `attack`.

    Raises:
        UserError: no such kind (the nearest is suggested).
    """
    if kind not in KINDS:
        raise UserError(
            f"There is no kind '{kind}': expected one of {', '.join(KINDS)}."
            f"{did_you_mean(kind, KINDS)}"
        )
    return imported(KINDS[kind])


def word_of(kind: type) -> str:
    """The name of a kind for use in sentences: attack for `Attack`, guide for `LearnedMask`."""
    above = {path.rpartition(".")[2]: word for word, path in KINDS.items()}
    return next((above[each.__name__] for each in kind.__mro__ if each.__name__ in above), "class")


@cache
def members(kind: type) -> Mapping[str, Any]:
    """The members of a kind by name, sorted: its classes, and its named instances."""
    found: dict[str, Any] = {}
    for module in _room(kind):
        for name, thing in vars(module).items():
            own = getattr(thing, "__module__", None) == module.__name__
            if isclass(thing) and own and name[0] != "_" and issubclass(thing, kind):
                found |= {} if isabstract(thing) else {name: thing}
    for thing in vars(import_module(_home(kind))).values():
        if isinstance(thing, Mapping) and all(isinstance(each, kind) for each in thing.values()):
            found |= thing
    return dict(sorted(found.items()))


def names(kind: str) -> list[str]:
    """The names of a kind's members, as in `lookright.list("method")`.

    Raises:
        UserError: no such kind.
    """
    above = kind_named(kind)
    return [name for name, thing in members(above).items() if thing is not above]


def member(name: str, kind: type, taker: str = "", at: Callable[[str, str], Any] = imported) -> Any:
    """A member by its name, ignoring case and underscores, or your own class by its import path.

    taker: the class or function that takes it, for the error message; at: the function that
    imports a path.

    Raises:
        UserError: no such member, or an object of another kind at the import path.
    """
    word, own = word_of(kind), members(kind)
    plainly = {_plain(each): thing for each, thing in own.items()}
    if _plain(name) in plainly:
        return plainly[_plain(name)]
    if "." not in name:
        raise UserError(
            f"There is no {word} '{name}'{f' for {taker}' if taker else ''}: expected one of "
            f"{', '.join(own)}, or one of your own as package.module.Name."
            f"{did_you_mean(name, own)}"
        )
    found = at(name, word)
    if isinstance(found, kind) or (isclass(found) and issubclass(found, kind)):
        return found
    module, _, last = name.rpartition(".")
    raise UserError(
        f"There is no {word} '{last}' in the module '{module}': expected a class under "
        f"{kind.__module__}.{kind.__name__}."
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _home(kind: type) -> str:
    """The package of a kind's members; the base class of maskers is torch's `nn.Module`."""
    if kind.__module__.partition(".")[0] != "lookright":
        return "lookright.guides.masker"
    above = kind.__module__.rpartition(".")[0]
    return kind.__module__ if above == "lookright" else above


def _room(kind: type) -> list[ModuleType]:
    """The modules of that package; for a class that is no kind, only its own."""
    if word_of(kind) == "class":
        return [import_module(kind.__module__)]
    room = import_module(_home(kind))
    inside = iter_modules(getattr(room, "__path__", ()))
    return [room, *(import_module(f"{room.__name__}.{each.name}") for each in inside)]


def path_of(thing: Any) -> str:
    """The import path of a class or function, from the package that exports it if there is one.

    Raises:
        UserError: it cannot be imported by name, such as a lambda or a nested function.
    """
    module, name = getattr(thing, "__module__", None) or "builtins", thing.__name__
    room = ".".join(module.split(".")[:2])
    for home in (room, module):
        with suppress(ImportError):
            if getattr(import_module(home), name, None) is thing:
                return f"{home}.{name}"
    raise UserError(
        f"{thing.__qualname__} of {module} cannot be imported by name: define it with `def` or "
        "`class` at the top level of a module."
    )
