"""The job that scores a training, for hyper-parameters to be chosen by."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from lookright import metrics
from lookright.attacks import Attack
from lookright.data.loaders import stored_loader, to_device
from lookright.devices import best_device, borrowed
from lookright.files import write_atomically
from lookright.jobs.job import Job
from lookright.jobs.training import Training, content_of, read_told
from lookright.models import Classifier
from lookright.modes import frozen, full_precision
from lookright.seeds import derived_seed
from lookright.spec import spec_of
from lookright.training import Run
from lookright.training.run import Which


@dataclass(frozen=True)
class Validation(Job):
    """Score a training by its accuracy on the validation images of some domains.

    It is the mean over the domains. attack: under which a method is scored that trains against one.
    balance: whether the classes count alike. Trainings whose scores are compared have the same.
    which: the epoch that is scored.
    """

    training: Training
    domains: tuple[str, ...]
    attack: Attack
    balance: bool = False
    which: Which = "best"

    @property
    def title(self) -> str:
        """That of the training, and on what it is scored."""
        return f"{self.training.title} scored on {' '.join(self.domains)}"

    @property
    def needs(self) -> Training:
        """The training."""
        return self.training

    def decides(self) -> Any:
        """The training, the images, the epoch and how it is scored."""
        return {
            "training": self.training.digest,
            "data": content_of(self.training.data, self.domains),
            "which": self.which,
            "attack": spec_of(self.attack),
            "balance": self.balance,
        }

    def work(self, folder: Path, progress: Progress) -> None:
        """Score the training."""
        run = Run(folder)
        model = run.model(self.which, architecture=self.training.model)
        attacked = run.method(self.which, model).attack is not None
        task = progress.add_task(self.title, total=len(self.domains), note="")
        scores = []
        for domain in self.domains:
            scores.append(self._accuracy(model, domain, self.attack if attacked else None))
            progress.advance(task)
        told = {"score": sum(scores) / len(scores)}
        write_atomically(self._told(folder), json.dumps(told).encode())

    def score(self, folder: Path) -> float:
        """The score, once the job is done in this folder.

        Raises:
            UserError: it is damaged.
        """
        return read_told(
            self._told(folder),
            lambda told: float(told["score"]),
            "the score of a training",
            "scores it again",
        )

    def _accuracy(self, model: Classifier, domain: str, attack: Attack | None) -> float:
        part, device = self.training.data.split(domain, "validation"), best_device()
        batch_size = int(self.training.options.get("batch_size", 64))
        chance = torch.Generator(device)
        chance.manual_seed(derived_seed(self.training.seed, "score", domain))
        right, labels = [], []
        with borrowed(model, device=device), frozen(model), full_precision(device):
            for batch in to_device(stored_loader(part, batch_size, device), device):
                x, y = batch.images, batch.labels
                seen = attack(model, x, y, chance) if attack else x
                with torch.no_grad():
                    right.append(metrics.correct(model(seen), y).cpu())
                labels.append(y.cpu())
        answers = torch.cat(right)
        if self.balance:
            return metrics.balanced(answers, torch.cat(labels)).value
        return float(answers.double().mean())

    def _told(self, folder: Path) -> Path:
        return self.place(folder.parent).about / "score.json"
