"""Checkpoints as other tools write them: found by what fits, told in one line, or refused."""

import argparse
import copy
import functools
import pathlib
import re
import warnings
from collections import OrderedDict

import dill
import numpy as np
import pytest
import torch
from torch import nn

from lookright.errors import UserError
from lookright.models import SmallResNet, build_model, find_weights, open_model
from models_for_tests import Tiny

CLASSES = 5
SIZE = 16


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))


def network(classes=CLASSES, seed=0):
    torch.manual_seed(seed)
    made = SmallResNet(classes)
    made.train()(torch.rand(8, 3, SIZE, SIZE))  # so that the buffers of BatchNorm say something
    return made.eval()


def under(prefix, state):
    return OrderedDict((prefix + name, value) for name, value in state.items())


def other(state):
    return OrderedDict((name, value + 1) for name, value in state.items())


def renamed(state, name):
    return OrderedDict((key.replace("head.", name), value) for key, value in state.items())


def without_head(state):
    return OrderedDict((key, value) for key, value in state.items() if "head." not in key)


def head_of(state, name):
    return {f"{name}.weight": state["head.weight"], f"{name}.bias": state["head.bias"]}


class Settings(dict):
    """The hyper-parameters of somebody's tool: a class that only that tool has."""


class Run:
    """An object of that tool."""

    def __init__(self):
        self.name = "run"


MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])


def lightning(state):
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.0",
        "hyper_parameters": {"lr": 0.1, "data": pathlib.PurePosixPath("x"), "net": Run()},
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.rand(4, 3, 3, 3)}}}],
        "state_dict": {**under("model.", state), "criterion.weight": torch.ones(CLASSES)},
    }


def robustness(state):
    """MadryLab's: the same network twice, beside normalisers."""
    normal = {"new_mean": MEAN.view(3, 1, 1), "new_std": STD.view(3, 1, 1)}
    whole = {
        **under("module.normalizer.", normal),
        **under("module.model.", state),
        **under("module.attacker.normalize.", normal),
        **under("module.attacker.model.", state),
    }
    return {"model": whole, "epoch": 1, "args": Run(), "prec1": np.float64(0.5)}


def mmpretrain(state):
    body = under("backbone.", without_head(state))
    return {"meta": {"epoch": 1}, "state_dict": {**body, **head_of(state, "head.fc")}}


