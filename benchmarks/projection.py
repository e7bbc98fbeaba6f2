"""What full benchmarks take on one GPU and on many, from the passes of a step and assumptions."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lookright import methods
from lookright.benchmark.passes import Passes

EVALUATED = "evaluated image"
"""What the passes of an evaluation are called among those of the methods."""

SINGLE = "single source"


@dataclass(frozen=True)
class Assumed:
    """What the projection takes for granted.

    macs: multiplications and additions of a forward pass of ResNet-50 at 224 px. peak: of an H100
    (SXM) in TF32 without sparsity, in operations per second, two for each of `macs`. utilisation:
    the share of that which a training of a convolutional network reaches. steps, per_domain, seeds:
    DomainBed's steps, images of each training domain in a batch, and trials. decoded: images that
    the processes of a job decode and resize in a second. kept: bytes of decoded images that a job
    keeps in memory; what is larger is decoded again at each use.
    """

    macs: float = 4.1e9
    peak: float = 495e12
    utilisation: float = 0.07
    steps: int = 5000
    per_domain: int = 32
    seeds: int = 3
    size: int = 224
    decoded: float = 600.0
    kept: float = 2 * 2**30

    def seconds(self, work: float) -> float:
        """The time of `work` forward passes of one image."""
        return work * 2 * self.macs / (self.peak * self.utilisation)


@dataclass(frozen=True)
class DataSet:
    """Images of each domain."""

    name: str
    domains: tuple[int, ...]


DATA = (
    DataSet("VLCS", (3376, 2656, 3282, 1415)),
    DataSet("Terra Incognita", (4741, 9736, 3970, 5883)),
)
"""The images of VLCS (VOC2007, LabelMe, SUN09, Caltech101), and of Terra Incognita (locations 100,
38, 43 and 46) as DomainBed has them: 10,729 and 24,330."""


@dataclass(frozen=True)
class Projected:
    """A benchmark: all methods, every choice of domains, all seeds.

    protocol: "single source" trains on each domain in turn, "leave one out" on all but one. hours:
    on so many GPUs; longest: of one job, training and evaluation. waiting: the share of the hours
    on one GPU in which the longest kind of job waits for images.
    """

    data: str
    protocol: str
    jobs: int
    hours: Mapping[int, float]
    longest: float
    longest_method: str
    waiting: float


def project(
    passes: Mapping[str, Passes], assumed: Assumed, gpus: Sequence[int] = (1, 64)
) -> list[Projected]:
    """Every data set with every protocol; each job runs on one GPU."""
    found = []
    for data in DATA:
        for protocol in (SINGLE, "leave one out"):
            jobs = [
                (*_seconds(data, domain, protocol, method, passes, assumed), method)
                for method in passes
                if method != EVALUATED and not (protocol == SINGLE and _compares_domains(method))
                for domain in range(len(data.domains))
                for _ in range(assumed.seeds)
            ]
            times = [seconds for seconds, _, _ in jobs]
            longest = max(jobs)
            hours = {count: makespan(times, count) / 3600 for count in gpus}
            waiting = sum(waited for _, waited, _ in jobs) / sum(times)
            found.append(
                Projected(
                    data.name, protocol, len(jobs), hours, longest[0] / 3600, longest[2], waiting
                )
            )
    return found


def _compares_domains(name: str) -> bool:
    """Whether a method, by the name of its class, cannot be trained on a single domain."""
    return bool(getattr(getattr(methods, name, None), "needs_domains", False))


def _seconds(
    data: DataSet,
    domain: int,
    protocol: str,
    method: str,
    passes: Mapping[str, Passes],
    assumed: Assumed,
) -> tuple[float, float]:
    """Of one job, with its training domains: all its time, and that in which it waits for images.

    Every image that is not trained or validated on is evaluated.
    """
    of_it = data.domains[domain]
    single = protocol == SINGLE
    trained = of_it if single else sum(data.domains) - of_it
    batch = assumed.per_domain * (1 if single else len(data.domains) - 1)
    step = assumed.seconds(batch * passes[method].work)
    fits = trained * 3 * assumed.size**2 <= assumed.kept
    decoding = (trained if fits else assumed.steps * batch) / assumed.decoded
    training = assumed.steps * step
    evaluated = sum(data.domains) - 0.85 * trained
    evaluation = assumed.seconds(evaluated * passes[EVALUATED].work)
    waiting = max(0.0, decoding - (0.0 if fits else training))
    return training + evaluation + waiting, waiting


def makespan(times: Sequence[float], workers: int) -> float:
    """When the last of the workers is done, if the longest job that waits is always begun next."""
    ends = [0.0] * workers
    for time in sorted(times, reverse=True):
        heapq.heapreplace(ends, ends[0] + time)
    return max(ends)


def projection_table(projected: Sequence[Projected]) -> str:
    """As the document shows it."""
    gpus = list(projected[0].hours)
    head = [
        "| | jobs | " + " | ".join(f"hours, {count} x H100" for count in gpus)
        + " | longest job, hours | waiting for images |",
        "|---" * (4 + len(gpus)) + "|",
    ]  # fmt: skip
    lines = [
        f"| {each.data}, {each.protocol} | {each.jobs} | "
        + " | ".join(f"{each.hours[count]:.3g}" for count in gpus)
        + f" | {each.longest:.2g} ({each.longest_method}) | {each.waiting:.0%} |"
        for each in projected
    ]
    return "\n".join(head + lines)
