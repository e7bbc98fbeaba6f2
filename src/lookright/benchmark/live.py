"""What a running benchmark shows and keeps up to date: a bar, the means so far, and the files."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.progress import Progress

from lookright.benchmark.contents import contents
from lookright.benchmark.hypotheses import Recorded, renamed
from lookright.benchmark.plan import Benchmark
from lookright.benchmark.run import Standing
from lookright.benchmark.terminal import terminal_table
from lookright.benchmark.write import write_contents
from lookright.console import Terminal
from lookright.drawing import count
from lookright.errors import UserError
from lookright.evaluation.grouping import measures_of
from lookright.evaluation.result import Result
from lookright.jobs import Failure
from lookright.locks import HeldError
from lookright.metrics.classification import ACCURACY, ACCURACY_ADVERSARIAL
from lookright.metrics.measure import balancing
from lookright.progress import progress_bar

_RARELY = 20
"""The files are written again after this many times the seconds that it took before."""

_LOOKS = 20
"""How often one tries again, each time half a second, where another command writes."""


class Display:
    """Shows how far a benchmark is, and keeps its tables up to date.

    findings: a line for each hypothesis, as it was written last.
    """

    def __init__(self, benchmark: Benchmark, hypotheses: Sequence[Recorded] = ()) -> None:
        self.benchmark = benchmark
        self.hypotheses = hypotheses
        self.findings: list[str] = []
        self.terminal = Terminal(stderr=True)
        self.bar: Progress = progress_bar()
        self.live: Live | None = None
        self.due = 0.0

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """The bar, with the table of means above it where there is a terminal."""
        if not self.terminal.is_terminal:
            yield self.bar
            return
        with Live(Group(self.bar), console=self.terminal, transient=True) as self.live:
            yield self.bar

    def changed(self, standing: Standing) -> None:
        """Called after each evaluation."""
        judged = standing.judged
        if self.live is not None:
            self.live.update(Group(terminal_table(judged, self.benchmark.label), self.bar))
        else:
            said = f"{len(judged)} of {len(standing.rows)}: {line(standing.newest)}"
            self.terminal.print(said, soft_wrap=True, highlight=False)
        begun = time.monotonic()
        if begun >= self.due:
            with suppress(UserError):  # what is wrong is said at the end, and the jobs go on
                self.write(standing)
            ended = time.monotonic()
            self.due = ended + _RARELY * (ended - begun)

    def finish(self, standing: Standing, failures: Sequence[Failure]) -> Path | None:
        """`write`, after another command with the same output that is just doing so."""
        for _ in range(_LOOKS):
            with suppress(HeldError):
                return self.write(standing, failures)
        return self.write(standing, failures)

    def write(self, standing: Standing, failures: Sequence[Failure] = ()) -> Path | None:
        """Write the tables and the page of what is finished; gives the page, None without results.

        Raises:
            UserError: they cannot be written.
        """
        judged, missing = standing.judged, len(standing.rows) - len(standing.judged)
        if not judged:
            return None
        lines = [f"{each.job.title} failed: {each.error}" for each in failures]
        if missing:
            lines.insert(0, f"{missing} of {count(len(standing.rows), 'evaluation')} are missing.")
        names = {each.trials[0].name: each.name for each in standing.rows}
        found = contents(
            judged,
            self.benchmark.title,
            self.benchmark.figures,
            self.benchmark.label,
            lines,
            names.get(self.benchmark.against, ""),
            renamed(self.hypotheses, names),
        )
        self.findings = found.findings
        return write_contents(found, standing.output)


def line(result: Result) -> str:
    """A result in one line: accuracy, also under attack, in each domain; balanced accuracies where
    classes are imbalanced."""
    told, measures = [], measures_of([result]).values()
    shown = [balancing(each, measures) for each in (ACCURACY, ACCURACY_ADVERSARIAL)]
    for domain, here in result.domains.items():
        figures = [
            measure.show(here.measures[measure.key].value)
            for measure in shown
            if measure.key in here.measures
        ]
        star = "*" if here.in_distribution else ""
        told.append(f"{domain}{star} {' / '.join(figures)}")
    on = " + ".join(result.train_domain)
    return f"{result.name} on {on}, seed {result.seed}: {', '.join(told)}"
