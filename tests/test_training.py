"""Laws of a training: what is written, what repeats, what survives."""

import csv
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from tiny import Blobs, tiny_classifier

from lookright.attacks import PGD
from lookright.data.augment import Augment
from lookright.errors import UserError
from lookright.methods.at import AT
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.models import SmallResNet, read_weights
from lookright.training import Run, fit

QUICK = {"epochs": 3, "batch_size": 16, "progress": False}
ATTACK = PGD(eps=0.1, steps=2)


def train(run: Path, method=AT, seed: int = 0, **options) -> Run:
    model = tiny_classifier(seed)
    built = method(model, ATTACK) if method in (AT, EGAT) else method(model)
    return fit(built, Blobs(), "here", run, **(QUICK | {"augment": Augment(), "seed": seed} | options))


def same_weights(one: Path, other: Path) -> bool:
    first, second = read_weights(one), read_weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small are slower on more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Hook(L.Callback):
    """Calls `act` before the given step (from 0) of the given epoch (from 1)."""

    def __init__(self, act, epoch: int = 2, step: int = 1) -> None:
        self.act, self.epoch, self.step = act, epoch, step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch + 1, batch_idx) == (self.epoch, self.step):
            self.act(pl_module)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """A run of AT that nothing interrupted."""
    return train(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_everything_needed_to_know_and_use_it(whole):
    assert {path.name for path in whole.folder.iterdir()} == {
        *("config.json", "versions.json", "log.txt", "metrics.csv", "tensorboard", "checkpoints")
    }
    assert {path.name for path in (whole.folder / "checkpoints").iterdir()} == {
        *("best.safetensors", "last.safetensors", "last.ckpt")
    }
    assert any(path.name.startswith("events") for path in (whole.folder / "tensorboard").iterdir())
    assert len((whole.folder / "log.txt").read_text().splitlines()) == 3
    history = whole.history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {"train/loss", "train/adversarial", "val/accuracy", "val/adversarial_accuracy", "lr"} <= {
        *history[-1]
    }
    config = whole.config
    assert config["method"]["attack"]["eps"] == 0.1
    assert config["settings"]["augment"]["class"] == "Augment"
    assert config["data"]["train"] + config["data"]["validation"] < 72
    versions = json.loads((whole.folder / "versions.json").read_text())
    assert {"python", "torch", "torchvision", "timm", "lightning", "numpy", "platform"} <= {
        *versions
    }
    assert whole.finished


def test_the_model_is_given_back_trained_and_as_it_was(tmp_path):
    model = tiny_classifier().eval()
    model.network.stem.train()
    before = torch.random.get_rng_state()
    run = fit(ERM(model), Blobs(), ["here"], tmp_path / "run", **QUICK)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert model.network.stem.training
    assert not model.network.head.training
    assert model.network.stem[0].weight.is_contiguous()
    x = torch.rand(4, 3, 8, 8)
    assert torch.equal(run.classifier("last", SmallResNet(3, width=4)).eval()(x), model.eval()(x))


def test_the_same_seed_gives_the_same_weights_and_another_others(whole, tmp_path):
    assert same_weights(whole.last, train(tmp_path / "again").last)
    assert not same_weights(whole.last, train(tmp_path / "other", seed=1).last)


def test_it_learns(tmp_path):
    run = train(tmp_path / "run", ERM, epochs=12, lr=1e-2)
    assert run.history[-1]["train/loss"] < 0.6 * run.history[0]["train/loss"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_within_an_epoch_resumes_bit_for_bit(whole, tmp_path, workers):
    script = (
        "import os, signal, sys, torch; torch.set_num_threads(1); from pathlib import Path; from test_training import train, Hook;"
        "kill = Hook(lambda module: os.kill(os.getpid(), signal.SIGKILL), epoch=3);"
        f"train(Path(sys.argv[1]), callbacks=[kill], workers={workers})"
    )
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), *sys.path])}
    ended = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")], env=environment, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    assert [row["epoch"] for row in Run(tmp_path / "run").history] == [1, 2]
    resumed = train(tmp_path / "run", resume=True, workers=workers)
    assert same_weights(resumed.last, whole.last)
    assert same_weights(resumed.best, whole.best)
    drop = {"seconds"}
    kept = [[{k: v for k, v in row.items() if k not in drop} for row in run.history] for run in (resumed, whole)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("epoch", [1, 2])
def test_ctrl_c_says_how_to_go_on_and_loses_nothing(whole, tmp_path, epoch):
    interrupt = Hook(lambda module: os.kill(os.getpid(), signal.SIGINT), epoch)
    with pytest.raises(UserError, match=f"Stopped after epoch {epoch - 1} of 3: .*--resume"):
        train(tmp_path / "run", callbacks=[interrupt])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same_weights(train(tmp_path / "run", resume=True).last, whole.last)
