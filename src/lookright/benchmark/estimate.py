"""How long a benchmark takes, before it is run: from one timed step of each method."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import torch
from rich import box
from rich.table import Table
from rich.text import Text

from lookright.attacks import Attack
from lookright.batch import Batch, collate
from lookright.benchmark.cost import evaluation_cost, step_cost
from lookright.benchmark.run import first
from lookright.benchmark.selection import Row
from lookright.data import Seen
from lookright.devices import best_device
from lookright.evaluation import Protocol
from lookright.jobs.job import Job, Place, State
from lookright.jobs.training import Evaluation, Training
from lookright.jobs.validation import Validation
from lookright.methods import Method
from lookright.spec import identity
from lookright.training import Run
from lookright.training.sampling import training_order

_IMAGES = 16
"""Images of the batch whose evaluation is timed."""


@dataclass(frozen=True)
class Planned:
    """A job that a benchmark needs, how far it is, and the seconds that it will still take."""

    title: str
    state: State
    seconds: float


def planned(rows: Sequence[Row], output: Path) -> list[Planned]:
    """All jobs of the rows, in their order. One step of each method and one evaluated batch are
    timed for it, on the first accelerator or this processor."""
    clock = _Clock()
    found: dict[Place, Planned] = {}
    for job in _jobs(rows):
        place = job.place(output)
        if place not in found:
            state = place.state
            seconds = 0.0 if state == "done" else clock.seconds(job, place)
            found[place] = Planned(job.title, state, seconds)
    return list(found.values())


def _jobs(rows: Sequence[Row]) -> Iterator[Job]:
    """Those that are known from the start, and of those that follow from a choice, the first
    trial's in place of the chosen one's."""
    for row in rows:
        for job in (*first([row]), row.evaluation(row.trials[0])):
            if job.needs is not None:
                yield job.needs
            yield job


@dataclass
class _Clock:
    """Times what is the same in many jobs once."""

    steps: dict[tuple[str, int], float] = field(default_factory=dict)
    validations: dict[str, float] = field(default_factory=dict)
    images: dict[str, float] = field(default_factory=dict)

    def seconds(self, job: Job, place: Place) -> float:
        """Of a job that is not done."""
        match job:
            case Training():
                return self._training(job, place)
            case Evaluation():
                return self._evaluation(job)
            case Validation():
                return self._scoring(job)
        return 0.0

    def _training(self, job: Training, place: Place) -> float:
        from lookright.training.module import in_its_ball

        settings, part = job.settings, job.data.split(job.domains, "train")
        method = _built(job)
        order, batch = training_order(part, method, settings)
        known = identity([job.method, job.options]), batch
        if known not in self.steps:
            self.steps[known] = step_cost(method, _batch(job, batch), repeats=1).seconds
        steps = settings.steps or settings.epochs * (len(order) // batch)
        validations = (settings.steps or settings.epochs) / settings.validate_every
        held = len(job.data.split(job.domains, "validation"))
        attack = settings.validation_attack or in_its_ball(method.attack)
        left = 1.0
        if place.state == "begun" and (place.folder / "metrics.csv").is_file():
            left = 1 - len(Run(place.folder).history) / settings.epochs
        return left * (
            steps * self.steps[known] + validations * held * self._validation(job, attack)
        )

    def _scoring(self, job: Validation) -> float:
        held = len(job.training.data.split(job.domains, "validation"))
        attack = job.attack if _built(job.training).attack else None
        return held * self._validation(job.training, attack)

    def _validation(self, job: Training, attack: Attack | None) -> float:
        """Of one validated image."""
        known = identity([job.model, attack])
        if known not in self.validations:
            model, batch = _built(job).model, _batch(job, _IMAGES)
            batch = batch.to(next(model.parameters()).device)
            start = time.perf_counter()
            if attack:
                attack(model, batch.images, batch.labels)
            with torch.no_grad():
                model(batch.images)
            self.validations[known] = (time.perf_counter() - start) / len(batch)
        return self.validations[known]

    def _evaluation(self, job: Evaluation) -> float:
        training = job.training
        if training.model not in self.images:
            method, batch = _built(training), _batch(training, _IMAGES)
            method.model.eval()
            cost = evaluation_cost(method.model, batch, job.protocol)
            self.images[training.model] = cost.seconds / len(batch)
        return self.images[training.model] * sum(_judged(job, job.protocol))


def _judged(job: Evaluation, protocol: Protocol) -> Iterator[int]:
    """The number of images that are judged in each domain."""
    data = job.training.data
    seen = Seen.in_domains(data, job.training.domains) | job.held
    for domain in job.domains:
        fresh = len(seen.unseen(data, domain))
        yield min(fresh, protocol.limit or fresh)


def _built(job: Training) -> Method:
    return job.built().to(best_device())


def _batch(job: Training, images: int) -> Batch:
    """Training images, as many of each domain."""
    each = max(1, images // len(job.domains))
    found = []
    for domain in job.domains:
        where = [at for _, at in job.data.split(domain, "train").where][:each]
        found.append(job.data.samples(domain, where))
    return collate(found)


def plan_table(jobs: Sequence[Planned], slots: int) -> Table:
    """The jobs with how far each is; below, how many, and how long on so many at the same time."""
    counts = Counter(each.state for each in jobs)
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    left = sum(each.seconds for each in jobs) / slots
    where = f"{slots} at the same time" if slots > 1 else "one after the other"
    table = Table(
        "job",
        "",
        "time left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        caption=f"{len(jobs)} jobs: {said}. About {_time(left)}, {where}, on this machine.",
        caption_justify="left",
    )
    for each in jobs:
        shown = _time(each.seconds) if each.state != "done" else ""
        table.add_row(Text(each.title), each.state, shown)
    return table


def _time(seconds: float) -> str:
    return str(timedelta(seconds=max(1, round(seconds))))
