"""The one place where text goes to the terminal: results, errors and notes, all made visible."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from io import TextIOWrapper
from textwrap import shorten
from typing import Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lookright.errors import UnreadError, UserError
from lookright.visible import visible

_HUSHED = ContextVar("hushed", default=False)


@contextmanager
def hushed(silent: bool = True) -> Iterator[None]:
    """Within it, nothing is told but errors: another process tells the rest."""
    before = _HUSHED.set(silent)
    try:
        yield
    finally:
        _HUSHED.reset(before)


class Terminal(Console):
    """A console on which no text acts: control characters are shown as their escapes, and what rich
    would take for markup or an emoji, as [bold] and :fire:, as it is."""

    def __init__(self, **options: Any) -> None:
        plain = {"quiet": _HUSHED.get(), "markup": False, "emoji": False}
        super().__init__(**plain | options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """The segments of a renderable; all that is printed passes through here."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else visible(text), style, control)

    def on_broken_pipe(self) -> NoReturn:
        """Called by rich where a write fails; its own would end the process."""
        raise UnreadError


def say(text: str, end: str = "\n") -> None:
    """Print text as it is, on stdout."""
    if _HUSHED.get():
        return
    try:
        print(visible(text), end=end, flush=True)
    except BrokenPipeError as error:
        raise UnreadError from error


def show(renderable: RenderableType) -> None:
    """Print a table, or anything else that rich draws, on stdout."""
    Terminal().print(renderable)


def fail(message: str, code: int) -> NoReturn:
    """Print an error as one line, unless it is empty, and exit."""
    if message:
        _line(("error:", "bold red"), message)
    raise SystemExit(code)


def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Show a warning to the user as one line; replaces `warnings.showwarning`."""
    if issubclass(category, UserWarning) and not _HUSHED.get():
        _line(("note:", "yellow"), " ".join(str(message).split()))


def _line(start: tuple[str, str], message: str) -> None:
    text = Text.assemble(start, " ", visible(message).replace("\n", " "))
    Terminal(stderr=True, soft_wrap=True, quiet=False).print(text)


def write_any_text() -> None:
    """From now on, write characters that the output's encoding lacks as escapes."""
    for stream in _outputs():
        stream.reconfigure(errors="backslashreplace")


def write_nowhere() -> None:
    """Discard the output from now on, with what was not read of it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in _outputs():
        os.dup2(nowhere, stream.fileno())


def _outputs() -> Iterable[TextIOWrapper]:
    return (each for each in (sys.stdout, sys.stderr) if isinstance(each, TextIOWrapper))


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
