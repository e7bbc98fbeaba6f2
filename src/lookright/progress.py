"""The progress bars of long computations."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from lookright.console import Terminal

S = TypeVar("S")
T = TypeVar("T")


class Telling(Progress):
    """A bar that, where it is no terminal's, is a line at most once a minute."""

    every: float = 60.0
    told: float | None = None

    def update(self, task_id: TaskID, **fields: Any) -> None:
        super().update(task_id, **fields)
        now = time.monotonic()
        self.told = now if self.told is None else self.told
        if self.console.is_terminal or now - self.told < self.every:
            return
        self.told, task = now, self._tasks[task_id]
        left = "" if task.time_remaining is None else f", about {task.time_remaining:.0f} s left"
        done = f"{task.completed:,.0f} of {task.total or 0:,.0f}"
        line = f"{task.description}: {done}{left}; {task.fields.get('note', '')}"
        self.console.print(line, soft_wrap=True, highlight=False)


def progress_bar(kind: type[Progress] = Progress, **options: Any) -> Progress:
    """A bar on stderr with steps done, time elapsed and time left; tasks have a field `note`.

    options: more of rich's.
    """
    return kind(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=Terminal(stderr=True),
        **options,
    )


@contextmanager
def counting(what: str, shown: bool) -> Iterator[Callable[[int], None]]:
    """A count on stderr for work of unknown length; gives a function that adds to it."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
        console=Terminal(stderr=True),
        transient=True,
        disable=not shown,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda count: bar.advance(task, count)


def in_threads(function: Callable[[S], T], items: Sequence[S], what: str | None = None) -> list[T]:
    """The function of every item, in a thread for each core, with a bar on stderr called `what`."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        with progress_bar(transient=True, disable=what is None) as bar:
            task = bar.add_task(what or "", note="")
            return list(bar.track(pool.map(function, items), len(items), task_id=task))
    finally:
        pool.shutdown(cancel_futures=True)
