"""Where the jobs of a benchmark run, as its file says."""

from dataclasses import dataclass

from lookright.jobs import Launcher, choose


@dataclass(frozen=True)
class Launch:
    """Where the jobs run.

    Args:
        workers: jobs at the same time on this machine, each in a process of its own; 1 is this
            process.
        ray: address of a Ray cluster.
        per_gpu: jobs at the same time on one GPU.
        threads: of each job on the processor; with the same number, the figures are the same
            wherever the jobs run. By default a job has its share of the cores.
    """

    workers: int | None = None
    ray: str | None = None
    per_gpu: int = 1
    threads: int | None = None

    def launcher(self, workers: int | None = None, ray: str | None = None) -> Launcher:
        """The launcher; workers or ray, where one is given, in place of both."""
        if workers is ray is None:
            workers, ray = self.workers, self.ray
        return choose(workers, ray, self.per_gpu, self.threads)
