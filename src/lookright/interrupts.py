"""Ctrl-C: one clear line and exit code 130, whenever it comes.

A command starts with `stop_at_once`, because a KeyboardInterrupt while torch is imported aborts the
process with an error of C++. Once its libraries are there, `raised` lets the command put its files
in order.
"""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPED = 130
"""The exit code, as a shell has it."""

_PATIENCE = 2.0
"""Seconds until a Ctrl-C that has stopped nothing is repeated."""

_LINE = "error: Stopped; finished work is kept.\n"
_SHOW_CURSOR = "\x1b[2K\r\x1b[?25h"


def begin() -> None:
    """End the process at once on Ctrl-C, unless the caller has decided otherwise, as nohup does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_at_once)


@contextmanager
def raised() -> Iterator[None]:
    """Within it, Ctrl-C raises KeyboardInterrupt, and again where that is lost."""
    before = signal.getsignal(signal.SIGINT)
    if before is not _stop_at_once:
        yield
        return
    raising = _Raising()
    signal.signal(signal.SIGINT, raising)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        raising.ended.set()


def stopped() -> int:
    """The exit code after a Ctrl-C, with which Python will end.

    A KeyboardInterrupt that has passed `exec`, by which dataclasses are made, is remembered, and
    `python -m` would end with the signal instead; executing anything else forgets it.
    """
    exec("")
    return STOPPED


class _Raising:
    """Raises KeyboardInterrupt on Ctrl-C, and again until nothing is done but to put in order.

    A `__del__` and a bare `except` of any library swallow it, and the command would run on.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.asking: threading.Thread | None = None
        self.again = False

    def __call__(self, *given: Any) -> None:
        again, self.again = self.again, False
        if again and _puts_in_order():
            return
        if self.asking is None:
            self.asking = threading.Thread(target=self._ask, daemon=True)
            self.asking.start()
        raise KeyboardInterrupt

    def _ask(self) -> None:
        """Repeat the signal, unless another handler has taken it over, as Lightning does."""
        while not self.ended.wait(_PATIENCE):
            handler: object = signal.getsignal(signal.SIGINT)
            if handler is self:
                self.again = True
                _thread.interrupt_main()


def _puts_in_order() -> bool:
    """Whether the main thread handles a KeyboardInterrupt already."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _stop_at_once(*given: Any) -> None:
    """End without unwinding, and show the cursor that a status may have hidden."""
    cursor = _SHOW_CURSOR * bool(sys.stderr and sys.stderr.isatty())
    os.write(2, f"{cursor}{_LINE}".encode())
    os._exit(STOPPED)
