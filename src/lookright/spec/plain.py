"""Plain values converted to their types: numbers, bools, text, paths, one of several choices."""

import re
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from lookright.errors import UserError, did_you_mean
from lookright.files import as_path
from lookright.spec.place import PROGRAMS, ClassPath, ModelName, Place

WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
}
_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
_FRACTION = re.compile(r"(-?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")


def words_for(kind: Any) -> str:
    """What is expected of a plain value of that kind, in words."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, get_args(kind)))}"
    return WORDS[kind]


def plain(value: Any, kind: type, place: Place) -> Any:
    """Numbers, bools, text and paths, which may be given as text.

    Raises:
        UserError: a value of another kind.
    """
    found: Any = None
    if kind is bool:
        found = value if isinstance(value, bool) else _BOOLS.get(str(value).lower())
    elif kind is str or kind is Path:
        text = str(value) if isinstance(value, str | int | float | Path) else None
        found = as_path(text) if kind is Path and text is not None else text
    elif not isinstance(value, bool):
        found = _number(value, kind, place)
    if found is None:
        raise UserError(f"Expected {WORDS[kind]} for {place.name}, got '{value}'.")
    return found


def _number(value: Any, kind: type, place: Place) -> int | float | None:
    """The number, or None; of those that a user gives, one that is finite and of 64 bits."""
    try:
        part = _FRACTION.fullmatch(value.strip()) if isinstance(value, str) else None
        found = float(part[1]) / float(part[2]) if part else kind(value)
        whole = kind is not int or (not part and found == float(value))
        usual = kind is not int or abs(found) < 2**63
        fits = whole and (place.trust != "said" or (usual and isfinite(found)))
    except (ValueError, TypeError, ArithmeticError):
        return None
    return found if fits else None


def code(value: Any, kind: Any, place: Place) -> str:
    """Text that may name code.

    Raises:
        UserError: it names code, and does not come from the user.
    """
    text = plain(value, str, place)
    program = kind is ModelName and Path(text).suffix in PROGRAMS
    if ":" in text or program or (kind is ClassPath and "." in text):
        place.require_trusted(value)
    return text


def class_path(value: Any, place: Place) -> str:
    """The name of a class that is given with its options, of which there may be none.

    Raises:
        UserError: something else is given.
    """
    given = dict(value) if isinstance(value, Mapping) else {}
    path, options = given.pop("class_path", None), given.pop("init_args", None)
    given.pop("partial", None)
    if not isinstance(path, str) or not isinstance(options, Mapping | None) or given:
        raise UserError(
            f"Expected {{class_path: NAME, init_args: {{...}}}} for {place.name or 'a spec'}, got "
            f"'{value}'."
        )
    return path


def choice(value: Any, choices: tuple[Any, ...], place: Place) -> Any:
    """The one of the choices that is meant.

    Raises:
        UserError: none of them (the nearest is suggested).
    """
    by_text = {str(choice): choice for choice in choices}
    if str(value) in by_text:
        return by_text[str(value)]
    near = did_you_mean(str(value), by_text)
    listed = ", ".join(map(repr, choices))
    raise UserError(f"Expected one of {listed} for {place.name}, got '{value}'.{near}")
