"""Laws of the options that recipes consist of: steps, optimiser, schedule, averages and so on."""

from functools import partial

import lightning as L
import pytest
import torch
from torch.optim import SGD

from lookright.data import Augment
from lookright.errors import UserError
from lookright.guides import ConvMasker, LearnedMask
from lookright.methods import AT, AWP, EGAT, ERM, FreeAT, GroupDRO
from lookright.methods.head import head_of
from lookright.models import read_weights
from lookright.training import Run, fit
from lookright.training.descent import optimizer_of, rate
from lookright.training.module import Module
from lookright.training.settings import rhythm
from test_training import ATTACK, QUICK, Hook, Keep, alone, same_weights
from test_training_mistakes import interrupt
from test_training_sampling import DOMAINS, Seen, Uneven, settings_of
from tiny import Blobs, tiny_classifier

SGD_01 = partial(SGD, lr=0.1)

OPTIONS = {
    "steps": {"steps": 11, "validate_every": 4},
    "steps balanced": {"steps": 11, "validate_every": 4, "domain_batch_size": 5},
    "domain batches": {"domain_batch_size": 5},
    "classes": {"balance_classes": True},
    "classes by steps": {"steps": 11, "validate_every": 4, "balance_classes": True},
    "adam": {"optimizer": "Adam", "weight_decay": 0.5},
    "sgd": {"optimizer": "SGD"},
    "constant": {"schedule": "constant"},
    "step": {"schedule": "step", "warm_up": 0.0},
    "head": {"head_lr": 10.0},
    "ema": {"ema": 0.9},
    "label smoothing": {"label_smoothing": 0.2},
    "frozen": {"freeze_batchnorm": True},
    "augmentation": {"augment": Augment(shift=0, crop=0.5, colour=0.2, grey=0.2)},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def train(run, make=ERM, seed: int = 0, **options) -> Run:
    method = make(tiny_classifier(seed))
    return fit(method, Uneven(), DOMAINS, run, **(QUICK | {"augment": Augment()} | options))


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Run:
    """A training without any of the options."""
    return train(tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_option_does_something_repeats_and_resumes_bit_for_bit(plain, tmp_path, options):
    whole = train(tmp_path / "whole", **options)
    assert not same_weights(whole.last, plain.last)
    with pytest.raises(UserError, match="Stopped after epoch 1 of 3"):
        train(tmp_path / "run", callbacks=[Hook(interrupt)], **options)
    resumed = train(tmp_path / "run", seed=3, resume=True, **options)
    assert same_weights(resumed.last, whole.last)
    assert same_weights(resumed.best, whole.best)
    measured = [
        [
            {name: row[name] for name in row if "/" in name or name in ("epoch", "step", "lr")}
            for row in run.history
        ]
        for run in (resumed, whole)
    ]
    assert measured[0] == measured[1]
    tables = [
        [line.split(",")[:2] for line in (run.folder / "metrics.csv").read_text().splitlines()]
        for run in (resumed, whole)
    ]
    assert tables[0] == tables[1]


# --- Steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("steps", "every", "ends"), [(11, 4, [4, 8, 11]), (3, None, [3])])
@pytest.mark.parametrize(
    "make", [ERM, GroupDRO, lambda model: FreeAT(model, replays=3)], ids=["erm", "gdro", "free"]
)
def test_a_training_by_steps_has_exactly_so_many(tmp_path, make, steps, every, ends):
    seen, validated = Seen(), []
    hook = L.Callback()
    hook.on_validation_end = lambda trainer, module: validated.append(trainer.global_step)
    options = {"steps": steps, "validate_every": every}
    run = train(tmp_path / "run", make, callbacks=[seen, hook], **options)
    assert validated == [row["step"] for row in run.history] == ends
    assert run.finished
    assert run.history[-1]["lr"] == pytest.approx(0, abs=1e-12)
    batches = [batch.images for epoch in seen.epochs for batch in epoch]
    assert len(batches) == steps
    replays = make(tiny_classifier()).replays
    for step, images in enumerate(batches):
        assert torch.equal(images, batches[step - step % replays])


@pytest.mark.parametrize(
    ("epochs", "steps", "found"),
    [
        (1, None, (1, 1)),
        (30, None, (30, 1)),
        (61, None, (61, 3)),
        (7, 5, (1, 10)),
        (7, 12, (2, 10)),
        (7, 300, (30, 10)),
        (7, 5000, (30, 167)),
    ],
)
def test_a_training_is_validated_30_times_at_most_and_steps_lie_between(epochs, steps, found):
    assert rhythm(epochs, steps, None) == found


def test_how_often_is_validated_does_not_change_which_images_come(tmp_path):
    one, other = Seen(), Seen()
    train(tmp_path / "one", steps=9, validate_every=9, callbacks=[one])
    train(tmp_path / "other", steps=9, validate_every=2, callbacks=[other])
    images = [[batch.images for epoch in seen.epochs for batch in epoch] for seen in (one, other)]
    assert all(torch.equal(*pair) for pair in zip(*images, strict=True))


def test_by_steps_every_image_is_drawn_once_in_a_pass(tmp_path):
    seen = Seen()
    run = train(tmp_path / "run", steps=8, validate_every=3, batch_size=12, callbacks=[seen])
    n = run.config["data"]["train"]
    images = [image for epoch in seen.epochs for batch in epoch for image in batch.images]
    names = [image.cpu().numpy().tobytes() for image in images]
    assert len(set(names[:n])) == n < len(names)


@pytest.mark.parametrize("options", [{}, {"steps": 4}], ids=["epochs", "steps"])
def test_batches_hold_as_many_images_of_each_domain_for_any_method(tmp_path, options):
    seen = Seen()
    train(tmp_path / "run", domain_batch_size=6, callbacks=[seen], **options)
    batches = [batch for epoch in seen.epochs for batch in epoch]
    assert batches
    assert all(batch.domains.bincount().tolist() == [6, 6] for batch in batches)


@pytest.mark.parametrize(
    ("options", "domains"),
    [({}, None), ({"steps": 4}, None), ({"domain_batch_size": 6}, [6, 6])],
    ids=["epochs", "steps", "domains too"],
)
def test_batches_hold_as_many_images_of_each_class(tmp_path, options, domains):
    seen = Seen()
    train(tmp_path / "run", batch_size=13, balance_classes=True, callbacks=[seen], **options)
    batches = [batch for epoch in seen.epochs for batch in epoch]
    assert batches
    for batch in batches:
        assert len({*batch.labels.bincount().tolist()}) == 1
        assert domains in (None, batch.domains.bincount().tolist())


@pytest.mark.parametrize("size", ["batch_size", "domain_batch_size"])
def test_a_batch_that_has_no_room_for_every_class_is_refused(tmp_path, size):
    said = rf"balance_classes needs a batch of \d+ images or more.*: raise {size}\."
    with pytest.raises(UserError, match=said):
        train(tmp_path / "run", **{size: 1}, balance_classes=True)


# --- The optimiser and its rate --------------------------------------------------------------


def test_the_rate_rises_and_then_follows_its_schedule():
    def rates(**options):
        factor = rate(settings_of(**options), 20)
        return [round(factor(step), 6) for step in range(20)]

    rising = [0.25, 0.5, 0.75, 1.0]
    assert rates(schedule="constant") == [1.0] * 20
    assert rates(schedule="constant", warm_up=0.2) == [*rising, *[1.0] * 16]
    assert rates(schedule="step") == [1.0] * 10 + [0.1] * 5 + [0.01] * 5
    assert rates(schedule="cosine", warm_up=0.2)[:5] == [*rising, 1.0]
    assert rates(schedule="cosine", warm_up=0.2)[12] == 0.5


@pytest.mark.parametrize("name", ["AdamW", "Adam", "SGD"])
def test_the_head_has_its_own_rate_and_vectors_no_weight_decay(name):
    model = tiny_classifier()
    options = {"lr": 0.1, "head_lr": 5.0, "weight_decay": 0.3, "momentum": 0.8}
    optimizer = optimizer_of(ERM(model), settings_of(optimizer=name, **options))
    assert type(optimizer).__name__ == name
    found = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    assert len(found) == len([*model.parameters()])
    head = {id(p) for p in head_of(model, torch.rand(1, 3, 8, 8)).parameters()}
    assert len(head) == 2
    for parameter in model.parameters():
        group = found[id(parameter)]
        assert group["lr"] == pytest.approx(0.5 if id(parameter) in head else 0.1)
        assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0)
        assert group.get("momentum", 0.8) == 0.8


@pytest.mark.parametrize("wrap", [lambda method: method, AWP])
def test_a_masker_may_have_its_own_rate(wrap):
    model = tiny_classifier()
    guide = LearnedMask(ConvMasker(4, 16), masker_lr=3.0)
    method = wrap(EGAT(model, attack=ATTACK, guide=guide))
    optimizer = optimizer_of(method, settings_of(lr=0.1, head_lr=5.0))
    found = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [found[id(p)] for p in guide.parameters()] == pytest.approx(
        [0.3] * len([*guide.parameters()])
    )
    head = {id(p) for p in head_of(model, torch.rand(1, 3, 8, 8)).parameters()}
    for parameter in model.parameters():
        assert found[id(parameter)] == pytest.approx(0.5 if id(parameter) in head else 0.1)
    assert len(found) == len([*method.parameters()])
    with pytest.raises(UserError, match="masker_lr at 1"):
        optimizer_of(method, settings_of(optimizer=SGD_01))


def test_an_optimizer_of_ones_own_stands_in_place_of_the_heads_rate():
    made = optimizer_of(ERM(tiny_classifier()), settings_of(optimizer=SGD_01, head_lr=10.0))
    assert [group["lr"] for group in made.param_groups] == [0.1]


# --- Averages --------------------------------------------------------------------------------


class Steps(L.Callback):
    """The network's state after each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer, pl_module):
        self.keep(pl_module)

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.keep(pl_module)

    def keep(self, module):
        state = module.method.model.network.state_dict()
        self.states.append({name: value.clone() for name, value in state.items()})


def test_the_average_is_saved_and_left_and_does_not_touch_the_training(tmp_path):
    averaged, live, steps = Keep(), Keep(), Steps()
    method = AT(tiny_classifier(), ATTACK)
    run = fit(method, Blobs(), run=tmp_path / "a", ema=0.6, callbacks=[averaged, steps], **QUICK)
    fit(AT(tiny_classifier(), ATTACK), Blobs(), run=tmp_path / "b", callbacks=[live], **QUICK)
    for one, other in zip(averaged.epochs, live.epochs, strict=True):
        assert all(torch.equal(one[name], value) for name, value in other.items())

    first, *states = steps.states
    average = {name: value.double() for name, value in first.items()}
    for step, state in enumerate(states, 1):
        kept = min(0.6, (1 + step) / (10 + step))
        for name, value in state.items():
            average[name] = kept * average[name] + (1 - kept) * value
    saved = read_weights(run.last)
    assert any("running_mean" in name for name in saved)
    for name, value in saved.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, average[name].float().cpu())
    left = method.model.network.state_dict()
    assert all(torch.equal(saved[name], value) for name, value in left.items())


def test_the_average_is_what_is_validated(tmp_path, monkeypatch):
    judged = []

    def keep(module):
        state = module.method.model.network.state_dict()
        judged.append({name: value.clone() for name, value in state.items()})
        module.log("val/accuracy", len(judged) / 10)

    monkeypatch.setattr(Module, "on_validation_epoch_end", keep)
    run = train(tmp_path / "run", ema=0.9)
    saved = read_weights(run.best)
    assert all(torch.equal(saved[name], value.cpu()) for name, value in judged[-1].items())


# --- BatchNorm, labels, an early end ---------------------------------------------------------


def test_frozen_batchnorm_keeps_its_statistics_and_trains_its_scale(tmp_path):
    model = tiny_classifier()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit(AT(model, ATTACK), Blobs(), run=tmp_path / "run", freeze_batchnorm=True, **QUICK)
    after = model.network.state_dict()
    kept = {name for name, value in before.items() if torch.equal(after[name], value)}
    assert kept == {name for name in before if "running" in name or "num_batches" in name}
    assert all(module.training for module in model.modules())


def test_smoothed_labels_end_with_the_training(tmp_path):
    method = ERM(tiny_classifier())
    fit(method, Blobs(), run=tmp_path / "run", label_smoothing=0.3, **QUICK)
    assert method.label_smoothing == 0


class Slow(ERM):
    warm_up = 0.6


@pytest.mark.parametrize(
    ("make", "patience", "last"), [(ERM, 2, 4), (ERM, None, 5), (ERM, 4, 5), (Slow, 1, 5)]
)
def test_a_training_ends_early_when_it_gets_no_better(tmp_path, monkeypatch, make, patience, last):
    scores = iter([0.5, 0.6, 0.4, 0.5, 0.3])
    monkeypatch.setattr(
        Module, "on_validation_epoch_end", lambda module: module.log("val/accuracy", next(scores))
    )
    run = train(tmp_path / "run", make, epochs=5, patience=patience)
    assert run.history[-1]["epoch"] == last
    assert ("stopped" in run.history[-1]) == (last < 5 or make is Slow)
    assert ("stopped early: " in (run.folder / "log.txt").read_text()) == (
        "stopped" in run.history[-1]
    )
    assert run.finished
    before = run.history
    again = train(tmp_path / "run", make, epochs=5, patience=patience, resume=True)
    assert again.history == before


# --- Two processes, what is recorded, what is refused ----------------------------------------


def test_two_processes_do_it_together(tmp_path):
    ended = alone("import test_training_recipes as t; t.train_on_two(run)", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    assert [row["step"] for row in Run(tmp_path / "run").history] == [2, 3]


def train_on_two(run):
    method = AT(tiny_classifier(), ATTACK)
    options = {"steps": 3, "validate_every": 2, "domain_batch_size": 4, "ema": 0.5}
    others = {"head_lr": 2.0, "label_smoothing": 0.1, "patience": 5, "optimizer": "SGD"}
    where = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_fork"}
    fit(method, Blobs(), DOMAINS, run, **(QUICK | options | others | where))
    kept, own = read_weights(Run(run).last), method.model.network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in own.items())


def test_the_settings_of_a_run_say_what_was_asked_for(tmp_path):
    options = {"steps": 3, "domain_batch_size": 4, "ema": 0.5, "schedule": "step", "preset": "mine"}
    found = train(tmp_path / "run", **options).settings
    assert {name: getattr(found, name) for name in options} == options
    own = train(tmp_path / "own", optimizer=SGD_01, epochs=1)
    assert own.settings.optimizer.keywords == {"lr": 0.1}


WRONG = {
    "steps": 0,
    "domain_batch_size": 0,
    "patience": 0,
    "validate_every": 0,
    "head_lr": 0.0,
    "momentum": 1.0,
    "ema": 1.0,
    "label_smoothing": -0.1,
    "schedule": "cosin",
    "optimizer": "adam",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=WRONG)
def test_an_option_out_of_range_is_refused_before_anything_is_written(tmp_path, name, value):
    with pytest.raises(UserError, match=f"{name} .* got {value}"):
        train(tmp_path / "run", **{name: value})
    assert not (tmp_path / "run").exists()


def test_one_image_of_a_domain_is_too_few_to_compare_domains(tmp_path):
    with pytest.raises(UserError, match="domain_batch_size 1: make it 2"):
        train(tmp_path / "run", GroupDRO, domain_batch_size=1)
