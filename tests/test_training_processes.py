"""Training by two processes: the gradients, figures and files of one process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD

from cases import METHODS, batch, learned_mask
from lookright import cli
from lookright.attacks import PGD, Attack, Ball
from lookright.batch import Batch
from lookright.chance import ImageGenerator, uniform_
from lookright.console import say
from lookright.guides import mixup
from lookright.methods.align import ALIGN
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.free_at import FreeAT
from lookright.methods.method import Method
from lookright.models import Classifier, read_weights
from lookright.processes import together
from lookright.training import Run, fit
from models_for_tests import Smooth
from test_training import alone
from tiny import Blobs

OTHERWISE = {
    "sgt": "random pixels",
    "sgt-signed": "random pixels",
    "rsc": "a share of the images of a batch",
    "coral": "covariances of the images of a batch",
}
"""Methods whose gradient is not that of one process, and by what."""


class ByImage(Attack):
    """The attack with random numbers that follow from each image."""

    def __init__(self, attack: Attack) -> None:
        self.attack = attack

    @property
    def ball(self) -> Ball | None:
        return self.attack.ball

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return self.attack(model, x, y, ImageGenerator(0))


class Half:
    """A distribution of which every draw is 0.3."""

    def __init__(self, *concentrations: float) -> None:
        pass

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        return torch.full(shape, 0.3)


def whole_batch() -> Batch:
    """Two halves, of two domains each, with other numbers of masks and of pairs of a class."""
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 1, 2, 2, 1, 1])
    filled = batch(len(labels), dtype=torch.float64)
    known = torch.tensor([1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1]).bool()
    domains = torch.arange(len(labels)) % 2
    return Batch(
        filled.images.flip(0),
        labels,
        domains,
        filled.masks,
        known,
        filled.tool_masks,
        known.roll(1),
    )


def made(name: str) -> Method:
    torch.manual_seed(0)
    method = METHODS[name](Smooth()).double()
    for each in method.modules():
        if isinstance(each, Method) and each.attack and not isinstance(each, FreeAT):
            each.attack = ByImage(each.attack)
    return method.train()


def gradients(name: str, part: Batch, wrap: Callable[[Method], nn.Module]) -> list[Tensor]:
    """Those of the second of two steps, for what a method keeps from one to the next."""
    method = made(name)
    wrapped = wrap(method)
    for _ in range(2):
        method.zero_grad()
        torch.manual_seed(1)
        torch.stack([*wrapped(part).values()]).sum().backward()
    found = [parameter.grad for parameter in method.parameters()]
    return [torch.empty(0) if each is None else each.clone() for each in found]


def compare(rank: int, folder: str) -> None:
    """Each of two processes with half of the batch; the first compares with all of it."""
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    mixup.Beta = Half
    data = whole_batch()
    found = {}
    for name in METHODS:
        alone_ = gradients(name, data, lambda method: method)
        with together():
            shared = gradients(
                name, data.select(slice(8 * rank, 8 * rank + 8)), DistributedDataParallel
            )
        scale = max(float(each.abs().max()) for each in alone_ if len(each))
        gaps = [float((a - b).abs().max()) for a, b in zip(alone_, shared, strict=True) if len(a)]
        found[name] = max(gaps) / scale
    if rank == 0:
        Path(folder, "found.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def compare_on_two(folder: Path) -> None:
    folder.mkdir()
    mp.start_processes(compare, (str(folder),), nprocs=2, start_method="fork")


@pytest.fixture(scope="module")
def gaps(tmp_path_factory) -> Mapping[str, Any]:
    """By how much each method's gradients differ, relative to the largest."""
    folder = tmp_path_factory.mktemp("gaps") / "of"
    ended = alone("import test_training_processes as t; t.compare_on_two(run)", folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("name", [name for name in METHODS if name not in OTHERWISE])
def test_two_processes_with_half_a_batch_each_have_the_gradient_of_one_with_all_of_it(gaps, name):
    assert gaps[name] < 1e-12


class Plain(nn.Module):
    """A network without BatchNorm, whose statistics are those of a process's own images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, 2, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x - 0.5).relu()).relu()
        return self.head(x.mean((2, 3)))


class OneDomain(Blobs):
    domains = ("train",)


TRAINED: Mapping[str, Callable[[Classifier], Method]] = {
    "EGAT": lambda model: EGAT(model, ByImage(PGD(eps=0.1, steps=2))),
    "ALIGN": lambda model: ALIGN(model, learned_mask(), mixup=0.0),
}


def train(name: str, folder: Path, devices: int) -> Run:
    """Three epochs in steps of 16 images, of which each process has its part.

    The images divide neither among the processes nor into batches, of training or validation.
    """
    torch.manual_seed(0)
    data = Blobs(79)
    method = TRAINED[name](Classifier(Plain(), data.classes, data.image_size))
    return fit(
        method,
        data,
        "train",
        folder / f"{name} {devices}",
        validation=OneDomain(17),
        epochs=3,
        optimizer=partial(SGD, lr=0.1),  # AdamW makes much of the rounding of a gradient near 0
        batch_size=16 // devices,
        validation_attack=PGD(eps=0.1, steps=2, restarts=2),
        accelerator="cpu",
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        progress=False,
    )


def train_on_two(folder: Path) -> None:
    for name in TRAINED:
        train(name, folder, 2)


@pytest.fixture(scope="module")
def on_two(tmp_path_factory) -> Path:
    """The folder of the runs of two processes."""
    folder = tmp_path_factory.mktemp("runs")
    ended = alone("import test_training_processes as t; t.train_on_two(run)", folder)
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.mark.parametrize("name", TRAINED)
def test_a_run_of_two_processes_is_that_of_one(on_two, tmp_path, name):
    one, two = train(name, tmp_path, 1), Run(on_two / f"{name} 2")
    for row, other in zip(one.history, two.history, strict=True):
        measured = [key for key in row if key.startswith(("train/", "val/"))]
        assert len(measured) >= 4
        for key in measured:
            assert other[key] == pytest.approx(row[key], rel=5e-4, abs=1e-6), key
    assert close(one.last, two.last)
    if name == "ALIGN":
        assert close(one.masker_file("last"), two.masker_file("last"))


class Noise(Attack):
    """Random numbers alone; keeps those of each image."""

    def __init__(self) -> None:
        self.of: dict[bytes, Tensor] = {}

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        noise = uniform_(torch.empty_like(x), x, -0.1, 0.1, generator)
        self.of |= {image.cpu().numpy().tobytes(): own for image, own in zip(x, noise, strict=True)}
        return (x + noise).clamp(0, 1)


def test_an_image_is_attacked_alike_in_whatever_batch_it_is_validated(tmp_path):
    data, found = OneDomain(40), []
    for batch_size in (2, 16):
        attack, method = Noise(), ERM(Classifier(Plain(), data.classes, data.image_size))
        options = {"epochs": 1, "validation_attack": attack, "progress": False}
        fit(method, data, "train", tmp_path / str(batch_size), batch_size=batch_size, **options)
        found.append(attack.of)
    one, other = found
    assert one.keys() == other.keys()
    assert len(one) > 2
    assert all(torch.equal(one[image], other[image]) for image in one)


def close(one: Path, other: Path) -> bool:
    first, second = read_weights(one), read_weights(other)
    return first.keys() == second.keys() and all(
        torch.allclose(first[key], second[key], atol=5e-5) for key in first
    )


def test_the_command_line_trains_on_two_and_tells_it_once(tmp_path):
    words = "train --method ERM --epochs 1 --accelerator cpu --devices 2 --strategy ddp --run run"
    told = subprocess.run(
        [sys.executable, "-m", "lookright", *words.split()],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) == 2
    assert told.stderr.count("Shortcut: 10 classes") == 1
    for line in told.stderr.splitlines():
        assert not line.startswith(("note:", "[rank", "Traceback")), line
    assert len(Run(tmp_path / "run").history) == 1


@pytest.mark.parametrize(("name", "value"), [("LOCAL_RANK", "1"), ("RANK", "3")])
def test_a_further_process_says_nothing_but_its_own_errors(monkeypatch, capsys, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        cli.main(["train", "--data", "nowhere"])
    assert capsys.readouterr().err.startswith("error: ")
    for error in (RuntimeError("Connection closed by peer"), dist.DistBackendError("NCCL")):
        monkeypatch.setattr(cli, "run", partial(_raise, error))
        with pytest.raises(SystemExit):
            cli.main(["train"])
        assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(cli, "run", partial(_raise, RuntimeError("a fault of ours")))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        cli.main(["train"])


def _raise(error: Exception, given: object) -> None:
    say("told by the first process")
    raise error
