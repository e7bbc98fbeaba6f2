"""Values converted to their annotated types, from the command line, YAML, JSON and specs.

An instance of an abstract class (a member of a kind, such as an attack) is given by its name, by
`{class_path: NAME, init_args: {...}}`, or by its options alone if there is a default member. A list
of members may be a mapping of their names to their options. A number may be a fraction such as
8/255.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from inspect import Parameter, isabstract, isclass, isfunction, signature
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from lookright.errors import UserError, did_you_mean
from lookright.registry import member, members, word_of
from lookright.spec.describe import arguments_of, ignored, parameters
from lookright.spec.place import ClassPath, ModelName, Place, Said, said
from lookright.spec.plain import WORDS, choice, class_path, code, plain, words_for
from lookright.spec.text import plain_values

_NULL = (None, "null", "None", "none")
_IMPORTABLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


def build(spec: Any, **given: Any) -> Any:
    """Build the object of a spec. `given`: arguments that specs do not contain, such as a model.

    Raises:
        UserError: a class that cannot be imported, or options that it does not have.
    """
    return convert(spec, Any, Place(given=given))


def build_read(spec: Any, kind: type, **given: Any) -> Any:
    """Build an object of a kind from a spec read from a file, which may come from someone else.

    Unlike `build` it imports no module outside lookright, and calls only the classes that
    `registry.is_part` allows.

    Raises:
        UserError: as for `build`, or the file names a module not imported yet or another function.
    """
    return convert(spec, kind, Place(given=given, trust="imported"))


def convert(value: Any, kind: Any, place: Place) -> Any:
    """The value converted to `kind`, a type annotation; unchanged if it already has that type.

    Raises:
        UserError: the value cannot be converted.
    """
    value = _special(value, place)
    origin, inner = get_origin(kind), get_args(kind)
    if kind in (Any, Parameter.empty):
        return _untyped(value, place)
    if origin in (Union, UnionType):
        return _any_of(value, inner, place)
    if origin is Literal:
        return choice(value, inner, place)
    if origin in (list, tuple, Sequence):
        return _list(value, origin, inner, place)
    if origin is Callable:
        return _maker(value, inner[-1], place)
    if origin in (dict, Mapping):
        items = _loaded(value, place)
        if not isinstance(items, Mapping):
            raise UserError(
                f"Expected a mapping, {{name: value}}, for {place.name}, got '{value}'."
            )
        return {
            convert(key, inner[0], place): convert(each, inner[1], place)
            for key, each in items.items()
        }
    if kind in (ModelName, ClassPath):
        return code(value, kind, place)
    if kind in WORDS:
        return plain(value, kind, place)
    return _instance(value, kind, place) if isclass(kind) else value


def converted(make: Callable[..., Any], options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The options of a class or function, converted to its annotated types.

    Raises:
        UserError: an unknown option (the nearest name is suggested), or a missing one.
    """
    known, name = parameters(make), getattr(make, "__name__", str(make))
    free = any(each.kind is each.VAR_KEYWORD for each in known.values())
    found: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known and not free:
            raise UserError(
                f"{name} has no option '{option}'; its options: "
                f"{', '.join(known) or 'none'}.{did_you_mean(str(option), known)}"
            )
        each = known.get(option, Parameter(option, Parameter.KEYWORD_ONLY))
        inner = Place(
            f"{place.name}.{option}" if place.name else option,
            name if isclass(make) else "",
            None if each.default is each.empty else each.default,
            place.given,
            place.trust,
        )
        found[option] = convert(value, each.annotation, inner)
    taken = signature(make).parameters
    found |= {n: each for n, each in place.given.items() if n in taken and n not in found}
    needs = [n for n in ignored(make) if n in taken and taken[n].default is Parameter.empty]
    if absent := [n for n in needs if n not in found]:
        raise UserError(
            f"{name} needs {', '.join(absent)}, which a spec does not contain: give "
            f"{', '.join(f'{each}=...' for each in absent)}."
        )
    variadic = (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL)
    needed = [
        n for n, each in known.items()
        if each.default is each.empty and n not in found and each.kind not in variadic
    ]  # fmt: skip
    if needed:
        where = f", for {place.name}" if place.name else ""
        raise UserError(f"Still needed: {', '.join(needed)} of {name}{where}.")
    return found


