"""Catastrophic overfitting is said when it is there, once, and not when it is not."""

import warnings
from math import pi
from typing import ClassVar

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from lookright.attacks import FGSM, L2, PGD, ByMask
from lookright.batch import Batch
from lookright.data.augment import Augment
from lookright.errors import UserError
from lookright.methods import AT, AWP, TRADES, FastAT, FreeAT
from lookright.models import Classifier
from lookright.training import Run, fit
from lookright.training.overfitting import one_step, overfitted
from tiny import Blobs, tiny_classifier

EPS = 0.1


class Dipped(nn.Module):
    """The right class, but for brightness half an eps off what it was: there, the opposite.

    One step of eps jumps over the dip to where it is right again; several shorter ones fall in.
    """

    def __init__(self) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor(5.0))

    def forward(self, x: Tensor) -> Tensor:
        colour = x.mean((2, 3))
        shift = colour.mean(1) - 0.5
        sign = torch.cos(2 * pi * shift / EPS + 0.6)
        label = nn.functional.one_hot(colour.argmax(1), 3)
        return self.size * sign[:, None] * label


class Plain(Blobs):
    """One colour an image, of mean brightness 0.5: its class is the brightest channel."""

    def __init__(self) -> None:
        super().__init__()
        colours = 0.4 + 0.3 * torch.eye(3)
        self._images = colours[self._labels][:, :, None, None].expand(-1, -1, 8, 8)


def train(method, run, data=None, **options) -> tuple[Run, list[str], list[str]]:
    """The run, the lines about overfitting in its log, and those among the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        options = {"epochs": 3, "batch_size": 16, "progress": False} | options
        done = fit(method, data or Blobs(), "train", run, **options)
    logged = (run / "log.txt").read_text().splitlines()
    said = [str(each.message) for each in caught]
    return done, *([each for each in of if "overfitting" in each] for of in (logged, said))


def dipped() -> Classifier:
    return Classifier(Dipped(), Plain.classes, 8)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: AT(model, FGSM(EPS)),
        lambda model: AT(model, PGD(EPS, steps=1, step_size=EPS, random_start=False)),
        lambda model: FreeAT(model, EPS, replays=2),
        lambda model: AWP(AT(model, FGSM(EPS))),
    ],
    ids=["fgsm", "one step of pgd", "free", "awp"],
)
def test_it_is_said_once_in_the_log_and_as_a_warning(make, tmp_path):
    done, logged, warned = train(make(dipped()), tmp_path / "run", Plain(), lr=1e-9)
    for row in done.history:
        assert row["val/accuracy"] == row["val/one_step_accuracy"] == 1.0
        assert row["val/adversarial_accuracy"] == 0.0
    assert len(logged) == len(warned) == 1
    assert "epoch 1: 100.0% right under the one step" in logged[0]
    assert "0.0% under the validation attack" in logged[0]
    assert "more steps (AT)" in warned[0]


def test_a_run_that_goes_on_does_not_say_it_again(tmp_path):
    class Stop(L.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise KeyboardInterrupt

    def start(**options):
        method = AT(dipped(), FGSM(EPS))
        return train(method, tmp_path / "run", Plain(), lr=1e-9, epochs=4, **options)

    with pytest.raises(UserError, match="Stopped after epoch 2"):
        start(callbacks=[Stop()])
    done, logged, warned = start(resume=True)
    assert [row["epoch"] for row in done.history] == [1, 2, 3, 4]
    assert (len(logged), warned) == (1, [])


def test_nothing_is_said_of_a_method_that_is_well(tmp_path):
    done, logged, warned = train(FastAT(tiny_classifier(), eps=0.02), tmp_path / "run", lr=1e-2)
    assert {"val/one_step_accuracy", "val/adversarial_accuracy"} <= done.history[-1].keys()
    assert logged == warned == []


def test_a_method_of_many_steps_is_not_looked_at(tmp_path):
    done, logged, _ = train(AT(dipped(), PGD(EPS, steps=2)), tmp_path / "run", Plain(), lr=1e-9)
    assert "val/one_step_accuracy" not in done.history[-1]
    assert logged == []


@pytest.mark.parametrize(
    ("own", "other", "it_is"),
    [
        (1.0, 0.0, True),
        (0.3, 0.0, True),
        (0.6, 0.3, True),
        (0.29, 0.0, False),
        (0.6, 0.31, False),
        (0.95, 0.64, False),
        (0.1, 0.5, False),
    ],
)
def test_the_gap_that_is_called_overfitting(own, other, it_is):
    row = {"val/one_step_accuracy": own, "val/adversarial_accuracy": other}
    assert overfitted(row) is it_is
    assert not overfitted({"val/adversarial_accuracy": other})
    assert not overfitted({"val/one_step_accuracy": own})


def test_only_attacks_in_one_ball_are_compared():
    step, many = PGD(0.1, steps=1), PGD(0.1, steps=10)
    assert one_step(step, many) == step
    assert one_step(FGSM(0.1), many) == FGSM(0.1)
    assert one_step(ByMask(FGSM(0.1)), many) == FGSM(0.1)
    assert one_step(ByMask(many), many) is None
    assert one_step(FreeAT(tiny_classifier(), 0.1).attack, many) == FGSM(0.1)
    assert one_step(AWP(FastAT(tiny_classifier(), 0.1)).attack, many) is not None
    assert one_step(TRADES(tiny_classifier()).attack, many) is None
    for other in (None, FGSM(0.1), PGD(0.1, steps=1), PGD(0.2), PGD(0.1, norm=L2())):
        assert one_step(step, other) is None
    assert one_step(None, many) is None


class Counting(Augment):
    """Counts its calls."""

    calls = 0

    def __call__(self, batch):
        Counting.calls += 1
        return super().__call__(batch)


class Seeing(FreeAT):
    """Keeps the batches that it is given."""

    seen: ClassVar[list[Batch]] = []

    def forward(self, batch):
        self.seen.append(batch)
        return super().forward(batch)


def test_a_batch_is_augmented_once_for_its_replays(tmp_path):
    options = {"epochs": 2, "augment": Counting()}
    done, *_ = train(Seeing(tiny_classifier(), replays=3), tmp_path / "run", **options)
    seen = Seeing.seen
    assert done.history[-1]["step"] == len(seen) == 3 * Counting.calls
    assert Counting.calls >= 4
    for first in range(0, len(seen), 3):
        assert seen[first] is seen[first + 1] is seen[first + 2]
    assert len({id(batch) for batch in seen}) == Counting.calls
