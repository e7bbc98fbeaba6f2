"""The jobs of a comparison: a training, and an evaluation of what was trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from lookright.data import ImageData
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.result import Result
from lookright.files import content_hash
from lookright.jobs.job import Job
from lookright.methods import Method
from lookright.models import Classifier, build_model
from lookright.spec import build, spec_of
from lookright.spec.folders import FOLDERS
from lookright.training import Run, fit


@dataclass(frozen=True)
class Training(Job):
    """Train a model with a method; the job's folder is the run.

    name: of the method, as tables call it. method: its class, or a `functools.partial` of that with
    options. domains: those to train on. model, weights, pretrained: as in `build_model`. options:
    further arguments of `fit`, such as epochs and lr.
    """

    name: str
    method: Callable[[Classifier], Method]
    data: ImageData
    domains: tuple[str, ...]
    seed: int = 0
    model: str = "small_resnet"
    weights: Path | None = None
    pretrained: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name, training domains and seed."""
        return f"{self.name} {' '.join(self.domains)} {self.seed}"

    def decides(self) -> Any:
        """The spec, with hashes of the images and of the weights in place of their paths."""
        spec = spec_of(self)["init_args"]
        spec["data"] = _content(self.data, self.domains)
        if self.weights is not None:
            spec["weights"] = content_hash(self.weights)
        return spec

    def work(self, folder: Path, progress: Progress) -> None:
        """Train, or go on with the training."""
        torch.manual_seed(self.seed)
        model = build_model(
            self.model, self.data.classes, self.data.image_size, self.pretrained, self.weights
        )
        method = build(spec_of(self.method))  # anew, so that no masker is shared between jobs
        fit(
            method(model),
            self.data,
            self.domains,
            folder,
            seed=self.seed,
            resume=True,
            progress=progress,
            **self.options,
        )


@dataclass(frozen=True)
class Evaluation(Job):
    """Evaluate the best epoch of a training, in its folder.

    training: what is evaluated. domains: those to evaluate on. about: a sentence about the method.
    command: the command line that made the job. Both are kept in the result.
    """

    training: Training
    domains: tuple[str, ...]
    protocol: Protocol = Protocol()  # noqa: RUF009
    about: str = ""
    command: str = ""

    @property
    def title(self) -> str:
        """That of the training, evaluated."""
        return f"{self.training.title} evaluated"

    @property
    def needs(self) -> Training:
        """The training."""
        return self.training

    def decides(self) -> Any:
        """The protocol and the images."""
        return {
            "training": self.training.decides(),
            "domains": list(self.domains),
            "protocol": spec_of(self.protocol),
            "data": _content(self.training.data, self.domains),
        }

    def work(self, folder: Path, progress: Progress) -> None:
        """Evaluate, or go on after the last batch."""
        self._evaluate(folder, progress)

    def result(self, folder: Path) -> Result:
        """The result, once the job is done in this folder."""
        return self._evaluate(folder, False)

    def _evaluate(self, folder: Path, progress: Progress | bool) -> Result:
        run = Run(folder)
        return evaluate(
            run.model(),
            self.training.data,
            home=folder,
            masker=run.masker(),
            domains=self.domains,
            train_domains=self.training.domains,
            seen=run.seen,
            protocol=self.protocol,
            name=self.training.name,
            about=self.about,
            seed=self.training.seed,
            config=run.config | ({"command": self.command} if self.command else {}),
            progress=progress,
        )


def _content(data: ImageData, domains: tuple[str, ...]) -> Any:
    """The data's spec without folders, and the fingerprints of the images in these domains."""
    spec = spec_of(data)
    options = {name: each for name, each in spec["init_args"].items() if name not in FOLDERS}
    prints = {domain: data.fingerprint(domain) for domain in domains}
    return {"class_path": spec["class_path"], "init_args": options, "images": prints}
