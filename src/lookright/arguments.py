"""What a user may write on the command line, and the one clear line where it is wrong."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from inspect import Parameter, signature
from pathlib import Path
from textwrap import shorten
from typing import Any, NoReturn, get_args

import torch
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from lookright.errors import UserError, did_you_mean
from lookright.memory import out_of_memory
from lookright.parts import (
    Named,
    check_part,
    defaults,
    is_several,
    kind_of,
    member,
    names_of,
    several,
    unsaid,
)
from lookright.seeds import derived_seed

Verbs = Mapping[str, Callable[..., None]]


class Parser(ArgumentParser):
    """One clear line instead of a usage and a trace of types."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        options = [name for action in self._actions for name in action.option_strings]
        fail(_sentence(" ".join(message.split()), options), 2)

    def instantiate(self, namespace: Namespace, *given: Any, **options: Any) -> Namespace:
        """Parts that learn, such as a masker, begin from the seed that was asked for."""
        if isinstance(seed := namespace.get("seed"), int):
            torch.manual_seed(derived_seed(seed, "parts"))
        return super().instantiate(namespace, *given, **options)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong in one line and leave."""
    Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escaped(message)}")
    raise SystemExit(code)


def escaped(message: str) -> str:
    return message.replace("[", r"\[")


_VALUES = {
    "<class 'int'>": "a whole number",
    "<class 'float'>": "a number",
    "<class 'bool'>": "true or false",
    "<class 'str'>": "text",
    "<class 'tuple'>": "a list such as [0.1,0.2]",
    "<class 'list'>": "a list such as [a,b]",
    "<class 'NoneType'>": "null",
}


def _sentence(message: str, options: Sequence[str]) -> str:
    """The parser's message for someone who does not know its types."""
    if found := re.search(r"[Uu]nrecognized arguments: (--[\w.-]+)", message):
        return f"There is no option {found[1]}.{did_you_mean(found[1], options)}"
    if found := re.search(r"[Uu]nrecognized arguments: (.*)", message):
        return f"Not understood: {found[1]}; lists are written as one word, [a,b] or a,b."
    if found := re.match(r"Subcommand '(\w+)' does not accept option '([\w.]+)'", message):
        names = [option.removeprefix("--") for option in options]
        return f"{found[1]} has no option '{found[2]}'.{did_you_mean(found[2], names)}"
    if found := re.match(r"argument (--[\w.]+): expected one argument", message):
        return f"{found[1]} needs a value after it."
    if found := re.match(r"the following arguments are required: (.*)", message):
        return f"Still needed: {re.sub(r'[a-z]+[.]', '', found[1])}; --help says what it is."
    found = re.match(r'Parser key "([\w.]+)": (.*?)(?: (?:Got|Given) value: (.*))?$', message)
    if not found:
        return message
    key, problem, value = found.groups()
    if (named := re.search(r"Expected a dot import path string: (\S+)", problem)) and names_of(key):
        return (
            f"{key}: there is no '{named[1]}'; expected one of {', '.join(names_of(key))}, or one "
            f"of your own as package.module.Name.{did_you_mean(named[1], names_of(key))}"
        )
    expected = [words for name, words in _VALUES.items() if f"Expected a {name}" in problem]
    if choices := re.search(r"Literal\[(.*?)\]", problem):
        expected = [f"one of {choices[1]}"]
    if value is None or not expected:
        return f"{key}: {problem}"
    return f"Expected {' or '.join(expected)} for {key}, got '{value}'."