def _special(value: Any, place: Place) -> Any:
    """The value of a spec in one of the reserved forms; other values are returned unchanged."""
    match value:
        case {"import": str(path), **rest} if not rest:
            return place.found(path)
        case {"float": str(number), **rest} if not rest:
            return plain(number, float, place)
        case {"tensor": values, "dtype": str(dtype), **rest} if not rest:
            return _tensor(values, dtype, place)
    return value


def _tensor(values: Any, name: str, place: Place) -> Any:
    import torch

    dtype = getattr(torch, name, None)
    try:
        if isinstance(dtype, torch.dtype):
            return torch.tensor(values, dtype=dtype)
    except (TypeError, ValueError, RuntimeError):
        pass
    raise UserError(f"Expected numbers of a dtype of torch for {place.name}, got {name} {values}.")


def _untyped(value: Any, place: Place) -> Any:
    """The value of a spec without a type annotation."""
    value = _special(value, place)
    if isinstance(value, list | tuple):
        return tuple(_untyped(each, place) for each in value)
    if not isinstance(value, Mapping):
        return str(value) if isinstance(value, Said) else value
    if "class_path" in value:
        made = place.found(path := class_path(value, place))
        if not place.may_call(path, made):
            raise UserError(
                f"A file names {path}, which is not a lookright class and is not called: if you "
                "trust the file, build it by lookright.spec.build(...), or say --trust_config."
            )
        return _made(made, value, place)
    return {name: _untyped(each, place) for name, each in value.items()}


def _any_of(value: Any, kinds: tuple[Any, ...], place: Place) -> Any:
    names = str in kinds or list[str] in kinds  # of which one may be called none
    null = ("null",) if names else _NULL
    if NoneType in kinds and (value is None or (isinstance(value, str) and value in null)):
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    simple = [kind for kind in others if kind in WORDS or get_origin(kind) is Literal]
    parts = [kind for kind in others if kind not in simple]
    if isinstance(value, str) and str in simple and parts and _IMPORTABLE.fullmatch(value):
        simple = []
    for kind in simple:
        with suppress(UserError):
            return convert(value, kind, place)
    if isinstance(value, str) and "." not in value and {*map(get_origin, parts)} == {Callable}:
        parts = [kind for kind in simple if get_origin(kind) is Literal] or parts
    if parts:
        *first, last = parts
        for kind in first:
            with suppress(UserError):
                return convert(value, kind, place)
        return convert(value, last, place)
    words = [words_for(kind) for kind in simple] + ["null"] * (NoneType in kinds)
    raise UserError(f"Expected {' or '.join(words)} for {place.name}, got '{value}'.")


