"""A training does not wait for its accelerator at every step, and takes data from memory."""

import sys
from collections import Counter
from functools import partial

import lightning as L
import pytest
import torch
from torch.optim import SGD
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, TensorDataset

from lookright.attacks import PGD
from lookright.data import InMemory
from lookright.data.augment import Augment
from lookright.errors import UserError
from lookright.methods import AT, EGAT, ERM, TRADES
from lookright.models import Classifier, SmallResNet
from lookright.progress import progress_bar
from lookright.training import fit
from lookright.training.module import Module, looks_every
from lookright.training.progress import Bar
from second_device import AWAY
from test_training import ATTACK, QUICK, Hook, same_weights
from test_training_mistakes import spoil
from tiny import Blobs, tiny_classifier

N = 60


class Waits(TorchDispatchMode):
    """Counts what an accelerator would be waited for: numbers read from tensors, sizes found."""

    NAMES = ("_local_scalar_dense", "nonzero", "is_nonzero", "masked_select", "unique2")

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().partition("::")[2].partition(".")[0]
        if name in self.NAMES:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


class Watch(L.Callback):
    """The waits of each step, from the batch's transfer on."""

    def __init__(self) -> None:
        self.waits: list[int] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.mode = Waits()
        self.mode.__enter__()

    def on_train_batch_end(self, trainer, pl_module, *rest):
        self.mode.__exit__(None, None, None)
        self.waits.append(sum(self.mode.found.values()))


@pytest.mark.parametrize(
    "method", [ERM, partial(AT, attack=ATTACK), partial(TRADES, attack=ATTACK),
               partial(EGAT, attack=ATTACK)],
)  # fmt: skip
def test_few_steps_are_waited_for(tmp_path, monkeypatch, method):
    monkeypatch.setattr("lookright.training.module.looks_every", lambda device: 10)
    monkeypatch.setattr("lookright.training.progress._SECONDS", 1e9)
    watch = Watch()
    with progress_bar() as bar:
        fit(
            method(tiny_classifier()), Blobs(), "train", tmp_path / "run", batch_size=2, epochs=1,
            optimizer=partial(SGD, lr=0.01), augment=Augment(), callbacks=[watch], progress=bar,
        )  # fmt: skip
    steps = len(watch.waits)
    assert steps > 20
    waited = [step for step, count in enumerate(watch.waits) if count]
    assert set(waited) <= {*range(0, steps, 10), *range(9, steps, 10), steps - 1}, watch.waits
    assert steps - 1 in waited


@pytest.mark.parametrize(("epoch", "step"), [(1, 0), (1, 2), (2, 1)])
def test_a_loss_that_is_not_finite_is_named_by_its_step_even_late(
    tmp_path, monkeypatch, epoch, step
):
    monkeypatch.setattr("lookright.training.module.looks_every", lambda device: 10)
    message = rf"not finite \(clean = nan\) at step {step + 1} of epoch {epoch}: lower lr"
    with pytest.raises(UserError, match=message):
        fit(
            ERM(tiny_classifier()), Blobs(), "train", tmp_path / "run",
            callbacks=[Hook(spoil, epoch, step)], **QUICK,
        )  # fmt: skip


def test_an_accelerator_is_looked_at_from_time_to_time():
    assert looks_every(torch.device("cpu")) == 1
    assert looks_every(torch.device("cuda")) == looks_every(torch.device("mps")) == 10


def test_how_often_it_is_looked_at_changes_no_weight(tmp_path, monkeypatch):
    runs = []
    for every in (1, 10):
        monkeypatch.setattr("lookright.training.module.looks_every", lambda _, n=every: n)
        method = AT(tiny_classifier(), ATTACK)
        runs.append(fit(method, Blobs(), "train", tmp_path / str(every), **QUICK))
    assert same_weights(runs[0].last, runs[1].last)
    assert [r["train/loss"] for r in runs[0].history] == [r["train/loss"] for r in runs[1].history]


def test_the_bar_shows_the_loss_from_time_to_time(tmp_path, monkeypatch):
    reads = []

    class Metrics(dict):
        def __getitem__(self, name):
            reads.append(name)
            return torch.tensor(0.5)

    class Trainer:
        callback_metrics, current_epoch, max_epochs, global_step = Metrics(), 0, 1, 3
        is_last_batch = False

    times = iter([0.0, 10.0, 10.1, 10.4, 10.6, 10.7])
    monkeypatch.setattr("lookright.training.progress.time.monotonic", lambda: next(times))
    with progress_bar() as real:
        bar = Bar(real, "AT")
        bar.shown = next(times)
        for _ in range(5):
            bar.on_train_batch_end(Trainer(), None)
        assert real.tasks[0].completed == 3
    assert len(reads) == 2


def blobs() -> tuple[torch.Tensor, torch.Tensor]:
    batch = Blobs(N).samples("train", range(N))
    return (batch.images * 255).round() / 255, batch.labels


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(SmallResNet(3, width=4), ("red", "green", "blue"), 8)


