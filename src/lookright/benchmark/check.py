"""Everything that can be wrong with a benchmark is found before its first job starts."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from lookright.batch import Batch, collate
from lookright.benchmark.columns import INSIDE, OUTSIDE
from lookright.benchmark.plan import Benchmark
from lookright.benchmark.selection import Row
from lookright.console import mistake_behind
from lookright.data import ImageData
from lookright.data.overview import require_classes
from lookright.errors import UserError
from lookright.jobs.grid import Entry
from lookright.jobs.training import Training
from lookright.methods import Method
from lookright.modes import frozen
from lookright.training.guiding import check_guided
from lookright.training.sampling import check_classes, check_domains

_IMAGES = 2
"""Images of each training domain that a method is tried on."""


def check(benchmark: Benchmark, rows: Sequence[Row], data: ImageData, output: Path) -> None:
    """Try each method on the model, and each domain, before anything is trained.

    Raises:
        UserError: a method that does not fit the model, the data or its domains, or with selection
            leave_one_out what is left of these without one; a class without images to train on; too
            few domains for the selection.
    """
    cells = list(dict.fromkeys(row.domains for row in rows))
    searched = any(len(row.trials) > 1 for row in rows)
    if searched and benchmark.selection == "leave_one_out":
        for cell in cells:
            if len(cell) < 2:
                raise UserError(
                    "selection leave_one_out trains without each training domain in turn, so it "
                    f"needs two or more of them; {benchmark.scheme} trains on {', '.join(cell)}: "
                    "choose in_distribution, or the scheme leave_one_domain_out."
                )
    if searched and benchmark.selection == "oracle" and not all(row.others for row in rows):
        raise UserError(
            "selection oracle chooses on domains that are not trained on, and there is none: name "
            "more domains, or choose in_distribution."
        )
    _check_hypotheses(benchmark, rows, data)
    data.read(list(dict.fromkeys(each for row in rows for each in (*row.domains, *row.others))))
    if not benchmark.data.incomplete:
        for cell in cells:
            require_classes(data, cell)
        for out, rest in dict.fromkeys(each for row in rows for each in _rests(row).items()):
            with _without(out):
                require_classes(data, rest)
    first = cells[0]
    for row in rows:
        if row.seed == rows[0].seed:
            for trial in row.trials:
                _check(row, trial, tried=row.domains == first and _new(row, trial, output))


def _check_hypotheses(benchmark: Benchmark, rows: Sequence[Row], data: ImageData) -> None:
    """Raise UserError for a hypothesis that these domains cannot answer."""
    protocol, asked = benchmark.evaluation, benchmark.hypotheses
    outside = [each.method for each in asked if each.where == OUTSIDE]
    if outside and not any(row.others for row in rows):
        raise UserError(
            f"The hypothesis about {outside[0]} is of domains that are not trained on, and there "
            f"is none: name more domains, or say '{INSIDE}'."
        )
    columns = (column for stage in protocol.chosen for column in stage.columns(protocol))
    masked = {column.key for column in columns if column.masked}
    domains = {domain for row in rows for domain in (*row.domains, *row.others)}
    needing = [each.measure for each in asked if each.measure in masked]
    if needing and not any(any(data.masked(domain)) for domain in domains):
        raise UserError(
            f"The hypothesis about {needing[0]} needs masks, and none of the images has one: give "
            "them under data, or take another measure."
        )


def _new(row: Row, trial: Entry, output: Path) -> bool:
    """Whether the training was not begun, so that it is not known that it works."""
    return row.training(trial).place(output).state == "waiting"


def _rests(row: Row) -> dict[str, tuple[str, ...]]:
    """`Row.rests`, where the row's trials are chosen by trainings on them."""
    chosen = row.selection == "leave_one_out" and len(row.trials) > 1
    return row.rests if chosen else {}


def _check(row: Row, trial: Entry, tried: bool) -> None:
    training = row.training(trial)
    with _named(trial.name), torch.random.fork_rng([]):
        method = training.built()
        method.give_logits(training.data.image_size, training.data.classes)
        _fits(method, training)
        for domain in training.domains:
            training.data.split(domain, "validation")
        for out, rest in _rests(row).items():
            with _without(out):
                _fits(method, row.grid.training(trial, rest, row.seed))
        if tried:
            _try(method, training, row)


def _fits(method: Method, training: Training) -> None:
    """Raise UserError if the training's domains, classes or masks do not suffice for the method."""
    check_domains(method, training.settings)
    part = training.data.split(training.domains, "train")
    check_classes(part, method, training.settings)
    check_guided(method, part)


def _try(method: Method, training: Training, row: Row) -> None:
    """One step on a few images, and one explanation as the evaluation makes it.

    What a training would be warned of in so small a batch is not said.
    """
    batch = collate(list(_few(training)))
    method.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        method(batch)
        with frozen(method.model), torch.no_grad():
            row.grid.protocol.explainer(method.model, batch.images)


def _few(training: Training) -> Iterator[Batch]:
    """A few training images of each domain, with masks where the domain has any."""
    data = training.data
    for domain in training.domains:
        masked = data.masked(domain)
        where = [at for _, at in data.split(domain, "train").where]
        where.sort(key=lambda at: not masked[at])
        for at in where[:_IMAGES]:
            yield data.samples(domain, [at])


def _without(out: str) -> AbstractContextManager[None]:
    """Within it, a mistake is told to be of the training on all domains of a row but this one."""
    return _named(f"without {out}, as selection leave_one_out trains")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Within it, a mistake is told with the name of the method, or with what else it is of."""
    try:
        yield
    except Exception as error:
        told = mistake_behind(error)
        if told is None:
            raise
        raise UserError(f"{name}: {told}") from error
