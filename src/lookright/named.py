"""Names of the user's own functions and classes, for results and messages."""

from collections import Counter
from collections.abc import Iterable

from lookright.errors import UserError


def refuse_same(names: Iterable[str], what: str) -> None:
    """Raise UserError if a name stands there twice, since results are kept by names."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(
            f"Two {what} are called {twice[0]}, and figures are kept by name: give each a name of "
            "its own, such as that of a function or of a class of your own."
        )


def name_of(part: object) -> str:
    """The name of a function or class, or of the class of any other object."""
    return getattr(part, "__name__", type(part).__name__)
