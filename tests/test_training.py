"""Laws of a training: what is written, what repeats, what survives."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning as L
import pytest
import torch

from lookright.attacks import PGD
from lookright.data.augment import Augment
from lookright.errors import UserError
from lookright.methods.at import AT
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.models import SmallResNet, read_weights
from lookright.training import Run, fit
from lookright.training.module import Module
from tiny import Blobs, tiny_classifier

QUICK = {"epochs": 3, "batch_size": 16, "progress": False}
ATTACK = PGD(eps=0.1, steps=2)


def train(run: Path, method=AT, seed: int = 0, **options) -> Run:
    model = tiny_classifier(seed)
    built = method(model, ATTACK) if method in (AT, EGAT) else method(model)
    options = QUICK | {"data": Blobs(), "augment": Augment(), "seed": seed} | options
    return fit(built, domains="train", run=run, **options)


def timeless(row: dict[str, float]) -> dict[str, float]:
    """What a row says that does not depend on how fast the machine was."""
    return {key: value for key, value in row.items() if key not in ("seconds", "waiting")}


def same_weights(one: Path, other: Path) -> bool:
    first, second = read_weights(one), read_weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def alone(call: str, run: Path) -> subprocess.CompletedProcess[str]:
    """Make the call in a process of its own, where `run` names the folder."""
    script = (
        "import os, signal, sys, torch; torch.set_num_threads(1); from pathlib import Path;"
        f"import test_training; run = Path(sys.argv[1]); {call}"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", script, str(run)],
        env=os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},  # no fork after CUDA
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
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


class Keep(L.Callback):
    """The network's weights at the end of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, torch.Tensor]] = []

    def on_train_epoch_end(self, trainer, pl_module):
        state = pl_module.method.model.network.state_dict()
        self.epochs.append({name: value.clone() for name, value in state.items()})


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Run:
    """A run of AT that nothing interrupted."""
    return train(tmp_path_factory.mktemp("whole") / "run")


def test_a_run_leaves_everything_needed_to_know_and_use_it(whole):
    assert {path.name for path in whole.folder.iterdir()} == {
        *("config.json", "versions.json", "log.txt", "metrics.csv", "tensorboard", "checkpoints"),
        *("checksums.json", "seen.json.gz"),
    }
    assert {path.name for path in (whole.folder / "checkpoints").iterdir()} == {
        *("best.safetensors", "last.safetensors", "last.ckpt")
    }
    assert any(path.name.startswith("events") for path in (whole.folder / "tensorboard").iterdir())
    assert len((whole.folder / "log.txt").read_text().splitlines()) == 3
    history = whole.history
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {
        "train/loss",
        "train/adversarial",
        "val/accuracy",
        "val/adversarial_accuracy",
        "lr",
    } <= {*history[-1]}
    config = whole.config
    assert whole.method(model=tiny_classifier()).attack == ATTACK
    assert whole.settings.augment == Augment()
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
    run = fit(ERM(model), Blobs(), ["train"], tmp_path / "run", **QUICK)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert model.network.stem.training
    assert not model.network.head.training
    x = torch.rand(4, 3, 8, 8)
    assert torch.equal(run.model("last", SmallResNet(3, width=4)).eval()(x), model.eval()(x))


def test_the_same_seed_gives_the_same_weights_and_another_others(whole, tmp_path):
    assert same_weights(whole.last, train(tmp_path / "again").last)
    assert not same_weights(whole.last, train(tmp_path / "other", seed=1).last)


def test_it_learns(tmp_path):
    run = train(tmp_path / "run", ERM, epochs=12, lr=1e-2)
    assert run.history[-1]["train/loss"] < 0.6 * run.history[0]["train/loss"]


def test_a_run_killed_within_an_epoch_resumes_bit_for_bit(whole, tmp_path):
    kill = "test_training.Hook(lambda module: os.kill(os.getpid(), signal.SIGKILL), epoch=3)"
    ended = alone(f"test_training.train(run, callbacks=[{kill}])", tmp_path / "run")
    assert ended.returncode == -signal.SIGKILL
    assert [row["epoch"] for row in Run(tmp_path / "run").history] == [1, 2]
    resumed = train(tmp_path / "run", resume=True)
    assert same_weights(resumed.last, whole.last)
    assert same_weights(resumed.best, whole.best)
    for row, other in zip(resumed.history, whole.history, strict=True):
        assert timeless(row) == timeless(other)


