"""The job of a cell in a comparison: train a method on some domains and evaluate it on others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from lookright.data import ImageData
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.places import place
from lookright.evaluation.result import Result, read_result
from lookright.files import content_hash
from lookright.jobs.job import Job
from lookright.methods import Method
from lookright.models import Classifier, build_model
from lookright.spec import spec_of
from lookright.training import Run, fit

_PLACES = ("root", "masks", "tool_masks")
"""Arguments of data sets that are folders; the images' fingerprints stand for them."""


@dataclass(frozen=True)
class Training(Job):
    """Train a model with a method and evaluate it; the job's folder is that of the run.

    name: of the method, as tables call it: runs of one name are seeds of one method.
    about: a sentence about it. method: its class, or a `functools.partial` of that with options.
    train: the domains to train on; test: those to evaluate on.
    model, weights, pretrained: as in `build_model`.
    options: further arguments of `fit`, such as epochs and lr.
    command: the command line that made the job, kept in its result.
    """

    name: str
    method: Callable[[Classifier], Method]
    data: ImageData
    train: tuple[str, ...]
    test: tuple[str, ...]
    seed: int = 0
    model: str = "small_resnet"
    weights: Path | None = None
    pretrained: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    protocol: Protocol = Protocol()  # noqa: RUF009
    about: str = ""
    command: str = ""

    @property
    def title(self) -> str:
        """Method, training domains and seed."""
        return f"{self.name} {' '.join(self.train)} {self.seed}"

    def decides(self) -> Any:
        """The spec, with hashes of the images and weights for their paths and without the texts."""
        spec = spec_of(self)["init_args"]
        del spec["about"], spec["command"]
        data = spec["data"]["init_args"]
        spec["data"]["init_args"] = {n: each for n, each in data.items() if n not in _PLACES}
        used = dict.fromkeys((*self.train, *self.test))
        spec["images"] = {domain: self.data.fingerprint(domain) for domain in used}
        if self.weights is not None:
            spec["weights"] = content_hash(self.weights)
        return spec

    def work(self, folder: Path, progress: Progress) -> None:
        """Train, or go on with the training; then evaluate the best epoch."""
        torch.manual_seed(self.seed)
        model = build_model(
            self.model, self.data.classes, self.data.image_size, self.pretrained, self.weights
        )
        run = fit(
            self.method(model),
            self.data,
            self.train,
            folder,
            seed=self.seed,
            resume=True,
            progress=progress,
            **self.options,
        )
        trained, about = run.model(), self._about(run)
        evaluate(
            trained,
            self.data,
            place(folder, trained, self.data, **about),
            domains=self.test,
            progress=progress,
            **about,
        )

    def result(self, folder: Path) -> Result:
        """The result of the job that was done in this folder."""
        run = Run(folder)
        return read_result(place(folder, run.model(), self.data, **self._about(run)))

    def _about(self, run: Run) -> dict[str, Any]:
        return {
            "masker": run.masker(),
            "train_domains": self.train,
            "protocol": self.protocol,
            "name": self.name,
            "about": self.about,
            "seed": self.seed,
            "config": run.config | ({"command": self.command} if self.command else {}),
        }