SAVED = {
    "plain": (lambda s: s, None),
    "DataParallel": (lambda s: under("module.", s), "without the prefix 'module.'"),
    "compiled": (lambda s: {"model": under("_orig_mod.", s)}, "took 'model'.*'_orig_mod.'"),
    "nested": (lambda s: {"net": under("module.model.", s), "acc": 9.5}, "'net'.*'module.model.'"),
    "backbone": (lambda s: under("encoder.backbone.", s), "prefix 'encoder.backbone.'"),
    "a prefix that nobody listed": (lambda s: {"weights": under("zebra.", s)}, "'zebra.'"),
    "a container in a container": (lambda s: {"a": {"b": s}}, "took 'a.b'"),
    "in a list": (lambda s: [s, {"epoch": 1}], "took '0'"),
    "Lightning": (lightning, "'state_dict'.*'model.'.*left out 'criterion' "),
    "SWA": (
        lambda s: {"n_averaged": torch.tensor(7), **under("module.", s)},
        r"'module.'; left out 'n_averaged' \(1\)",
    ),
    "MadryLab": (robustness, r"'model'; .*'module.model.'; left out .*its mean \[0.4, 0.5, 0.6\]"),
    "RobustBench": (
        lambda s: {
            **under("model.", s),
            "mu": MEAN.view(1, 3, 1, 1),
            "sigma": STD.view(1, 3, 1, 1),
        },
        r"prefix 'model.'.*mean \[0.4, 0.5, 0.6\] and std \[0.2, 0.25, 0.3\]",
    ),
    "a wrapper with normalisation": (
        lambda s: {"0.mean": MEAN, "0.std": STD, **under("1.", s)},
        r"prefix '1.'.*mean \[0.4, 0.5, 0.6\]",
    ),
    "of 0 to 255": (
        lambda s: {"state_dict": {"pixel_mean": MEAN * 255, "pixel_std": STD * 255, **s}},
        r"mean \[0.4, 0.5, 0.6\]",
    ),
    "MMPretrain": (mmpretrain, "'state_dict'.*'backbone.'.*took 'head.fc' for the head 'head'"),
    "body and head apart": (
        lambda s: {"encoder": without_head(s), "classifier": head_of(s, "linear")},
        "took 'encoder'.*'classifier.linear' for the head",
    ),
    "a head of another name": (lambda s: renamed(s, "fc."), "took 'fc' for the head 'head'"),
    "DataParallel inside": (
        lambda s: {re.sub("^stages.", "stages.module.", key): value for key, value in s.items()},
        None,
    ),
    "without counters": (
        lambda s: {key: value for key, value in s.items() if "num_batches" not in key},
        None,
    ),
    "EMA": (
        lambda s: {"state_dict": other(s), "state_dict_ema": s},
        "took 'state_dict_ema'; 'state_dict' would fit too, with other values",
    ),
    "EMA within": (
        lambda s: {"state_dict": {**under("model.", other(s)), **under("ema_model.", s)}},
        "without the prefix 'ema_model.'.*'state_dict.model' would fit too",
    ),
    "two, neither averaged": (
        lambda s: {"state_dict": {**under("net1.", s), **under("net2.", other(s))}},
        "'net1.'.*'state_dict.net2' would fit too",
    ),
    "in half precision": (lambda s: {"model": {k: v.float() for k, v in s.items()}}, "'model'"),
    "objects of other classes": (
        lambda s: {
            "state_dict": s,
            "args": argparse.Namespace(lr=1),
            "hparams": Settings(a=1),
            "root": pathlib.Path("x"),
            "best": np.float64(3),
            "curve": np.zeros(3),
        },
        "took 'state_dict'",
    ),
    "functions": (
        lambda s: {"state_dict": s, "make": functools.partial(print, 1), "run": Run()},
        "took 'state_dict'",
    ),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", SAVED)
def test_the_network_is_found_and_told_in_one_line(kind, zipped, tmp_path):
    make, says = SAVED[kind]
    theirs = network()
    state = theirs.state_dict()
    saved = make(state)
    path = tmp_path / "theirs.pth"
    how = {"pickle_module": dill} if kind == "MadryLab" else {}
    torch.save(saved, path, _use_new_zipfile_serialization=zipped, **how)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = open_model("small_resnet", weights=path, image_size=SIZE)
    said = [str(each.message) for each in caught]
    if says is None:
        assert said == []
    else:
        assert len(said) == 1
        assert "\n" not in said[0]
        assert re.search(f"theirs.pth: .*{says}", said[0]), said[0]
    normal = says is not None and "mean" in says
    mean, std = (MEAN, STD) if normal else (torch.full((3,), 0.5), torch.full((3,), 0.5))
    x = torch.rand(4, 3, SIZE, SIZE)
    wanted = theirs((x - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    torch.testing.assert_close(model(x), wanted)
    assert len(model.classes) == CLASSES


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mean_and_std_that_the_user_gives_win(tmp_path):
    path = tmp_path / "theirs.pth"
    theirs = network()
    torch.save(robustness(theirs.state_dict()), path)
    given = {"mean": (0.1, 0.1, 0.1), "std": (0.7, 0.7, 0.7)}
    model = open_model("small_resnet", weights=path, image_size=SIZE, **given)
    x = torch.rand(4, 3, SIZE, SIZE)
    torch.testing.assert_close(model(x), theirs((x - 0.1) / 0.7))
    tuned = build_model("small_resnet", "abcde", SIZE, weights=path).eval()
    torch.testing.assert_close(tuned(x), theirs((x - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)))


def shallower(state):
    return {key: value for key, value in state.items() if not key.startswith("stages.2")}


def deeper(state):
    return {**state, "stages.7.conv.weight": torch.rand(4, 4, 3, 3)}


def in_a_block(state):
    name = next(key for key in state if key.startswith("stages.1"))
    return {**state, f"{name.rpartition('.')[0]}.gate.weight": torch.rand(4, 4)}


def wider(state):
    return {k: v.repeat_interleave(2, 0) if v.ndim == 4 else v for k, v in state.items()}


def projection(state):
    body = under("backbone.", without_head(state))
    return {**body, **head_of(state, "head.2"), "head.0.weight": torch.rand(16, 16)}


def neck(state):
    body = under("backbone.", without_head(state))
    return {**body, **head_of(state, "head.fc"), "neck.fc.weight": torch.rand(16, 16)}


def two_heads(state):
    return {**renamed(state, "fc1."), **head_of(state, "fc2")}


ANOTHER = "weights of another model: "


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (shallower, rf"{ANOTHER}[1-9]\d* parameters missing.*expected stages\.2"),
        (lambda s: {"model": under("module.", shallower(s))}, r"under 'model\.module\.'"),
        (
            deeper,
            rf"{ANOTHER}0 parameters missing, 1 unexpected.*has stages\.7\.conv\.weight \(4x4",
        ),
        (in_a_block, rf"{ANOTHER}0 parameters missing, 1 unexpected.*gate\.weight"),
        (wider, rf"{ANOTHER}0 parameters missing, 0 unexpected, [1-9]\d* of another shape"),
        (without_head, r"no head that can be told \(expected head.weight, a row of \d+ for each"),
        (projection, "no head that can be told"),
        (neck, "no head that can be told"),
        (two_heads, "no head that can be told"),
        (
            lambda s: Tiny().state_dict(),
            rf"{ANOTHER}.*expected .*the file has .*norm\.weight \(8\)",
        ),
        (lambda s: {"optimizer": {"state": {0: torch.ones(3)}}}, ANOTHER),
        (lambda s: {"epoch": 1, "args": Run()}, "is not a state dict"),
        (lambda s: Run(), "is not a state dict"),
    ],
)
def test_another_network_is_refused_with_the_nearest_names(make, says, tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(make(network().state_dict()), path)
    with pytest.raises(UserError, match=says) as raised:
        open_model("small_resnet", weights=path, image_size=SIZE)
    said = str(raised.value)
    assert "\n" not in said
    if ANOTHER in said and "epoch" not in said:
        ours, theirs = re.search(
            "expected (.*); the file has (.*?)(?: under .*)?: give", said
        ).groups()
        assert 1 <= len(ours.split(", ")) <= 5
        assert 1 <= len(theirs.split(", ")) <= 5


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (without_head, "it has no head to take, and head starts at zero"),
        (lambda s: under("module.encoder_q.", projection(s)), "no head to take"),
        (lambda s: {**s, **head_of({**s, **under("", s)}, "head")}, None),
        (two_heads, "no head to take"),
    ],
)
def test_training_may_begin_with_a_body_alone(make, says, tmp_path):
    theirs = network()
    path = tmp_path / "theirs.pth"
    torch.save(make(theirs.state_dict()), path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuned = build_model("small_resnet", "abcde", SIZE, weights=path).network
    said = " ".join(str(each.message) for each in caught)
    assert said == "" if says is None else says in said
    for name, value in tuned.state_dict().items():
        if says and name.startswith("head."):
            assert not value.any()
        else:
            assert torch.equal(value, theirs.state_dict()[name])


def test_a_head_for_other_classes_starts_at_zero_and_that_is_said(tmp_path):
    path = tmp_path / "theirs.pth"
    torch.save(network(7).state_dict(), path)
    with pytest.warns(UserWarning, match="head of 7 classes is left out, and head starts at zero"):
        tuned = build_model("small_resnet", "abcde", SIZE, weights=path)
    assert not tuned.network.head.weight.any()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_pickled_model_gives_its_tensors(tmp_path):
    theirs = Tiny().eval()
    theirs.register_buffer("passing", torch.rand(2), persistent=False)
    for whole in (theirs, {"model": theirs, "epoch": 1}):
        torch.save(whole, tmp_path / "whole.pt")
        found = find_weights(copy.deepcopy(theirs), tmp_path / "whole.pt")
        assert found.state.keys() == theirs.state_dict().keys()
        for name, value in theirs.state_dict().items():
            assert torch.equal(found.state[name], value)


def test_a_network_of_ones_own_takes_all_layers_or_none(tmp_path):
    path = tmp_path / "theirs.pth"
    state = Tiny().state_dict()
    torch.save(under("module.", state), path)
    with pytest.warns(UserWarning, match="prefix 'module.'"):
        assert find_weights(Tiny(), path).state.keys() == state.keys()
    torch.save({**state, "neck.weight": torch.rand(8, 8)}, path)
    with pytest.raises(UserError, match=r"1 unexpected.*neck\.weight"):
        find_weights(Tiny(), path)


class Normalise(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("new_mean", MEAN.view(3, 1, 1))
        self.register_buffer("new_std", STD.view(3, 1, 1))

    def forward(self, x):
        return (x - self.new_mean) / self.new_std


class Wrapped(nn.Module):
    """MadryLab's model, as a network of one's own: it normalises its images itself."""

    def __init__(self):
        super().__init__()
        self.normalizer, self.model = Normalise(), network()

    def forward(self, x):
        return self.model(self.normalizer(x))


def test_a_network_that_normalises_itself_does_so_once(tmp_path):
    theirs = Wrapped()
    torch.save(robustness(theirs.model.state_dict()), tmp_path / "theirs.pth")
    name = "test_models_checkpoints:Wrapped"
    with pytest.warns(
        UserWarning, match="without the prefix 'module.'; left out 'module.attacker'"
    ):
        model = open_model(name, weights=tmp_path / "theirs.pth", image_size=SIZE)
    x = torch.rand(4, 3, SIZE, SIZE)
    torch.testing.assert_close(model(x), theirs(x))


class Evil:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class EvilState(nn.Module):
    """One whose class would run on being restored."""

    def __setstate__(self, state):
        pathlib.Path("restored").touch()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_code_of_a_checkpoint_runs(zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "ran"
    state = network().state_dict()
    for evil in (Evil(victim), [Evil(victim)], {"a": Evil(victim)}):
        saved = {"state_dict": state, "evil": evil, "net": Run(), "hparams": Settings(a=1)}
        torch.save(saved, "x.pth", _use_new_zipfile_serialization=zipped)
        open_model("small_resnet", weights="x.pth", image_size=SIZE)
        assert not victim.exists()
    torch.save({"model": state, "net": EvilState()}, "y.pth")
    open_model("small_resnet", weights="y.pth", image_size=SIZE)
    assert not pathlib.Path("restored").exists()


def test_what_cannot_be_read_without_code_is_one_line_with_the_mend(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"a": network().state_dict(), "b": Run()}, path, pickle_protocol=4)
    with pytest.raises(
        UserError, match=r"cannot be read.*torch\.save\(model\.state_dict\(\)"
    ) as of:
        open_model("small_resnet", weights=path, image_size=SIZE)
    assert "\n" not in str(of.value)
    loop = {"a": torch.ones(1)}
    loop["loop"] = [loop] * 50
    torch.save(loop, path)
    with pytest.raises(UserError, match="another model"):
        open_model("small_resnet", weights=path, image_size=SIZE)
