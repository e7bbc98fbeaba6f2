"""The name of this machine stays out of what is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any


@contextmanager
def unnamed_host() -> Iterator[None]:
    """Within it, TensorBoard does not write the host into the names of the files that it opens."""
    from tensorboard.summary.writer import event_file_writer

    own: Any = event_file_writer.socket
    event_file_writer.socket = SimpleNamespace(gethostname=lambda: "host")
    try:
        yield
    finally:
        event_file_writer.socket = own
