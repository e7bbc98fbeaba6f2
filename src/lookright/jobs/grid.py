"""Grids of jobs: methods x training domains x seeds, trained and evaluated alike; resumable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lookright.data import ImageData
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation.result import Result
from lookright.jobs.job import Job, Place
from lookright.jobs.launch import launch
from lookright.jobs.launchers import choose
from lookright.jobs.training import Evaluation, Training
from lookright.methods import Method
from lookright.models import Classifier
from lookright.progress import progress_bar
from lookright.training import Run
from lookright.training.run import Which


@dataclass(frozen=True)
class Entry:
    """A row of a table: its name, a sentence about it, and how to make its method.

    method: its class, or a `functools.partial` of that with options. options: arguments of `fit`
    for this method alone.
    """

    name: str
    about: str
    method: Callable[[Classifier], Method]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Grid:
    """What the trainings of a grid share.

    domains: those to evaluate on. options: arguments of `fit`. model, weights, pretrained: as in
    `build_model`. which: the epoch that is evaluated. command: gives the command line for a seed;
    kept in each result.
    """

    data: ImageData
    domains: Sequence[str]
    options: Mapping[str, Any]
    protocol: Protocol = Protocol()  # noqa: RUF009
    model: str = "small_resnet"
    weights: Path | None = None
    pretrained: bool = False
    which: Which = "best"
    command: Callable[[int], str] = lambda seed: ""

    def training(self, entry: Entry, domains: Sequence[str], seed: int) -> Training:
        """The training of an entry on these domains."""
        return Training(
            entry.name,
            entry.method,
            self.data,
            tuple(domains),
            seed,
            self.model,
            self.weights,
            self.pretrained,
            {**self.options, **entry.options},
        )

    def evaluation(
        self, entry: Entry, training: Training, held_out: Sequence[str] = (), name: str = ""
    ) -> Evaluation:
        """The evaluation of a training of the entry."""
        return Evaluation(
            training,
            tuple(self.domains),
            self.protocol,
            entry.about,
            self.command(training.seed),
            self.which,
            tuple(held_out),
            name,
        )

    def jobs(
        self, entries: Sequence[Entry], cells: Sequence[Sequence[str]], seeds: Sequence[int]
    ) -> list[Evaluation]:
        """Every entry on every set of training domains with every seed, the first seed first."""
        return [
            self.evaluation(entry, self.training(entry, cell, seed))
            for seed in seeds
            for cell in cells
            for entry in entries
        ]


def counted(seeds: int) -> range:
    """The seeds 0, 1, ...

    Raises:
        UserError: fewer than one.
    """
    if seeds < 1:
        raise UserError(f"seeds is a number of seeds, 1 or more; got {seeds}.")
    return range(seeds)


def small_options(epochs: int, batch_size: int = 64, validations: int = 5) -> dict[str, Any]:
    """How a small_resnet is trained on Shortcut; validations: how often the best epoch is looked
    for."""
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": 1e-2,
        "validate_every": max(1, epochs // validations),
    }


def compare(
    title: str,
    jobs: Sequence[Evaluation],
    output: Path,
    workers: int = 1,
    trained: Callable[[Run], None] = lambda run: None,
    threads: int | None = None,
) -> list[tuple[Run, Result]]:
    """Do all trainings and evaluations below `output`, and return runs and results.

    trained: called with each run that is trained; otherwise as `finished`.
    """

    def told(job: Job, place: Place) -> None:
        if isinstance(job, Training):
            trained(Run(place.folder))

    folders = finished(title, jobs, output, workers, told, threads)
    return [(Run(folder), job.result(folder)) for job, folder in zip(jobs, folders, strict=True)]


def finished(
    title: str,
    jobs: Sequence[Job],
    output: Path,
    workers: int = 1,
    told: Callable[[Job, Place], None] = lambda job, place: None,
    threads: int | None = None,
) -> list[Path]:
    """Do all jobs below `output`, with a bar, and return their folders.

    What is done is not done again. workers: jobs at the same time, each in a process of its own; 1
    is this process. told: called with each job that is done, and its place. threads: of each job;
    None is its share of the cores.

    Raises:
        UserError: fewer than one worker; jobs that have failed, with their errors.
    """
    with progress_bar() as bar:
        failures = launch(jobs, output, choose(workers, threads=threads), bar, title, told)
    if failures:
        listed = "; ".join(f"{each.job.title}: {each.error.rstrip('.')}" for each in failures)
        raise UserError(
            f"{len(failures)} jobs of the {title} have failed: {listed}. The others are done; the "
            "same command tries these again."
        )
    return [job.place(output).folder for job in jobs]
