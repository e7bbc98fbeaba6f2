"""By which attack a training is validated, and by which accuracy its best epoch is chosen."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
from rich.progress import Progress

from lookright.attacks import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    Ball,
    CarliniWagner,
    KLDivergence,
    Square,
    WorstCase,
)
from lookright.batch import Batch
from lookright.jobs.training import Training
from lookright.jobs.validation import Validation
from lookright.methods import AT, AWP, ERM, TRADES, FastAT, FreeAT
from lookright.training import Run, fit
from lookright.training.module import Module
from test_training_sampling import settings_of
from tiny import Blobs, tiny_classifier


@dataclass(frozen=True)
class Itself(Attack):
    """Changes nothing, and names no ball."""

    def __call__(self, model, x, y, generator=None):
        return x


def validated(method, attack=None) -> Attack | None:
    settings = settings_of(domains=("train",), validation_attack=attack)
    parts = {part: Blobs().split("train", part) for part in ("train", "validation")}
    return Module(method, parts, settings).judged.get("val/adversarial_accuracy")


L2_BALL, LINF_BALL = Ball(L2(), 0.5), Ball(eps=0.1)


@pytest.mark.parametrize(
    ("make", "ball"),
    [
        (lambda model: AT(model, APGD(0.5, norm=L2())), L2_BALL),
        (lambda model: AT(model, Square(0.5, norm=L2())), L2_BALL),
        (lambda model: AT(model, CarliniWagner()), L2_BALL),
        (lambda model: AT(model, WorstCase((PGD(0.5, norm=L2()),))), L2_BALL),
        (lambda model: AT(model, FGSM(0.5, L2())), L2_BALL),
        (lambda model: TRADES(model, PGD(0.1, objective=KLDivergence())), LINF_BALL),
        (lambda model: AWP(AT(model, APGD(0.5, norm=L2()))), L2_BALL),
        (lambda model: FreeAT(model, 0.1), LINF_BALL),
        (lambda model: FastAT(model, 0.1), LINF_BALL),
    ],
    ids=["apgd", "square", "cw", "worst case", "fgsm", "trades", "awp", "free", "fast"],
)
def test_it_is_pgd_in_the_ball_of_the_methods_attack(make, ball):
    assert validated(make(tiny_classifier())) == PGD(ball.eps, 10, norm=ball.norm)


def test_an_attack_without_a_ball_is_the_one_that_validates():
    assert validated(AT(tiny_classifier(), Itself())) == Itself()


def test_what_is_asked_for_is_taken():
    assert validated(AT(tiny_classifier(), PGD(0.5, norm=L2())), FGSM(0.1)) == FGSM(0.1)
    assert validated(ERM(tiny_classifier())) is None
    assert validated(ERM(tiny_classifier()), FGSM(0.1)) == FGSM(0.1)


class Rare(Blobs):
    """Eight of ten images are red."""

    def __init__(self) -> None:
        super().__init__(120)
        self._labels = torch.tensor([0, 0, 0, 0, 0, 0, 0, 1, 2, 0]).repeat(12)
        self._images[torch.arange(120), self._labels] += 0.15


@dataclass(frozen=True)
class Darker(Attack):
    """Halves all values."""

    def __call__(self, model, x, y, generator=None):
        return x / 2


@pytest.mark.parametrize("balance", [True, False])
@pytest.mark.parametrize("method", [ERM, partial(AT, attack=Darker())], ids=["erm", "at"])
def test_with_classes_balanced_they_count_alike_in_validation(tmp_path, method, balance):
    data = Rare()
    options = {"epochs": 2, "batch_size": 16, "lr": 0.01, "balance_classes": balance}
    training = Training("mine", method, data, ("train",), options=options)
    training.work(folder := training.place(tmp_path).folder, Progress())
    run = Run(folder)
    part = data.split("train", "validation")
    batch = data.samples("train", [index for _, index in part.where])
    x, y = batch.images, batch.labels
    assert y.bincount()[0] > 3 * y.bincount()[1:].max()
    row, model = run.history[-1], run.model("last")
    judged = {"accuracy": x, "adversarial_accuracy": x / 2}
    judged = {name: seen for name, seen in judged.items() if f"val/{name}" in row}
    for name, seen in judged.items():
        with torch.no_grad():
            right = (model.eval()(seen).argmax(1) == y).double()
        plain = float(right.mean())
        alike = sum(float(right[y == label].mean()) for label in range(3)) / 3
        assert plain != pytest.approx(alike)
        assert row[f"val/{name}"] == pytest.approx(plain, abs=1e-6)
        assert row.get(f"val/balanced_{name}", alike) == pytest.approx(alike, abs=1e-6)
        assert (f"val/balanced_{name}" in row) == balance
    job = Validation(training, ("train",), Darker(), balance, "last")
    job.work(folder, Progress())
    assert job.score(folder) == pytest.approx(alike if balance else plain)


@pytest.mark.parametrize(("balance", "chosen"), [(True, 2), (False, 1)])
@pytest.mark.parametrize("under", ["", "adversarial_"])
def test_the_best_epoch_is_then_by_balanced_accuracy(tmp_path, monkeypatch, under, balance, chosen):
    """A model that always answers the most frequent class is right often, under attack, too."""
    planted = {1: (0.7, 0.33), 2: (0.65, 0.6), 3: (0.6, 0.5)}

    def log(module):
        names = (f"val/{under}accuracy", f"val/balanced_{under}accuracy")
        for name, value in zip(names, planted[module.current_epoch + 1], strict=True):
            module.log(name, value)

    monkeypatch.setattr(Module, "on_validation_epoch_end", log)
    method = AT(tiny_classifier(), Darker()) if under else ERM(tiny_classifier())
    options = {"epochs": 3, "batch_size": 16, "progress": False, "balance_classes": balance}
    run = fit(method, Rare(), "train", tmp_path, **options)
    assert [line.rstrip().endswith("best") for line in run.lines][chosen - 1 :] == [
        True,
        *[False] * (3 - chosen),
    ]


def test_an_answer_of_nan_is_no_right_one():
    settings = settings_of(domains=("train",), batch_size=6)
    parts = {part: Blobs().split("train", part) for part in ("train", "validation")}
    model = tiny_classifier()
    module = Module(ERM(model), parts, settings)
    x, y = torch.rand(6, 3, 8, 8), torch.arange(6) % 2
    batch = Batch(x, y)
    module.own = len(batch)
    module.on_validation_epoch_start()
    model.register_forward_hook(lambda *seen: seen[-1] * float("nan"))
    module.validation_step(batch, 0)
    counted, right = module.hits
    assert (int(counted.sum()), int(right.sum())) == (len(batch), 0)
