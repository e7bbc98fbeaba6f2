"""The jobs of a comparison: a training, and an evaluation of what was trained."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.progress import Progress

from lookright.data import ImageData, Seen
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.result import Result, read_result
from lookright.files import content_hash, inside, regular, write_atomically
from lookright.jobs.job import Job
from lookright.methods import Method
from lookright.models import Classifier, build_model
from lookright.spec import build, parameters, spec_of
from lookright.spec.folders import FOLDERS
from lookright.training import Run, fit
from lookright.training.run import Which
from lookright.training.settings import Settings, rhythm
from lookright.untrusted import parsed

T = TypeVar("T")

_WHERE = ("workers", "accelerator")
"""Options of a training that say where it runs, and not what comes out."""


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

    def __post_init__(self) -> None:
        if not isinstance(self.devices, int) or self.devices < 1:
            raise UserError(
                f"devices is a number of devices, 1 or more, for a job; got {self.devices}: it "
                "decides the batch, and which devices these are, the launcher chooses."
            )

    @property
    def devices(self) -> int:
        """As in `fit`."""
        asked: int = self.options.get("devices", 1)
        return asked

    def decides(self) -> Any:
        """The spec with every default, and hashes of images and weights in place of their paths.

        So a version of lookright with other defaults trains anew, and what is said is the same job
        as what is left to the defaults. What is refused stands as it is given.
        """
        spec = {**self.spec["init_args"]}
        spec["data"] = content_of(self.data, self.domains)
        spec["options"] = {k: each for k, each in spec["options"].items() if k not in _WHERE}
        with suppress(UserError):
            spec["options"] |= spec_of(self.settings)["init_args"]
        spec["method"] = _in_full(json.dumps(spec["method"]), len(self.data.classes))
        if self.weights is not None:
            spec["weights"] = _hash_of(self.weights, self.weights.stat().st_mtime_ns)
        return spec

    @property
    def settings(self) -> Settings:
        """The options with all defaults.

        Raises:
            UserError: one that is out of range.
        """
        usual = {name: each.default for name, each in parameters(fit).items()}
        given = usual | {"domains": self.domains, "seed": self.seed} | dict(self.options)
        epochs, every = rhythm(given["epochs"], given["steps"], given["validate_every"])
        given |= {"epochs": epochs, "validate_every": every}
        return Settings(**{each.name: given[each.name] for each in fields(Settings)})

    def built(self) -> Method:
        """The method on a model with the initial weights of the seed."""
        torch.manual_seed(self.seed)
        model = build_model(
            self.model, self.data.classes, self.data.image_size, self.pretrained, self.weights
        )
        method = build(spec_of(self.method))  # anew, so that no masker is shared between jobs
        found: Method = method(model)
        return found

    def work(self, folder: Path, progress: Progress) -> None:
        """Train, or go on with the training."""
        fit(
            self.built(),
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
    """Evaluate a training, in its folder.

    training: what is evaluated. domains: those to evaluate on. which: the best or the last epoch.
    held_out: domains whose validation images chose the training's hyper-parameters, and on which it
    is therefore not judged. name: in tables; that of the training by default. about: a sentence
    about the method. command: the command line that made the job. The last two are kept in the
    result.
    """

    training: Training
    domains: tuple[str, ...]
    protocol: Protocol = Protocol()  # noqa: RUF009
    about: str = ""
    command: str = ""
    which: Which = "best"
    held_out: tuple[str, ...] = ()
    name: str = ""

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
            "training": self.training.digest,
            "domains": list(self.domains),
            "protocol": spec_of(self.protocol),
            "data": content_of(self.training.data, self.domains),
            "which": self.which,
            "held_out": list(self.held_out),
            "name": self.name,
        }

    @property
    def held(self) -> Seen:
        """The images of `held_out` that are left out."""
        data = self.training.data
        parts = (data.split(domain, "validation") for domain in self.held_out)
        return Seen(Seen.of(parts).scenes)

    def work(self, folder: Path, progress: Progress) -> None:
        """Evaluate, or go on after the last batch."""
        data, run = self.training.data, Run(folder)
        result = evaluate(
            run.model(self.which, architecture=self.training.model),
            data,
            home=folder,
            masker=run.masker(self.which),
            domains=self.domains,
            train_domains=self.training.domains,
            seen=run.seen | self.held,
            protocol=self.protocol,
            name=self.name or self.training.name,
            about=self.about,
            seed=self.training.seed,
            config=run.config | ({"command": self.command} if self.command else {}),
            progress=progress,
        )
        told = {"result": result.folder.relative_to(folder).as_posix()}
        write_atomically(self._told(folder), json.dumps(told).encode())

    def result(self, folder: Path) -> Result:
        """The result, once the job is done in this folder, with what is said of the method now.

        Raises:
            UserError: it is damaged, or of another version of lookright.
        """
        found = read_told(
            self._told(folder),
            lambda told: inside(folder, Path(told["result"], "result.json")).parent,
            "which result the job has written",
            "evaluates again",
        )
        try:
            return replace(read_result(found), about=self.about)
        except UserError as error:
            raise UserError(
                f"{error} Or delete {folder}, and the same command makes it anew."
            ) from error

    def _told(self, folder: Path) -> Path:
        return self.place(folder.parent).about / "result.json"


def read_told(path: Path, read: Callable[[Any], T], what: str, again: str) -> T:
    """What a job has told in a file beside its mark.

    Raises:
        UserError: it is missing or damaged; the message says `what` was expected, and that the same
            command does it `again`.
    """
    try:
        return read(parsed(regular(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"Expected in {path} {what}; it is missing or damaged: delete {path.parent}, and the "
            f"same command {again}."
        ) from error


def content_of(data: ImageData, domains: tuple[str, ...]) -> Any:
    """The data's spec without folders, and the fingerprints of the images in these domains."""
    spec = spec_of(data)
    options = {name: each for name, each in spec["init_args"].items() if name not in FOLDERS}
    prints = {domain: _fingerprint(data, domain) for domain in domains}
    content = {"class_path": spec["class_path"], "init_args": options, "images": prints}
    here = {label for domain in domains for label in data.labels(domain)}
    if len(here) < len(data.classes):  # else they follow from the images
        content["classes"] = list(data.classes)
    return content


def _fingerprint(data: ImageData, domain: str) -> str:
    """The domain's fingerprint, kept with the data set, so that all jobs share it."""
    known: dict[str, str] = vars(data).setdefault("_fingerprints", {})
    if domain not in known:
        known[domain] = data.fingerprint(domain)
    return known[domain]


@lru_cache
def _in_full(method: str, classes: int) -> Any:
    """The spec of a method, of which a partial spec is given as JSON, with every default.

    It is made on a small model. A method that cannot be stays as it is given.
    """
    given = json.loads(method)
    with torch.random.fork_rng(devices=[]):
        model = build_model("small_resnet", [str(each) for each in range(classes)], 32)
        try:
            return spec_of(build(given)(model))
        except Exception:
            return given


@lru_cache
def _hash_of(path: Path, changed: int) -> str:
    """A hash of a file that was changed last at this time."""
    return content_hash(path)
