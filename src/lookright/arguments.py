"""What a user may write on the command line, and the one clear line where it is wrong."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from itertools import takewhile
from pathlib import Path
from typing import NoReturn

from jsonargparse import ArgumentParser
from rich.console import Console

from lookright.attacks import Attack, Norm, Objective
from lookright.distances import Distance
from lookright.errors import UserError, did_you_mean
from lookright.explainers import Explainer
from lookright.guides import Guide
from lookright.methods import Method


class Parser(ArgumentParser):
    """One clear line instead of a usage and a trace of types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        unknown = re.search(r"[Uu]nrecognized arguments: (--[\w.-]+)", message)
        if unknown:
            options = [name for action in self._actions for name in action.option_strings]
            option = unknown.group(1)
            message = f"There is no option {option}.{did_you_mean(option, options)}"
        fail(" ".join(message.split()), 2)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong in one line and leave."""
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escaped(message)}")
    raise SystemExit(code)


def escaped(message: str) -> str:
    return message.replace("[", r"\[")


_KINDS: dict[str, type] = {
    "method": Method,
    "attack": Attack,
    "validation_attack": Attack,
    "explainer": Explainer,
    "distance": Distance,
    "guide": Guide,
    "norm": Norm,
    "objective": Objective,
}


_UNNAMED = _KINDS.keys() - {"method"}
"""Parts without a default of their own, so that their options need their name."""


def spelled(arguments: Sequence[str], verbs: Mapping[str, Callable[..., None]]) -> list[str]:
    """Arguments as the parser wants them.

    Names of classes are taken in any case and fractions such as 8/255 as numbers; several folders
    or images, which follow the verb, become one list.

    Raises:
        UserError: a name that none of lookright's classes has (the nearest is suggested), or an
            option of an attack, an explainer, ... that was not named.
    """
    done: list[str] = []
    for argument in _gathered(arguments, verbs):
        option, equals, value = argument.partition("=")
        if not equals:
            option, value = (done[-1] if done else ""), argument
        kind = _KINDS.get(option.lstrip("-").rpartition(".")[2]) if option[:2] == "--" else None
        if kind and re.fullmatch(r"\w+", value) and value != "null":
            value = _member(kind, value)
        elif re.fullmatch(r"\d+(\.\d+)?/\d+", value):
            over, under = value.split("/")
            value = repr(float(over) / float(under)) if float(under) else value
        done.append(f"{option}={value}" if equals else value)
    named = {argument.partition("=")[0] for argument in done}
    for option in named:
        part, _, rest = option.rpartition(".")
        unnamed = part.rpartition(".")[2] in _UNNAMED and part not in named
        if unnamed and "--config" not in named and rest != "help":
            raise UserError(f"Say which before {option}: {part} NAME {option} ...")
    return done


def _gathered(arguments: Sequence[str], verbs: Mapping[str, Callable[..., None]]) -> list[str]:
    """The verb, what follows it with the last list of paths as one argument, and the options."""
    if not arguments or arguments[0] not in verbs:
        return list(arguments)
    verb, *rest = arguments
    paths = list(takewhile(lambda argument: not argument.startswith("-"), rest))
    parameters = signature(verbs[verb]).parameters.values()
    types = [each.annotation for each in parameters if each.default is each.empty]
    if not types or types[-1] != list[Path] or len(paths) < len(types):
        return list(arguments)
    single = paths[: len(types) - 1]
    return [verb, *single, json.dumps(paths[len(single) :]), *rest[len(paths) :]]


def _member(kind: type, name: str) -> str:
    members = {member.__name__.lower(): member.__name__ for member in _concrete(kind)}
    if name.lower() not in members:
        raise UserError(
            f"There is no {kind.__name__.lower()} '{name}': expected one of "
            f"{', '.join(sorted(members.values()))}.{did_you_mean(name, members.values())}"
        )
    return members[name.lower()]


def _concrete(kind: type) -> list[type]:
    """The classes under an abstract one that can be built."""
    members: list[type] = kind.__subclasses__()
    deeper = [each for member in members for each in _concrete(member)]
    return [m for m in members if not getattr(m, "__abstractmethods__", None)] + deeper


def mistake_behind(error: BaseException | None) -> str | None:
    """The user's mistake behind an error, however deep it was wrapped; None where there is none."""
    while error is not None:
        if isinstance(error, UserError):
            return str(error)
        if isinstance(error, OSError) and error.strerror:
            return f"{error.strerror}: {error.filename or ''}"
        error = error.__cause__ or error.__context__
    return None
