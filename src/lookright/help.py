"""The output of `--help`: the options of a verb, or of a class that it takes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from inspect import Parameter, cleandoc, isclass
from textwrap import dedent, fill
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from rich.table import Table
from rich.text import Text

from lookright.console import say, show
from lookright.errors import UserError, did_you_mean
from lookright.registry import member, members, word_of
from lookright.spec import parameters, spec_of


def describe_verb(verb: str, about: str, known: Mapping[str, Parameter]) -> None:
    """Print the options of a verb. about: its docstring and those of its option groups."""
    needed = [name.upper() for name, each in known.items() if each.default is each.empty]
    say(f"lookright {' '.join([verb, *needed])} [--OPTION VALUE ...]\n")
    _describe(about, {f"--{name}": each for name, each in known.items()})
    say("\n--config FILE reads options from YAML; --print_config prints them as YAML.")
    say("--trust_config lets the file name code of your own, as package.module.Name.")


def describe_member(option: str, name: str | None, known: Mapping[str, Parameter]) -> None:
    """Print the possible values of an option, or the options of the named member."""
    kind = kind_of(option, known)
    taken = _flat(known[option].annotation) if option in known else []
    plain = [each for each in taken if isclass(each) and is_dataclass(each)]
    if kind is None and plain:
        return _describe(plain[0].__doc__ or "", _under(option, plain[0]))
    if kind is None and annotation_of(option, known) is None:
        raise unknown(option, known)
    if kind is None:
        raise UserError(f"--{option} takes a value and has no options of its own.")
    if name is None:
        listed = fill(", ".join(members(kind)), 96, initial_indent="  ", subsequent_indent="  ")
        say(f"--{option} is one of\n{listed}\nor your own class, as package.module.Name.")
        say(f"--{option}.help NAME shows the options of each.")
        return
    found = member(name, kind)
    say(f"--{option} {getattr(found, '__name__', name)}\n")
    path = f"{option}.{name.lower()}" if is_listed(option, known) else option
    _describe(found.__doc__ or "", _under(path, found) if isclass(found) else {})


def unknown(option: str, known: Mapping[str, Parameter]) -> UserError:
    """That there is no such option, or none until what has it is named."""
    first = option.partition(".")[0]
    if first in known:
        above = option.rpartition(".")[0]
        return UserError(f"There is no option --{option} by default: see --{above}.help.")
    near = did_you_mean(f"--{first}", [f"--{name}" for name in known])
    return UserError(f"There is no option --{first}.{near}")


def is_listed(option: str, known: Mapping[str, Parameter]) -> bool:
    """Whether an option takes several members, each of which is named in the path of its own."""
    each = annotation_of(option, known)
    return any(get_origin(kind) in (list, tuple, Sequence) for kind in _flat(each))


def _under(option: str, made: type) -> dict[str, Parameter]:
    return {f"--{option}.{name}": each for name, each in parameters(made).items()}


def _describe(about: str, options: Mapping[str, Parameter]) -> None:
    """Print a docstring's text, then a table of the options with their descriptions."""
    blocks = [cleandoc(block) for block in re.split(r"\n\s*\n", about)]
    shown = (each for each in blocks if not each.startswith(("Args:", "Raises:")))
    say("\n\n".join(shown) + "\n")
    said = documented(about)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for option, each in options.items():
        text = Text(said.get(option.rpartition(".")[2].removeprefix("--"), ""))
        text.append(f" ({_type(each.annotation)}{_default(each.default)})", style="dim")
        table.add_row(option, text)
    show(table)


def documented(about: str) -> dict[str, str]:
    """The description of each argument in a docstring's `Args:` section."""
    found: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", about):
        lines = dedent(block).splitlines()
        if not lines or lines[0] != "Args:":
            continue
        names: list[str] = []
        for line in lines[1:]:
            if start := re.match(r" {4}(\w+(?:, \w+)*): (.*)", line):
                names, text = start[1].split(", "), start[2]
                found |= dict.fromkeys(names, text)
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _type(kind: Any) -> str:
    """A type in one or two words."""
    kind = getattr(kind, "__supertype__", kind)
    if kind is NoneType:
        return "null"
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    plain = {int: "whole number", float: "number", bool: "switch", str: "text"}
    if kind in plain:
        return plain[kind]
    inner = [each for each in get_args(kind) if each is not Ellipsis]
    if get_origin(kind) is Callable:
        given = inner[-1]
        return word_of(given) if isclass(given) and members_of(given) else "function"
    if get_origin(kind) in (list, tuple):
        return f"list of {_type(inner[0])}"
    if inner:
        return " or ".join(map(_type, inner))
    return word_of(kind) if isclass(kind) and members_of(kind) else getattr(kind, "__name__", "")


def members_of(kind: type) -> Mapping[str, Any]:
    """The members of a kind; none for a class that is not a kind."""
    return members(kind) if word_of(kind) != "class" else {}


def _default(value: Any) -> str:
    if value is Parameter.empty:
        return "; needed"
    if value is None or value is False:
        return ""
    shown = spec_of(value)
    path = shown.get("class_path", shown.get("import")) if isinstance(shown, dict) else None
    return f"; {path.rpartition('.')[2] if path else value}"


def annotation_of(option: str, known: Mapping[str, Parameter]) -> Any:
    """What an option such as `method.guide` takes, following annotations and defaults; None of one
    that there is not."""
    first, *rest = option.split(".")
    each = known.get(first)
    for name in rest:
        if each is None:
            return None
        kinds = _kinds_in(each.annotation)
        default = each.default if isclass(each.default) else type(each.default)
        holders = kinds if default.__module__ == "builtins" else [default]
        each = parameters(holders[0]).get(name) if holders else None
    return each and each.annotation


def kind_of(option: str, known: Mapping[str, Parameter]) -> type | None:
    """The kind of which an option takes a member."""
    return next(iter(_kinds_in(annotation_of(option, known))), None)


def _kinds_in(annotation: Any) -> list[type]:
    return [kind for kind in _flat(annotation) if isclass(kind) and members_of(kind)]


def _flat(kind: Any) -> list[Any]:
    inner = [each for each in get_args(kind) if not isinstance(each, list)]
    return [kind, *(deep for each in inner for deep in _flat(each))]
