"""The error for users' mistakes: what was expected, what was given, how to fix it."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_HALVES = "[\ud800-\udc7f\udd00-\udfff]"
"""Halves of characters, except those that stand for the bytes of a file's name."""


class UserError(Exception):
    """A mistake in the user's input; the command line prints it as one line without a traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(name: str) -> str:
    r"""Text that any file can hold: bytes of a file's name that are not UTF-8 are written \xe9,
    and halves of characters, which YAML and JSON can name, \ud800."""
    whole = re.sub(_HALVES, lambda found: found[0].encode("unicode_escape").decode(), name)
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class StoppedError(UserError):
    """Work that the user has stopped; the message says how to go on."""


class UnreadError(Exception):
    """Nobody reads the output any more, as after `| head`."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The text " Did you mean 'x'?" for the nearest candidate (ignoring case), or an empty one."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    nearest = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return f" Did you mean '{by_lower[nearest[0]]}'?" if nearest else ""


def some(names: Sequence[str]) -> str:
    """The first ten names, followed by "..." if there are more."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
