"""Trains and evaluates several methods alike on Shortcut, with several seeds; resumable."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lookright.data import ImageData
from lookright.errors import StoppedError, UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.result import Result
from lookright.methods import Method
from lookright.models import Classifier, build_model
from lookright.progress import progress_bar
from lookright.training import Run, fit


@dataclass(frozen=True)
class Entry:
    """A row of a comparison: its name, a sentence about it, and how to make its method."""

    name: str
    about: str
    method: Callable[[Classifier], Method]

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return self.name.lower().replace(",", "").replace("%", "").replace(" ", "-")


def compare(
    title: str,
    entries: Sequence[Entry],
    data: ImageData,
    output: Path,
    *,
    domains: Sequence[str],
    seeds: int,
    epochs: int,
    command: Callable[[int], str],
    protocol: Protocol = Protocol(),  # noqa: B008
    batch_size: int = 64,
    validations: int = 5,
    trained: Callable[[Run], None] = lambda run: None,
) -> list[tuple[Run, Result]]:
    """Train each entry's small_resnet on the domain `train` with seeds 0, 1, ... and evaluate it.

    Runs go to `output`/<entry>-<seed>; a finished run of the same config is not trained again.

    Args:
        title: of the progress bar.
        domains: those to evaluate on.
        command: gives the command line for a number of seeds; kept in each result.
        validations: how often the best epoch is looked for in a training.
        trained: called with each run before it is evaluated.

    Raises:
        UserError: fewer than one seed; whatever `fit` and `evaluate` refuse.
    """
    if seeds < 1:
        raise UserError(f"seeds is a number of seeds, 1 or more; got {seeds}.")
    judged = []
    with progress_bar() as bar, _stoppable():
        overall = bar.add_task(title, total=2 * len(entries) * seeds, note="starting")
        for seed in range(seeds):
            for entry in entries:
                torch.manual_seed(seed)
                model = build_model("small_resnet", data.classes, data.image_size)
                run = fit(
                    entry.method(model),
                    data,
                    "train",
                    output / f"{entry.folder}-{seed}",
                    epochs=epochs,
                    batch_size=batch_size,
                    lr=1e-2,
                    validate_every=max(1, epochs // validations),
                    seed=seed,
                    resume=True,
                    progress=bar,
                )
                bar.update(overall, advance=1, note="")
                trained(run)
                model = run.model()
                about: dict[str, Any] = {
                    "masker": run.masker(),
                    "train_domains": ("train",),
                    "protocol": protocol,
                    "name": entry.name,
                    "about": entry.about,
                    "seed": seed,
                    "config": run.config | {"command": command(seed + 1)},
                }
                result = evaluate(
                    model,
                    data,
                    home=run.folder,
                    domains=domains,
                    progress=bar,
                    **about,
                )
                judged.append((run, result))
                bar.update(overall, advance=1, note="")
    return judged


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C in a training stops the comparison, which continues without --resume when started
    again."""
    try:
        yield
    except StoppedError:
        raise KeyboardInterrupt from None
