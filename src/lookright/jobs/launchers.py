"""Where jobs run: in this process, or in processes of their own on this machine's cores or GPUs."""

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from rich.progress import Progress

from lookright.errors import StoppedError, UserError
from lookright.jobs.job import Job, Place, do
from lookright.jobs.worker import DONE, FAILED, HELD
from lookright.locks import HeldError
from lookright.spec import spec_of


class Ongoing(ABC):
    """A job that has been started."""

    @abstractmethod
    def poll(self) -> int | None:
        """How the worker has exited (`jobs.worker`), another number if it was killed; None while it
        runs."""

    @abstractmethod
    def stop(self) -> None:
        """Ask the worker to stop, and wait until it has; it keeps what is finished."""


class Launcher(ABC):
    """Starts jobs.

    slots: the number of jobs that run at the same time.
    """

    slots: int = 1

    @abstractmethod
    def start(self, job: Job, place: Place, progress: Progress) -> Ongoing:
        """Start a job in its place."""


@dataclass(frozen=True)
class Ended(Ongoing):
    """A job that was done, or has failed, when it was started."""

    code: int

    def poll(self) -> int:
        return self.code

    def stop(self) -> None:
        pass


class InProcess(Launcher):
    """Each job in this process, one after the other."""

    def start(self, job: Job, place: Place, progress: Progress) -> Ongoing:
        before = set(progress.task_ids)
        try:
            do(job, place, progress)
        except HeldError:
            return Ended(HELD)
        except StoppedError:  # Ctrl-C in a training
            raise KeyboardInterrupt from None
        except Exception:
            return Ended(FAILED)
        finally:
            for task in set(progress.task_ids) - before:
                progress.remove_task(task)
        return Ended(DONE)


class Workers(Launcher):
    """Each job in a process of its own on this machine.

    slots: processes at the same time; by default one for each GPU, or else one for each core. Each
    gets its share of the cores' threads, and where there are GPUs, one of them in turn.

    Raises:
        UserError: fewer than one slot.
    """

    def __init__(self, slots: int | None = None) -> None:
        if slots is not None and slots < 1:
            raise UserError(f"slots is a number of processes, 1 or more; got {slots}.")
        self.gpus = _gpus()
        self.slots = slots or len(self.gpus) or _cores()
        self.running: dict[int, Worker] = {}

    def start(self, job: Job, place: Place, progress: Progress) -> Ongoing:
        self.running = {at: each for at, each in self.running.items() if each.poll() is None}
        slot = next(at for at in range(self.slots) if at not in self.running)
        environment = {"OMP_NUM_THREADS": str(max(1, _cores() // self.slots)), **os.environ}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        self.running[slot] = Worker(job, place, environment)
        return self.running[slot]


class Worker(Ongoing):
    """A process that does a job; what it prints goes to the job's `log.txt`."""

    def __init__(self, job: Job, place: Place, environment: Mapping[str, str]) -> None:
        place.about.mkdir(parents=True, exist_ok=True)
        with place.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lookright.jobs.worker", place.folder, place.about],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C reaches the launcher, which asks the worker
            )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(spec_of(job)).encode() + b"\n")
            self.process.stdin.flush()

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        self.process.communicate()  # the end of its input stops it


def _cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if visible:
        return visible.split(",")
    import torch

    return [str(at) for at in range(torch.cuda.device_count())]
