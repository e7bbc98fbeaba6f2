"""Ctrl-C: one clear line and exit code 130, whenever it comes.

A command starts with `stop_at_once`, because a KeyboardInterrupt while torch is imported aborts the
process with an error of C++. Once its libraries are there, `raised` lets the command put its files
in order.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPED = 130
"""The exit code, as a shell has it."""

_LINE = "error: Stopped; finished work is kept.\n"
_SHOW_CURSOR = "\x1b[2K\r\x1b[?25h"


def begin() -> None:
    """End the process at once on Ctrl-C, unless the caller has decided otherwise, as nohup does."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop_at_once)


@contextmanager
def raised() -> Iterator[None]:
    """Within it, Ctrl-C raises KeyboardInterrupt."""
    before = signal.getsignal(signal.SIGINT)
    if before is not _stop_at_once:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop_at_once(*given: Any) -> None:
    """End without unwinding, and show the cursor that a status may have hidden."""
    cursor = _SHOW_CURSOR * bool(sys.stderr and sys.stderr.isatty())
    os.write(2, f"{cursor}{_LINE}".encode())
    os._exit(STOPPED)
