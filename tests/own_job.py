"""A job for the tests: it leaves a line for each try, and fails, dies or waits where it is told."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from lookright.jobs import Job


@dataclass(frozen=True)
class OwnJob(Job):
    """fails: until a file `mended` lies beside its folder; dies: so many times; steps: of work."""

    name: str
    fails: bool = False
    dies: int = 0
    steps: int = 1
    seconds: float = 0.0

    @property
    def title(self) -> str:
        return self.name

    def work(self, folder: Path, progress: Progress) -> None:
        with (folder / "tries").open("a") as file:
            file.write(f"{os.getpid()}\n")
        if len(lines(folder / "tries")) <= self.dies:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fails and not (folder.parent / "mended").exists():
            raise ValueError("the work of this job fails")
        task = progress.add_task(self.title, total=self.steps, note="")
        for step in range(len(lines(folder / "steps")), self.steps):
            time.sleep(self.seconds)
            with (folder / "steps").open("a") as file:
                file.write(f"{step}\n")
            progress.update(task, completed=step + 1, note=f"step {step + 1}")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@dataclass(frozen=True)
class Reading(OwnJob):
    """Has a process forked, as a training has those that read its images."""

    def work(self, folder: Path, progress: Progress) -> None:
        time.sleep(0.5)  # until the worker listens to its launcher
        reader = multiprocessing.get_context("fork").Process(target=time.time)
        reader.start()
        reader.join(20)
        if reader.is_alive():
            reader.kill()
            raise ValueError("the forked process does not end")


@dataclass(frozen=True)
class Large(OwnJob):
    """Needs the memory for itself, while another such job runs in its root; takes: GPUs."""

    takes: int = 1

    @property
    def devices(self) -> int:
        return self.takes

    def work(self, folder: Path, progress: Progress) -> None:
        with (folder / "devices").open("a") as file:
            file.write(os.environ.get("CUDA_VISIBLE_DEVICES", "") + "\n")
        mine = folder.parent / f"runs {self.name}"
        mine.touch()
        try:
            time.sleep(self.seconds)
            if self.fails or len(list(folder.parent.glob("runs *"))) > 1:
                raise MemoryError("not enough memory")
        finally:
            mine.unlink()


@dataclass(frozen=True)
class Both(OwnJob):
    """Waits until another such job has begun in its root."""

    def work(self, folder: Path, progress: Progress) -> None:
        (folder.parent / f"begun {self.name}").touch()
        end = time.monotonic() + 60
        while len(list(folder.parent.glob("begun *"))) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
