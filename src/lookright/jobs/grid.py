"""Trains and evaluates several methods alike on Shortcut, with several seeds; resumable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookright.data import ImageData
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation.result import Result
from lookright.jobs.job import Job, Place
from lookright.jobs.launch import launch
from lookright.jobs.launchers import InProcess, Launcher, Workers
from lookright.jobs.training import Evaluation, Training
from lookright.methods import Method
from lookright.models import Classifier
from lookright.progress import progress_bar
from lookright.training import Run


@dataclass(frozen=True)
class Entry:
    """A row of a comparison: its name, a sentence about it, and how to make its method.

    method: its class, or a `functools.partial` of that with options.
    """

    name: str
    about: str
    method: Callable[[Classifier], Method]


def compare(
    title: str,
    entries: Sequence[Entry],
    data: ImageData,
    output: Path,
    *,
    domains: Sequence[str],
    seeds: int,
    epochs: int,
    command: Callable[[int], str],
    protocol: Protocol = Protocol(),  # noqa: B008
    batch_size: int = 64,
    validations: int = 5,
    workers: int = 1,
    trained: Callable[[Run], None] = lambda run: None,
) -> list[tuple[Run, Result]]:
    """Train each entry's small_resnet on the domain `train` with seeds 0, 1, ... and evaluate it.

    Each training is a job in a folder of its own in `output`; what is done is not done again.

    Args:
        title: of the progress bar.
        domains: those to evaluate on.
        command: gives the command line for a number of seeds; kept in each result.
        validations: how often the best epoch is looked for in a training.
        workers: trainings and evaluations at the same time, each in a process of its own; 1 is this
            process.
        trained: called with each run that is trained.

    Raises:
        UserError: fewer than one seed or worker; jobs that have failed, with their errors.
    """
    if seeds < 1:
        raise UserError(f"seeds is a number of seeds, 1 or more; got {seeds}.")
    options = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": 1e-2,
        "validate_every": max(1, epochs // validations),
    }
    jobs = [
        Evaluation(
            Training(entry.name, entry.method, data, ("train",), seed, options=options),
            tuple(domains),
            protocol,
            entry.about,
            command(seed + 1),
        )
        for seed in range(seeds)
        for entry in entries
    ]
    launcher: Launcher = InProcess() if workers == 1 else Workers(workers)

    def told(job: Job, place: Place) -> None:
        if isinstance(job, Training):
            trained(Run(place.folder))

    with progress_bar() as bar:
        failures = launch(jobs, output, launcher, bar, title, told)
    if failures:
        listed = "; ".join(f"{each.job.title}: {each.error.rstrip('.')}" for each in failures)
        raise UserError(
            f"{len(failures)} jobs of the {title} have failed: {listed}. The others are done; the "
            "same command tries these again."
        )
    folders = [job.place(output).folder for job in jobs]
    return [(Run(folder), job.result(folder)) for job, folder in zip(jobs, folders, strict=True)]