def loader(shuffle: bool = False, batch_size: int = 7) -> DataLoader:
    return DataLoader(TensorDataset(*blobs()), batch_size=batch_size, shuffle=shuffle)


def test_tensors_are_split_as_any_data(tmp_path):
    run = fit(ERM(classifier()), blobs(), run=tmp_path / "run", **QUICK)
    data = InMemory(*blobs(), classes=Blobs.classes)
    assert run.config["data"]["train"] == len(data.split("data", "train"))
    assert run.config["data"]["validation"] == len(data.split("data", "validation"))
    assert run.settings.domains == ("data",)
    with pytest.raises(
        UserError, match="InMemory needs images, labels, which a spec does not contain"
    ):
        run.data()


def test_a_loader_trains_on_all_it_has_and_its_order_does_not_count(tmp_path):
    given = {"validation": loader(), **QUICK}
    runs = [
        fit(ERM(classifier()), source, run=tmp_path / str(at), **given)
        for at, source in enumerate((loader(True), loader(True, batch_size=11), loader()))
    ]
    assert runs[0].config["data"]["train"] == runs[0].config["data"]["validation"] == N
    assert same_weights(runs[0].last, runs[1].last)
    assert same_weights(runs[0].last, runs[2].last)


def test_a_training_from_memory_goes_on_bit_for_bit(tmp_path):
    given = {"validation": loader(), **QUICK}
    whole = fit(ERM(classifier()), loader(), run=tmp_path / "whole", **given)

    def stop(module):
        raise KeyboardInterrupt

    with pytest.raises(UserError, match="Stopped after epoch 1"):
        fit(ERM(classifier()), loader(True), run=tmp_path / "cut", callbacks=[Hook(stop)], **given)
    cut = fit(ERM(classifier()), loader(True), run=tmp_path / "cut", resume=True, **given)
    assert same_weights(whole.last, cut.last)


def test_a_resume_with_other_images_is_refused(tmp_path):
    x, y = blobs()
    fit(ERM(classifier()), (x, y), run=tmp_path / "run", **QUICK)
    with pytest.raises(UserError, match=r"of another config: .*samples"):
        fit(ERM(classifier()), (x.flip(2), y), run=tmp_path / "run", resume=True, **QUICK)
    validated = fit(
        ERM(classifier()), (x, y), validation=(x, y), run=tmp_path / "val", **QUICK
    )  # fmt: skip
    with pytest.raises(UserError, match=r"of another config: .*samples"):
        fit(
            ERM(classifier()), (x, y), validation=(x.flip(2), y), run=validated.folder,
            resume=True, **QUICK,
        )  # fmt: skip


def test_mistakes_with_data_in_memory(tmp_path):
    x, y = blobs()
    method, into = ERM(classifier()), {"run": tmp_path / "run", **QUICK}
    with pytest.raises(UserError, match="which folder the run goes to"):
        fit(method, (x, y))
    with pytest.raises(UserError, match=r"validation=\.\.\."):
        fit(method, loader(), loader(), **into)
    with pytest.raises(UserError, match="Classifier\\(network"):
        fit(method, ((x - 0.5) / 0.2, y), **into)
    with pytest.raises(UserError, match="for images of 8 px, InMemory gives 6 px"):
        fit(method, (x, y), validation=(x[..., :6, :6], y), **into)
    with pytest.raises(UserError, match="one of 3 classes; got 3"):
        fit(method, (x, y + 1), **into)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("asked", ["gpu", "cuda", "mps"])
def test_an_accelerator_that_is_not_there_is_one_clear_line(tmp_path, monkeypatch, asked):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"device of this machine|GPU in this machine"):
        fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path, accelerator=asked, **QUICK)


def test_the_one_decision_is_taken_for_a_training_too(tmp_path, monkeypatch):
    asked = []

    class Trainer(L.Trainer):
        def __init__(self, **given):
            asked.append(given["accelerator"])
            super().__init__(**given | {"accelerator": "cpu"})

    monkeypatch.setattr(L, "Trainer", Trainer)
    for kind in ("cpu", "cuda", "mps", "xpu"):
        module = sys.modules["lookright.training.fit"]
        monkeypatch.setattr(module, "best_device", lambda *_, k=kind: torch.device(k))
        fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path / kind, **QUICK | {"epochs": 1})
    assert asked == ["cpu", "cuda", "mps", "auto"]


def test_the_trained_model_is_where_it_was(tmp_path, monkeypatch):
    method = AT(tiny_classifier(), PGD(steps=1))

    def left_elsewhere(trainer, module, **given):
        module.method.to(AWAY)

    monkeypatch.setattr(L.Trainer, "fit", left_elsewhere)
    monkeypatch.setattr(Module, "__del__", lambda self: None, raising=False)
    fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    assert {p.device.type for p in method.parameters()} == {"cpu"}