def _list(value: Any, origin: Any, inner: tuple[Any, ...], place: Place) -> Any:
    """A list, from a list, tuple, single value, comma-separated text or mapping of members."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        value = _loaded(value, place)
    elif isinstance(value, str):
        value = [type(value)(each.strip()) for each in value.split(",") if each.strip()]
    named: list[str] = []
    if isinstance(value, Mapping) and "class_path" not in value:
        named = [f"{place.name}.{name}" for name in value]
        value = [
            {"class_path": name, "init_args": _loaded(options, place) or {}}
            for name, options in value.items()
        ]
    values = list(value) if isinstance(value, list | tuple) else [value]
    each = inner[0] if inner else Any
    kinds = [each] * len(values)
    if origin is tuple and inner[-1:] != (Ellipsis,):
        kinds = list(inner)
    if len(kinds) != len(values):
        raise UserError(f"Expected {len(kinds)} values for {place.name}, got {len(values)}.")
    found = [
        convert(one, kind, replace(place, name=name, default=None))
        for one, kind, name in zip(values, kinds, named or [place.name] * len(values), strict=True)
    ]
    return found if origin is list else tuple(found)


def _maker(value: Any, kind: Any, place: Place) -> Any:
    """A function that makes a member of a kind: its class, a partial of it with options, or a
    partial of another function that makes one."""
    of_any = callable(value) or kind is Any or not isclass(kind) or word_of(kind) == "class"
    if of_any or _is_of_function(value, place):
        found = place.found(value, "function") if isinstance(value, str) else value
        made = _untyped(found, place)
        if not callable(made):
            raise UserError(
                f"Expected a function for {place.name}, as package.module.name; got '{value}'."
            )
        return made
    made, options = _chosen(value, kind, place, getattr(place.default, "func", place.default))
    if not isclass(made):
        return made
    if isinstance(place.default, functools.partial) and made is place.default.func:
        options = {**place.default.keywords, **options}
    # Arguments passed later, such as a model, are not options.
    keywords = _keywords(made, options, place)
    return functools.partial(made, **keywords) if keywords else made


def _is_of_function(value: Any, place: Place) -> bool:
    """Whether it is the spec of a partial of a function that is no class."""
    if not (isinstance(value, Mapping) and "class_path" in value and value.get("partial")):
        return False
    path = class_path(value, place)
    return "." in path and isfunction(place.found(path, "function"))


def _instance(value: Any, kind: type, place: Place) -> Any:
    if isinstance(value, kind):
        return value
    default = place.default
    if value is None and isinstance(default, kind):
        return default
    made, options = _chosen(value, kind, place, None if default is None else type(default))
    if not isclass(made):
        return made
    if isinstance(value, Mapping) and "class_path" not in value and type(default) is made:
        options = {**arguments_of(default), **options}
    return made(**converted(made, options, place))


def _chosen(value: Any, kind: type, place: Place, default: Any) -> tuple[Any, Mapping[str, Any]]:
    """The class of the member, and its options."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        value = _loaded(value, place)
    only = [each for each in members(kind).values() if isclass(each)]
    alone = not isabstract(kind) and only in ([], [kind])
    one_of_many = any(isabstract(base) for base in kind.__mro__[1:])
    named = isinstance(value, Mapping) or _names_class(value, kind)
    if alone and not one_of_many and not named:
        raise UserError(
            f"Expected options for {place.name}, as {{OPTION: VALUE}} with one or more of "
            f"{', '.join(parameters(kind))}; got '{value}'."
        )
    if isinstance(value, str):
        return member(value, kind, place.taker, place.found), {}
    if not isinstance(value, Mapping):
        raise UserError(
            f"Expected {_a(word_of(kind))} for {place.name}: its name, or {{class_path: NAME, "
            f"init_args: {{...}}}}; got '{value}'."
        )
    if "class_path" in value:
        found = member(class_path(value, place), kind, place.taker, place.found)
        return found, value.get("init_args") or {}
    if isclass(default) and issubclass(default, kind):
        return default, value
    if alone:
        return kind, value
    if len(only) == 1:
        return only[0], value
    option = next(iter(value), "option")
    raise UserError(
        f"Choose one before --{place.name}.{option}: --{place.name} NAME --{place.name}.{option} "
        f"..., or in a file {{class_path: NAME, init_args: {{{option}: ...}}}}."
    )


def _names_class(value: Any, kind: type) -> bool:
    """Whether it is the name of a kind without members, or the import path of one's own."""
    named = isinstance(value, str) and value.lower() == kind.__name__.lower()
    return named or (isinstance(value, str) and _IMPORTABLE.fullmatch(value) is not None)


def _a(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _made(made: Any, value: Mapping[str, Any], place: Place) -> Any:
    options = value.get("init_args") or {}
    place = replace(place, name=place.name or getattr(made, "__name__", ""))
    if value.get("partial"):
        return functools.partial(made, **_keywords(made, options, place))
    return made(**converted(made, options, place))


def _keywords(made: Any, options: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """Converted options of a class whose other arguments are passed later."""
    later = {
        n: None for n, each in signature(made).parameters.items() if each.default is each.empty
    }
    found = converted(made, options, replace(place, given={**later, **place.given}))
    return {name: found[name] for name in options}


def _loaded(value: Any, place: Place) -> Any:
    """Text parsed as YAML."""
    if not isinstance(value, str):
        return value
    try:
        found = plain_values(value)
        return said(found) if isinstance(value, Said) else found
    except UserError as error:
        raise UserError(
            f"Expected a list such as [a, b] or names with options, as in [AutoAttack, "
            f"{{class_path: APGD, init_args: {{loss: dlr}}}}], for {place.name}, got '{value}'."
        ) from error
