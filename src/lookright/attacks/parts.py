"""Refuses what is no part of its kind, such as the name of one, or its class without brackets."""

from lookright.errors import UserError


def check_part(name: str, given: object, example: str, kind: type) -> None:
    """Raise UserError unless an option is an object of that kind; example: how one is written."""
    if not isinstance(given, kind):
        raise UserError(
            f"Expected {name} to be a part of the kind {kind.__name__}, such as {example}, got "
            f"{_said(given)}."
        )


def check_parts(name: str, given: object, example: str, kind: type = object) -> None:
    """Raise UserError unless an option is a tuple or list of objects of that kind."""
    if not isinstance(given, tuple | list):
        raise UserError(f"Expected {name} to be a tuple, such as ({example},), got {_said(given)}.")
    for each in given:
        check_part(f"each of {name}", each, example, kind)


def _said(given: object) -> str:
    """In one line."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    return " ".join(repr(given).split())
