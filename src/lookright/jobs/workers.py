"""Jobs in processes of their own, on this machine's cores or GPUs."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile

from rich.progress import Progress

from lookright.errors import UserError
from lookright.files import writing
from lookright.jobs.codes import FAILED, FIRST
from lookright.jobs.job import Job, Place
from lookright.jobs.launcher import Ended, Launcher, Ongoing
from lookright.jobs.on_node import opened_log


class Workers(Launcher):
    """Each job in a process of its own on this machine.

    slots: processes at the same time; by default as many as the GPUs take, or else one for each
    core. Each has its share of the cores' threads, and where there are GPUs, those of them with the
    fewest jobs: as many as `job.devices`. per_gpu: jobs at the same time on one GPU. threads: of
    each job, in place of its share.

    Raises:
        UserError: fewer than one slot, or than one job to a GPU.
    """

    slots = 1
    threads: int | None = None

    def __init__(
        self, slots: int | None = None, per_gpu: int = 1, threads: int | None = None
    ) -> None:
        for name, number in {"workers": slots, "per_gpu": per_gpu}.items():
            if number is not None and number < 1:
                raise UserError(f"{name} is a number of jobs at a time, 1 or more; got {number}.")
        self.gpus = _gpus()
        self.slots = slots or len(self.gpus) * per_gpu or cores()
        asked = os.environ.get("OMP_NUM_THREADS")
        share = max(1, cores() // self.slots)
        self.threads = threads or (None if asked else share)
        self.room = dict.fromkeys(self.gpus, per_gpu) or {"": self.slots}
        self.running: list[Worker] = []

    def start(
        self, job: Job, place: Place, progress: Progress, alone: bool = False
    ) -> Ongoing | None:
        self.running = [each for each in self.running if each.poll() is None]
        needed = job.devices if self.gpus else 1
        if needed > len(self.room):
            return Ended(FAILED, _too_many(job, len(self.gpus)))
        chosen = self._emptiest(alone)[:needed]
        if len(chosen) < needed:
            return None
        environment = {**os.environ, **computing_on(self.threads)}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(chosen)
        try:
            worker = Worker(job, place, environment, chosen, alone)
        except UserError as error:
            return Ended(FAILED, str(error))
        self.running.append(worker)
        _tell_neighbours(self.running)
        return worker

    def _emptiest(self, alone: bool) -> list[str]:
        """The devices that have room, those with the fewest jobs first."""
        jobs = Counter(device for each in self.running for device in each.devices)
        closed = {device for each in self.running if each.closed for device in each.devices}
        free = [
            device
            for device, room in self.room.items()
            if device not in closed and jobs[device] < (1 if alone else room)
        ]
        return sorted(free, key=jobs.__getitem__)


class Worker(Ongoing):
    """A process that does a job; what it prints goes to the job's `log.txt`.

    devices: those that it computes on. closed: whether no other job may join it there.

    Raises:
        UserError: nothing can be written in the job's place, or no process can be started.
    """

    def __init__(
        self,
        job: Job,
        place: Place,
        environment: Mapping[str, str],
        devices: Sequence[str] = (),
        closed: bool = True,
    ) -> None:
        self.devices, self.closed = devices, closed
        with writing(place.log), opened_log(place.about) as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "lookright.jobs.worker", place.folder, place.about],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # The working folder is not to come before the libraries (`lookright.imports`).
                env={**environment, "PYTHONSAFEPATH": "1", FIRST: ""},
                start_new_session=True,  # Ctrl-C reaches the launcher, which asks the worker
            )
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job.spec).encode() + b"\n")
            self.process.stdin.flush()

    def poll(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # the end of its input stops it

    def wait(self) -> None:
        self.process.wait()


def computing_on(threads: int | None) -> dict[str, str]:
    """What lets a process compute on this number of threads; None leaves that to it."""
    return {} if threads is None else {"OMP_NUM_THREADS": str(threads)}


def cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _gpus() -> list[str]:
    """Those that CUDA sees: of a list those before the first entry that names none, such as -1."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if visible:
        return [*takewhile(_names_gpu, (each.strip() for each in visible.split(",")))]
    import torch

    return [str(at) for at in range(torch.cuda.device_count())]


def _names_gpu(entry: str) -> bool:
    return re.fullmatch(r"\d+|(GPU|MIG)-.+", entry) is not None


def _too_many(job: Job, gpus: int) -> str:
    return (
        f"it asks for {job.devices} GPUs, and this machine has {gpus}: give it fewer devices, or "
        "run it on a cluster with larger machines"
    )


def _tell_neighbours(running: Sequence[Worker]) -> None:
    """Note which of the running jobs share a device."""
    jobs = Counter(device for each in running for device in each.devices)
    for each in running:
        each.alone = each.alone and all(jobs[device] == 1 for device in each.devices)
