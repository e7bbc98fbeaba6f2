"""Does all jobs that are not done, on a launcher, and says which have failed."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from lookright.errors import UserError
from lookright.jobs.codes import DONE, FAILED, FULL, HELD, LOST
from lookright.jobs.job import Job, Place
from lookright.jobs.launcher import Launcher, Ongoing

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
class _Planned:
    """A job, and the place of the one that it needs."""

    job: Job
    needs: Place | None


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
    batch. One for which the memory was too small beside others is begun again alone. A job that
    fails does not stop the others, but for those that need it, and is tried again at the next
    launch.

    told: called with each job that is done, and its place.

    Raises:
        UserError: two jobs that are the same; a folder that is a link; a cluster that is gone for
            good.
        KeyboardInterrupt: after Ctrl-C, when all workers have stopped; the next launch goes on.
    """
    plan = _plan(jobs, root)
    overall = progress.add_task(title, total=len(plan), note="")
    waiting, tries, alone = list(plan), Counter[Place](), set[Place]()
    running: dict[Place, _Running] = {}
    failures: dict[Place, Failure] = {}
    try:
        while waiting or running:
            full = False  # what waits for room is not overtaken
            for place in list(waiting):
                job, before = plan[place].job, plan[place].needs
                if place.state == "done":
                    waiting.remove(place)
                    told(job, place)
                elif before in failures:
                    waiting.remove(place)
                    why = f"{plan[before].job.title}, which it needs, has failed"
                    failures[place] = Failure(job, place, why)
                elif full or before in waiting or before in running:
                    continue
                elif len(running) >= launcher.slots:
                    full = True
                elif place.free:
                    ongoing = launcher.start(job, place, progress, place in alone)
                    if ongoing is None:
                        full = True
                    else:
                        waiting.remove(place)
                        running[place] = _show(job, ongoing, progress)
            for place, each in list(running.items()):
                code = each.ongoing.poll()
                if code is None:
                    continue
                del running[place]
                progress.remove_task(each.task)
                tries[place] += code not in (DONE, HELD, LOST)
                if code == FULL and not each.ongoing.alone:
                    alone.add(place)
                    waiting.insert(0, place)
                elif code not in (FAILED, FULL) and tries[place] < _TRIES:
                    waiting.insert(0, place)
                else:
                    failures[place] = Failure(each.job, place, _why(place, each.ongoing, code))
            shares = sum(_update(place, each, progress) for place, each in running.items())
            ended = len(plan) - len(waiting) - len(running)
            progress.update(overall, completed=ended + shares)
            if running or waiting:
                time.sleep(_SECONDS)
    finally:
        for each in running.values():
            each.ongoing.stop()
        for each in running.values():
            each.ongoing.wait()
    return list(failures.values())


def _plan(jobs: Sequence[Job], root: Path) -> dict[Place, _Planned]:
    """The jobs by their places, each after the one that it needs."""
    plan: dict[Place, _Planned] = {}
    asked: set[Place] = set()
    for job in jobs:
        place = _add(job, root, plan)
        if place in asked:
            raise UserError(
                f"Two jobs called {job.title} are the same: leave one of them out, or give it "
                "another seed or option."
            )
        asked.add(place)
    return plan


def _add(job: Job, root: Path, plan: dict[Place, _Planned]) -> Place:
    """Add the jobs that a job needs to the plan, and then the job itself."""
    needs = None if job.needs is None else _add(job.needs, root, plan)
    place = job.place(root)
    plan.setdefault(place, _Planned(job, needs))
    return place


def _show(job: Job, ongoing: Ongoing, progress: Progress) -> _Running:
    task = progress.add_task(f"  {job.title}", total=_BAR, note="starting", visible=False)
    return _Running(job, ongoing, task)


def _update(place: Place, each: _Running, progress: Progress) -> float:
    """Show how far a running job is; its share."""
    share, note = place.progress
    progress.update(each.task, completed=share * _BAR, note=note, visible=True)
    return share


def _why(place: Place, ongoing: Ongoing, code: int) -> str:
    """Why a job has failed, in one line."""
    known = place.error if code in (FAILED, FULL) else ""
    if known or ongoing.error:
        return " ".join((known or ongoing.error).split())
    last = f" ({place.last_words})" if place.last_words else ""
    return f"its process ended with exit code {code}{last}: see {place.log}"
