"""What a running benchmark shows: a bar, and the means so far."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

from rich import box
from rich.console import Group
from rich.live import Live
from rich.progress import Progress
from rich.table import Table

from lookright.benchmark.outputs import write
from lookright.benchmark.run import Judged, Standing
from lookright.console import Terminal
from lookright.evaluation.result import Result
from lookright.metrics.classification import ACCURACY, ACCURACY_ADVERSARIAL
from lookright.progress import progress_bar

_RARELY = 20
"""The files are written again after this many times the seconds that it took before."""


class Display:
    """Shows how far a benchmark is, and keeps its files up to date."""

    def __init__(self, title: str, output: Path) -> None:
        self.title, self.output = title, output
        self.terminal = Terminal(stderr=True)
        self.bar: Progress = progress_bar()
        self.live: Live | None = None
        self.wait, self.written = 0.0, 0.0

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """The bar, with the table of means below it where there is a terminal."""
        if not self.terminal.is_terminal:
            yield self.bar
            return
        with Live(Group(self.bar), console=self.terminal, transient=True) as self.live:
            yield self.bar

    def changed(self, standing: Standing) -> None:
        """Called after each evaluation."""
        judged = standing.judged
        if self.live is not None:
            self.live.update(Group(means(judged, len(standing.rows)), self.bar))
        else:
            result = list(standing.found.values())[-1][1]
            self.terminal.print(
                f"{len(judged)} of {len(standing.rows)}: {line(result)}", soft_wrap=True
            )
        begun = time.monotonic()
        if begun - self.written > self.wait:
            write(judged, self.output, self.title)
            self.written = time.monotonic()
            self.wait = _RARELY * (self.written - begun)


def line(result: Result) -> str:
    """A result in one line."""
    told = [
        f"{words} {value:.3f}"
        for words, value in zip(_WORDS, figures([result]), strict=True)
        if value is not None
    ]
    on = " + ".join(result.train_domain)
    return f"{result.name}, trained on {on}, seed {result.seed}: {', '.join(told)}"


_WORDS = ("accuracy", "attacked", "out of distribution", "attacked there")


def figures(results: Sequence[Result]) -> list[float | None]:
    """Mean accuracy, clean and attacked, in distribution and out of it."""
    found: list[float | None] = []
    for inside in (True, False):
        for measure in (ACCURACY, ACCURACY_ADVERSARIAL):
            values = [
                here.measures[measure.key].value
                for result in results
                for here in result.domains.values()
                if here.in_distribution == inside and measure.key in here.measures
            ]
            found.append(fmean(values) if values else None)
    return found


def means(judged: Judged, rows: int) -> Table:
    """The means over all finished rows of each method."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, caption=f"{len(judged)} of {rows} rows")
    table.add_column("method")
    for words in _WORDS:
        table.add_column(words, justify="right")
    by_name: dict[str, list[Result]] = {}
    for _, result in judged:
        by_name.setdefault(result.name, []).append(result)
    for name, results in by_name.items():
        cells = ("-" if each is None else f"{each:.3f}" for each in figures(results))
        table.add_row(name, *cells)
    return table
