"""What launchers have in common: they start jobs, and say how these have ended."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rich.progress import Progress

from lookright.jobs.job import Job, Place


class Ongoing(ABC):
    """A job that has been started.

    alone: whether no other job has shared its memory so far. error: why it has ended, where only
    the launcher knows.
    """

    alone: bool = True
    error: str = ""

    @abstractmethod
    def poll(self) -> int | None:
        """How the worker has exited (`jobs.codes`), another number if it was killed; None while it
        runs."""

    @abstractmethod
    def stop(self) -> None:
        """Ask the worker to stop; it keeps what is finished."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until the worker has stopped."""


class Launcher(ABC):
    """Starts jobs."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many jobs run at the same time, at most."""

    @property
    @abstractmethod
    def threads(self) -> int | None:
        """How many threads a job has on the processor; None leaves that to torch."""

    @abstractmethod
    def start(
        self, job: Job, place: Place, progress: Progress, alone: bool = False
    ) -> Ongoing | None:
        """Start a job in its place; None if there is no room for it at the moment.

        alone: with no other job in the same memory.
        """


@dataclass(frozen=True)
class Ended(Ongoing):
    """A job that was done, or has failed, when it was started."""

    code: int
    error: str = ""

    def poll(self) -> int:
        return self.code

    def stop(self) -> None:
        pass

    def wait(self) -> None:
        pass
