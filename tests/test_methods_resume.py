"""Law of every method: a training that stopped goes on bit for bit, with all that it remembers."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from cases import METHODS, batch
from lookright.batch import Batch
from lookright.data import ImageData
from lookright.methods.method import Method
from lookright.models import Classifier, read_weights
from lookright.training import Run, fit
from models_for_tests import SIZE, Tiny
from test_training import timeless


class Known(ImageData):
    """The batch of the methods' laws as two domains: images of which everything is known."""

    name = "Known"
    classes = ("red", "green", "blue")
    domains = ("one", "other")
    has_masks = True
    image_size = SIZE

    def __init__(self) -> None:
        self.all = batch(30)

    def keys(self, domain: str) -> Sequence[str]:
        return [f"{domain} {index}" for index in range(len(self.all))]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        found = self.all.select(torch.as_tensor(indices))
        return Batch(**{**vars(found), "domains": found.labels * 0 + self.domain_index(domain)})

    def tool_masked(self, domain: str) -> Sequence[bool]:
        assert self.all.has_tool_mask is not None
        return self.all.has_tool_mask.tolist()


class Copied(L.Callback):
    """The run's folder as a kill in its third epoch would leave it."""

    def __init__(self, run: Path, copy: Path) -> None:
        self.run, self.copy = run, copy

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        if trainer.current_epoch == 2 and not self.copy.exists():
            shutil.copytree(self.run, self.copy)


def train(make: Callable[[nn.Module], Method], run: Path, **options: Any) -> Run:
    torch.manual_seed(0)
    method = make(Classifier(Tiny(), Known.classes, SIZE))
    quick = {"epochs": 4, "batch_size": 24, "validate_every": 4, "progress": False}
    quick["accelerator"] = "cpu"  # where the sums of a convolution have one order
    return fit(method, Known(), Known.domains, run, **(quick | options))


def remembered(run: Run) -> dict[str, Tensor]:
    return torch.load(run.resumable, weights_only=True)["state_dict"]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_a_stopped_training_goes_on_bit_for_bit(make, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    done = train(make, whole, callbacks=[Copied(whole, stopped)])
    assert [row["epoch"] for row in Run(stopped).history] == [1, 2]
    halfway = remembered(Run(stopped))
    resumed = train(make, stopped, resume=True)
    assert same(remembered(resumed), remembered(done))
    assert not same(halfway, remembered(done))
    assert same(read_weights(resumed.last), read_weights(done.last))
    for row, other in zip(resumed.history, done.history, strict=True):
        assert timeless(row) == timeless(other)
