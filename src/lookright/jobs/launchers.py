"""Where jobs run: in this process, in processes of their own, or on a cluster."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress
from rich.text import Text

from lookright.errors import StoppedError, UserError
from lookright.jobs.codes import DONE, FAILED, HELD
from lookright.jobs.job import Job, Place, do
from lookright.jobs.launcher import Ended, Launcher, Ongoing
from lookright.jobs.on_ray import OnRay
from lookright.jobs.workers import Worker, Workers, computing_on
from lookright.locks import HeldError


def choose(
    workers: int | None = None,
    ray: str | None = None,
    per_gpu: int = 1,
    threads: int | None = None,
) -> Launcher:
    """The launcher that a user asks for.

    workers: processes on this machine; none or 1 is this process. ray: the address of a Ray
    cluster. per_gpu: jobs at the same time on one GPU. threads: of each job on the processor;
    with the same number, every launcher gives the same figures. By default a job has its share of
    this machine's cores, or one thread on a cluster.

    Raises:
        UserError: both are given; a number below 1; there is no cluster at the address.
    """
    if ray is not None and workers is not None:
        raise UserError(
            f"Expected --workers or --ray, got both: --workers {workers} are processes on this "
            f"machine, --ray {ray} gives the jobs to a cluster; leave one of them out."
        )
    if per_gpu < 1:
        raise UserError(f"per_gpu is a number of jobs on one GPU, 1 or more; got {per_gpu}.")
    if threads is not None and threads < 1:
        raise UserError(f"threads is a number of threads of each job, 1 or more; got {threads}.")
    if ray is not None:
        return OnRay(ray, cpus=threads or 1, gpus=1 / per_gpu)
    return InProcess(threads) if workers in (None, 1) else Workers(workers, per_gpu, threads)


class InProcess(Launcher):
    """Each job in this process, one after the other; one on several GPUs in a process of its own,
    whose command line begins its further processes (`jobs.codes`).

    threads: of each job; by default as many as torch takes.
    """

    slots = 1
    threads: int | None = None

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads

    def start(
        self, job: Job, place: Place, progress: Progress, alone: bool = False
    ) -> Ongoing | None:
        if job.devices > 1:
            return Worker(job, place, os.environ | computing_on(self.threads))
        if not progress.console.is_terminal:  # the lines of its epochs do not name it
            progress.console.print(Text(job.title), soft_wrap=True)
        before = set(progress.task_ids)
        try:
            with computing_with(self.threads):
                do(job, place, progress)
        except HeldError:
            return Ended(HELD)
        except StoppedError:  # Ctrl-C in a training
            raise KeyboardInterrupt from None
        except Exception as error:
            return Ended(FAILED, str(error))
        finally:
            for task in set(progress.task_ids) - before:
                progress.remove_task(task)
        return Ended(DONE)


@contextmanager
def computing_with(number: int | None) -> Iterator[None]:
    """Within it, torch computes on this number of threads; None changes nothing."""
    if number is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
