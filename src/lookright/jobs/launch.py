"""Does all jobs that are not done, on a launcher, and says which have failed."""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from lookright.errors import UserError
from lookright.jobs.job import Job, error_of, is_free, progress_of, state
from lookright.jobs.launchers import Launcher, Ongoing
from lookright.jobs.worker import DONE, FAILED, HELD

_TRIES = 3
_SECONDS = 0.2
_BAR = 100


@dataclass(frozen=True)
class Failure:
    """A job that could not be done, and why."""

    job: Job
    folder: Path
    error: str


@dataclass(frozen=True)
class _Running:
    job: Job
    ongoing: Ongoing
    task: TaskID


def launch(
    jobs: Sequence[Job],
    root: Path,
    launcher: Launcher,
    progress: Progress,
    title: str = "jobs",
    told: Callable[[Job, Path], None] = lambda job, folder: None,
) -> list[Failure]:
    """Do the jobs in their folders in `root`, and return those that have failed.

    A job that is done is not done again. One that another process is doing is waited for. One whose
    worker is killed is begun again, up to three times in all; it goes on after its last epoch or
    batch. A job that fails does not stop the others, and is tried again at the next launch.

    told: called with each job that has been done, and its folder.

    Raises:
        UserError: two jobs that are the same.
        KeyboardInterrupt: after Ctrl-C, when all workers have stopped; the next launch goes on.
    """
    places = _places(jobs, root)
    overall = progress.add_task(title, total=len(places), note="")
    waiting, tries = deque(places), Counter[Path]()
    running: dict[Path, _Running] = {}
    failures: list[Failure] = []
    ended = 0
    try:
        while waiting or running:
            for folder in list(waiting):
                if state(folder) == "done":
                    waiting.remove(folder)
                    ended += 1
                    told(places[folder], folder)
                elif len(running) < launcher.slots and is_free(folder):
                    waiting.remove(folder)
                    tries[folder] += 1
                    running[folder] = _start(places[folder], folder, launcher, progress)
            for folder, each in list(running.items()):
                code = each.ongoing.poll()
                if code is None:
                    continue
                del running[folder]
                progress.remove_task(each.task)
                if code in (DONE, HELD) or (code != FAILED and tries[folder] < _TRIES):
                    waiting.appendleft(folder)
                else:
                    failures.append(Failure(each.job, folder, _why(folder, code)))
                    ended += 1
            shares = [_show(folder, each, progress) for folder, each in running.items()]
            progress.update(overall, completed=ended + sum(shares))
            if running or waiting:
                time.sleep(_SECONDS)
    finally:
        for each in running.values():
            each.ongoing.stop()
    return failures


def _places(jobs: Sequence[Job], root: Path) -> dict[Path, Job]:
    """The jobs by their folders."""
    places: dict[Path, Job] = {}
    for job in jobs:
        folder = job.place(root)
        if folder in places:
            raise UserError(
                f"Two jobs called {job.title} are the same: leave one of them out, or give it "
                "another seed or option."
            )
        places[folder] = job
    return places


def _start(job: Job, folder: Path, launcher: Launcher, progress: Progress) -> _Running:
    task = progress.add_task(f"  {job.title}", total=_BAR, note="starting", visible=False)
    return _Running(job, launcher.start(job, folder, progress), task)


def _show(folder: Path, each: _Running, progress: Progress) -> float:
    """Show how far a running job is; its share."""
    share, note = progress_of(folder)
    progress.update(each.task, completed=share * _BAR, note=note, visible=True)
    return share


def _why(folder: Path, code: int) -> str:
    if code == FAILED and (error := error_of(folder)):
        return error
    return f"its process ended with exit code {code}: see {folder / 'job' / 'log.txt'}"