def spelled(arguments: Sequence[str], verbs: Verbs) -> list[str]:
    """Arguments as the parser wants them.

    A dash in an option's name is an underscore; a switch needs no value; names of classes are
    taken in any case; a part that can be of one class only needs no name; options may stand in any
    order; fractions such as 8/255 become numbers where a number is wanted; the folders or images of
    a verb become one list, wherever they stand.

    Raises:
        UserError: no such verb, class, or option of a class (the nearest is suggested), or an
            option of an attack, an explainer, ... that was not named.
    """
    if not arguments:
        raise UserError(f"Say what to do: lookright {', '.join(verbs)}, or lookright --help.")
    verb, *rest = arguments
    if verb.startswith("-"):
        return list(arguments)
    if verb not in verbs:
        raise UserError(
            f"There is no command '{verb}': expected one of {', '.join(verbs)}."
            f"{did_you_mean(verb, verbs)}"
        )
    parameters = signature(verbs[verb]).parameters
    positional: list[str] = []
    options: list[tuple[str, str | None]] = []
    for option, value in _pairs(rest, parameters):
        if option is None:
            positional.append(value or "")
        else:
            options.append((option, value))
    # A part comes before its options, and the ball before the attacks in it.
    options.sort(key=lambda each: (each[0].count("."), is_several(each[0])))
    by_file = any(option == "config" for option, _ in options)
    named = {} if by_file else defaults(parameters)
    done = [verb, *_gathered(positional, parameters)]
    for option, value in options:
        if not by_file:
            done += [f"--{part}={only.__name__}" for part, only in unsaid(option, named)]
        part = option.removesuffix(".help")
        kind = kind_of(part, named)
        if kind and value and re.fullmatch(r"\w+(\.\w+)*", value) and value != "null":
            named[option], value = member(part, value, kind, named)
        elif kind and value is None and part == option:
            raise UserError(f"--{option} needs a name after it; --{option}.help shows which.")
        elif kind:
            named[option] = None
        elif value and _numeric(option, parameters):
            value = _divided(value)
        if value and is_several(option):
            value = several(option, value, _ball(option, dict(options), named))
        done.append(f"--{option}" if value is None else f"--{option}={value}")
    if not by_file:
        for option, _ in options:
            check_part(option, named)
    return done


def _pairs(
    arguments: Sequence[str], parameters: Mapping[str, Parameter]
) -> Iterator[tuple[str | None, str | None]]:
    """(option, value), (option, None) where none was given, (None, value) without an option."""
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument[:2] != "--":
            yield (None, argument) if argument != "-h" else ("help", None)
            continue
        option, equals, value = argument[2:].partition("=")
        option = option.replace("-", "_")
        switch = option in parameters and parameters[option].annotation is bool
        if equals:
            yield option, value
        elif switch:
            told = bool(waiting) and waiting[0].lower() in ("true", "false")
            yield option, waiting.pop(0) if told else "true"
        elif option in ("help", "print_config") or not waiting or waiting[0][:2] == "--":
            yield option, None
        else:
            yield option, waiting.pop(0)


def _gathered(values: list[str], parameters: Mapping[str, Parameter]) -> list[str]:
    """The last list of paths or names as one argument."""
    types = [each.annotation for each in parameters.values() if each.default is each.empty]
    if not types or types[-1] not in (list[Path], list[str]) or len(values) < len(types):
        return values
    single = len(types) - 1
    return [*values[:single], json.dumps(values[single:])]


def _numeric(option: str, parameters: Mapping[str, Parameter]) -> bool:
    """Whether an option wants a number, so that 8/255 there is no path."""
    if option not in parameters:
        return "." in option
    annotation = parameters[option].annotation
    return float in (annotation, *get_args(annotation))


def _ball(option: str, options: Mapping[str, str | None], named: Named) -> dict[str, Any]:
    """The eps and norm that are asked for beside an option."""
    part = option.rpartition(".")[0]
    found: dict[str, Any] = {}
    with suppress(ValueError):  # the parser's to refuse
        if eps := options.get(f"{part}.eps"):
            found["eps"] = float(_divided(eps))
    if norm := named.get(f"{part}.norm"):
        found["norm"] = norm.__name__
    return found


def _divided(text: str) -> str:
    """With numbers for fractions such as 8/255."""
    return re.sub(r"(?<![\w./])(\d+(?:\.\d+)?)/(\d+)(?![\w./])", _quotient, text)


def _quotient(fraction: re.Match[str]) -> str:
    over, under = float(fraction[1]), float(fraction[2])
    return repr(over / under) if under else fraction[0]


def mistake_behind(error: BaseException) -> str | None:
    """The user's mistake behind an error, however deep it was wrapped; None where there is none."""
    if isinstance(error, OSError) and error.strerror:
        where = f" for {error.filename}" if error.filename else ""
        return f"The system says '{error.strerror}'{where}: mend that, or name another place."
    if isinstance(error, Exception) and out_of_memory(error):
        return (
            f"The memory is full ({shorten(str(error), 100) or type(error).__name__}): choose a "
            "smaller batch, smaller images, a smaller model or another device."
        )
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, UserError):
            return str(behind)
        behind = behind.__cause__ or behind.__context__
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    return " ".join(str(error).split()) if isinstance(error, MisconfigurationException) else None