@pytest.mark.parametrize(("epoch", "workers"), [(1, 0), (2, 0), (2, 2)])
def test_ctrl_c_says_how_to_go_on_and_loses_nothing(whole, tmp_path, epoch, workers):
    interrupt = Hook(lambda module: os.kill(os.getpid(), signal.SIGINT), epoch)
    with pytest.raises(UserError, match=f"Stopped after epoch {epoch - 1} of 3: .*--resume"):
        train(tmp_path / "run", callbacks=[interrupt], workers=workers)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert same_weights(train(tmp_path / "run", resume=True, workers=workers).last, whole.last)


def test_mixed_precision_trains_every_parameter(tmp_path):
    model = tiny_classifier()
    before = [parameter.clone() for parameter in model.parameters()]
    fit(EGAT(model, ATTACK), Blobs(), "train", tmp_path / "run", **QUICK, precision="bf16-mixed")
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert not any(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))


class Late(Blobs):
    """Images that take a while to read."""

    def samples(self, domain, indices):
        time.sleep(0.2)
        return super().samples(domain, indices)


class Idle(L.Callback):
    """Steps that take a while."""

    def on_before_optimizer_step(self, *args):
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("data", "callbacks", "low", "high"),
    [(Late(), [], 0.4, 1), (Late(), [Idle()], 0.15, 0.85), (Blobs(), [Idle()], 0, 0.3)],
    ids=["slow data", "slow data and steps", "slow steps"],
)
def test_the_time_that_a_training_waits_for_data_is_in_its_log(
    tmp_path, data, callbacks, low, high
):
    run = train(tmp_path / "run", ERM, data=data, epochs=1, callbacks=callbacks)
    told = [line for line in run.lines if "waiting for data" in line]
    for row, line in zip(run.history, told, strict=True):
        assert low <= row["waiting"] <= high
        assert f"{row['waiting']:.0%} of training waiting for data" in line


def test_two_processes_train_one_model(tmp_path):
    ended = alone("test_training.train_on_two(run)", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    assert [row["epoch"] for row in Run(tmp_path / "run").history] == [1, 2, 3]


def train_on_two(run: Path) -> None:
    """Both processes' gradients went into the weights that this one has back."""
    model = tiny_classifier()
    options = QUICK | {"batch_size": 8, "accelerator": "cpu", "devices": 2}
    fit(EGAT(model, ATTACK), Blobs(), "train", run, **options, strategy="ddp_fork")
    kept = read_weights(Run(run).last)
    assert all(torch.equal(kept[name], value) for name, value in model.network.state_dict().items())


@pytest.mark.parametrize(("epochs", "every"), [(5, 2), (4, 2), (2, 5)])
def test_validation_comes_every_so_often_and_at_the_end(tmp_path, epochs, every):
    run = train(tmp_path / "run", ERM, epochs=epochs, validate_every=every)
    validated = [row["epoch"] for row in run.history if "val/accuracy" in row]
    assert validated == sorted({*range(every, epochs + 1, every), epochs})


@pytest.mark.parametrize(
    ("method", "chosen"), [(AT, 2), (ERM, 3)], ids=["with an attack", "without"]
)
def test_best_is_by_adversarial_accuracy_where_there_is_an_attack(
    tmp_path, monkeypatch, method, chosen
):
    scores = {1: (0.9, 0.3), 2: (0.5, 0.3), 3: (0.9, 0.2), 4: (0.8, 0.1)}

    def planted(module):
        clean, adversarial = scores[module.current_epoch + 1]
        module.log("val/accuracy", clean)
        module.log("val/adversarial_accuracy", adversarial)

    monkeypatch.setattr(Module, "on_validation_epoch_end", planted)
    run = train(tmp_path / "run", method, epochs=4, callbacks=[keep := Keep()])
    best = read_weights(run.best)
    assert all(torch.equal(best[name], value) for name, value in keep.epochs[chosen - 1].items())
    assert (run.folder / "log.txt").read_text().splitlines()[chosen - 1].endswith("best")


class Guarded(Blobs):
    def samples(self, domain, indices):
        assert domain == "train"
        return super().samples(domain, indices)


def test_no_domain_but_those_named_is_looked_at(tmp_path):
    fit(AT(tiny_classifier(), ATTACK), Guarded(), "train", tmp_path / "run", **QUICK)
