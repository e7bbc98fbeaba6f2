"""Does all jobs that are not done, on a launcher, and says which have failed."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from lookright.errors import UserError
from lookright.jobs.job import Job, Place
from lookright.jobs.launchers import Launcher, Ongoing
from lookright.jobs.worker import DONE, FAILED, HELD

_TRIES = 3
_SECONDS = 0.2
_BAR = 100


@dataclass(frozen=True)
class Failure:
    """A job that could not be done, and why."""

    job: Job
    place: Place
    error: str


@dataclass(frozen=True)
class _Running:
    job: Job
    ongoing: Ongoing
    task: TaskID


def _nothing(job: Job, place: Place) -> None:
    pass


def launch(
    jobs: Sequence[Job],
    root: Path,
    launcher: Launcher,
    progress: Progress,
    title: str = "jobs",
    told: Callable[[Job, Place], None] = _nothing,
) -> list[Failure]:
    """Do the jobs in their places below `root`, and return those that have failed.

    A job that is done is not done again. One that another process is doing is waited for. One whose
    worker is killed is begun again, up to three times in all; it goes on after its last epoch or
    batch. A job that fails does not stop the others, but for those that need it, and is tried again
    at the next launch.

    told: called with each job that is done, and its place.

    Raises:
        UserError: two jobs that are the same.
        KeyboardInterrupt: after Ctrl-C, when all workers have stopped; the next launch goes on.
    """
    places = _places(jobs, root)
    needed = {place: job.needs and job.needs.place(root) for place, job in places.items()}
    overall = progress.add_task(title, total=len(places), note="")
    waiting, tries = list(places), Counter[Place]()
    running: dict[Place, _Running] = {}
    failures: dict[Place, Failure] = {}
    try:
        while waiting or running:
            for place in list(waiting):
                job, before = places[place], needed[place]
                if place.state == "done":
                    waiting.remove(place)
                    told(job, place)
                elif before in failures:
                    waiting.remove(place)
                    why = f"{places[before].title}, which it needs, has failed"
                    failures[place] = Failure(job, place, why)
                elif before in waiting or before in running or len(running) >= launcher.slots:
                    continue
                elif place.free:
                    waiting.remove(place)
                    running[place] = _start(job, place, launcher, progress)
            for place, each in list(running.items()):
                code = each.ongoing.poll()
                if code is None:
                    continue
                del running[place]
                progress.remove_task(each.task)
                tries[place] += code not in (DONE, HELD)
                if code != FAILED and tries[place] < _TRIES:
                    waiting.insert(0, place)
                else:
                    failures[place] = Failure(each.job, place, _why(place, code))
            shares = sum(_show(place, each, progress) for place, each in running.items())
            ended = len(places) - len(waiting) - len(running)
            progress.update(overall, completed=ended + shares)
            if running or waiting:
                time.sleep(_SECONDS)
    finally:
        for each in running.values():
            each.ongoing.stop()
    return list(failures.values())


def _places(jobs: Sequence[Job], root: Path) -> dict[Place, Job]:
    """The jobs by their places, each after the one that it needs."""
    places: dict[Place, Job] = {}
    seen: set[Place] = set()
    for job in jobs:
        if job.needs is not None:
            places.setdefault(job.needs.place(root), job.needs)
        place = job.place(root)
        if place in seen:
            raise UserError(
                f"Two jobs called {job.title} are the same: leave one of them out, or give it "
                "another seed or option."
            )
        seen.add(place)
        places.setdefault(place, job)
    return places


def _start(job: Job, place: Place, launcher: Launcher, progress: Progress) -> _Running:
    task = progress.add_task(f"  {job.title}", total=_BAR, note="starting", visible=False)
    return _Running(job, launcher.start(job, place, progress), task)


def _show(place: Place, each: _Running, progress: Progress) -> float:
    """Show how far a running job is; its share."""
    share, note = place.progress
    progress.update(each.task, completed=share * _BAR, note=note, visible=True)
    return share


def _why(place: Place, code: int) -> str:
    if code == FAILED and place.error:
        return place.error
    return f"its process ended with exit code {code}: see {place.log}"
