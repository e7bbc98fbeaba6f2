"""Running a benchmark: its jobs, what they have given so far, and what has failed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from lookright.benchmark.comparisons import ImageValues
from lookright.benchmark.scheme import schemes
from lookright.benchmark.selection import Row
from lookright.errors import UserError
from lookright.evaluation.result import Result
from lookright.jobs.job import Job, Place
from lookright.jobs.launch import Failure, launch
from lookright.jobs.launchers import Launcher
from lookright.jobs.training import Evaluation
from lookright.training import Run

Judged = list[tuple[Run, Result]]


@dataclass
class Standing:
    """What a benchmark has given so far, in the order of its rows.

    changed: called after each evaluation.
    """

    rows: Sequence[Row]
    output: Path
    changed: Callable[["Standing"], None] = lambda standing: None
    found: dict[Path, tuple[Run, Result]] = field(default_factory=dict)
    unread: list[Failure] = field(default_factory=list)

    @property
    def judged(self) -> Judged:
        """The finished rows."""
        order = {(row.name, row.domains, row.seed): at for at, row in enumerate(self.rows)}

        def place(pair: tuple[Run, Result]) -> int:
            result = pair[1]
            return order[result.name, result.train_domain, result.seed or 0]

        return sorted(self.found.values(), key=place)

    @property
    def newest(self) -> Result:
        """That of the last evaluation that was finished."""
        return list(self.found.values())[-1][1]

    def take(self, job: Job, place: Place) -> None:
        """Take what a job has given."""
        if not isinstance(job, Evaluation) or place.about in self.found:
            return
        try:
            self.found[place.about] = _given(job, place)
        except UserError as error:
            self.unread.append(Failure(job, place, str(error)))
            return
        self.changed(self)


def _given(job: Evaluation, place: Place) -> tuple[Run, Result]:
    """What an evaluation has given, once everything of it that stands in the tables can be read."""
    run, result = Run(place.folder), job.result(place.folder)
    try:
        for scheme in schemes([(run, result)]):
            ImageValues(scheme)
    except UserError as error:
        raise UserError(
            f"{error} Or delete {place.folder}, and the same command makes it anew."
        ) from error
    return run, result


def first(rows: Sequence[Row]) -> Iterator[Job]:
    """The jobs that are known from the start: without those that follow from a choice."""
    for row in rows:
        if len(row.trials) == 1:
            yield row.evaluation(row.trials[0])
        else:
            for trial in row.trials:
                yield from row.scorings(trial)


def run(standing: Standing, launcher: Launcher, progress: Progress, title: str) -> list[Failure]:
    """Do all jobs of the rows, and return those that have failed, without those that need them."""
    output, rows = standing.output, standing.rows
    failures = launch(list(first(rows)), output, launcher, progress, title, standing.take)
    lost = {each.place for each in failures}
    later = []
    for row in rows:
        if len(row.trials) > 1:
            scorings = [job.place(output) for trial in row.trials for job in row.scorings(trial)]
            if not lost.intersection(scorings):
                later.append(row.evaluation(row.best(output)))
    if later:
        failures += launch(later, output, launcher, progress, title, standing.take)
    lost = {each.place for each in failures}
    failed = [
        each
        for each in failures
        if each.job.needs is None or each.job.needs.place(output) not in lost
    ]
    return [*failed, *standing.unread]
