"""Dataclasses written as JSON and read back."""

from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from math import nan
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lookright.errors import UserError

T = TypeVar("T")


def as_json(value: Any) -> Any:
    """Dataclasses, also within lists and mappings, as plain JSON values; anything else
    unchanged."""
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(asdict(value))
    if isinstance(value, dict):
        return {str(name): as_json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    return value


def read_as(kind: type[T], value: Any) -> T:
    """A value of that type, such as tuple[Estimate, ...], from its JSON.

    Raises:
        UserError: it was written from something else.
    """
    try:
        return _read(kind, value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(
            f"Expected a result to hold {getattr(kind, '__name__', kind)} where it has "
            f"{str(value)[:60]} ({error}): evaluate the model again, with --overwrite."
        ) from error


def _read(kind: Any, value: Any) -> Any:
    of, inner = get_origin(kind), get_args(kind)
    if of in (UnionType, Union):
        return None if value is None and NoneType in inner else _read(inner[0], value)
    if of is tuple:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise TypeError("expected a list")
        return tuple(_read(inner[0], each) for each in value)
    if of is dict:
        return {name: _read(inner[1], each) for name, each in value.items()}
    if of is Literal:
        return inner[inner.index(value)]
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        known = [each.name for each in fields(kind) if each.name in value]
        return kind(**{name: _read(hints[name], value[name]) for name in known})
    if kind is float:
        return nan if value is None else float(value)
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}")
    return value
