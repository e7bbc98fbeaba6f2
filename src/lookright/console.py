"""Errors and notes on the terminal, one line each."""

from textwrap import shorten
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from lookright.errors import UserError, printable


def fail(message: str, code: int) -> NoReturn:
    """Print an error as one line and exit."""
    _line(("error:", "bold red"), message)
    raise SystemExit(code)


def mistake_behind(error: BaseException) -> str | None:
    """The message of the user's mistake behind an error, however wrapped; None if there is none."""
    if isinstance(error, UserError):
        return str(error)
    from lookright.memory import out_of_memory  # imports torch, which takes seconds

    if isinstance(error, OSError) and error.strerror:
        where = f" for {error.filename}" if error.filename else ""
        return f"The system says '{error.strerror}'{where}: correct that, or choose another path."
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
    misconfigured = type(error).__name__ == "MisconfigurationException"  # Lightning's own
    return " ".join(str(error).split()) if misconfigured else None


def _line(start: tuple[str, str], message: str) -> None:
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in printable(message))
    Console(stderr=True, soft_wrap=True).print(Text.assemble(start, " ", shown))


def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Show a warning to the user as one line; replaces `warnings.showwarning`."""
    if issubclass(category, UserWarning):
        _line(("note:", "yellow"), " ".join(str(message).split()))
