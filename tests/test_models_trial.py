"""A network that cannot be used is told why, and what would mend it."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lookright
from lookright.errors import UserError
from lookright.methods import AT, ERM
from lookright.models import Classifier, build_model, giving_logits, open_model, read_weights
from models_for_tests import SIZE, Flat, Smooth, Tiny

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


def network(channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


class Changed(nn.Module):
    """A network with something done to its images and its logits."""

    def __init__(self, before=lambda x: x, after=lambda z: z):
        super().__init__()
        self.inner, self.before, self.after = network(), before, after

    def forward(self, x):
        return self.after(self.inner(self.before(x)))


def whole(x):
    assert x.dtype == torch.uint8, "expected bytes"
    return x.float() / 255


def segments():
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1))


def broken():
    damaged = network()
    damaged[0].weight.data[0, 0, 0, 0] = torch.nan
    return damaged


WRONG = {
    "grey": (lambda: network(1), r"images with 1 channel, but images here have 3.*x\.mean\(1, "),
    "rgba": (lambda: network(4), r"images with 4 channels, but images here have 3 \(RGB\)"),
    "bytes": (lambda: Changed(whole), r"integers from 0 to 255, but images here are floats"),
    "size": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3)),
        r"images of 12 px, but it can on images of 32 px: .*--image_size",
    ),
    "odd size": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(7, 3)),
        r"could not be run on images of 12 px \(RuntimeError: .*if it was made for another size",
    ),
    "segmentation": (
        segments,
        r"scores for each place, \(4, 5, 12, 12\), as a network for segmentation",
    ),
    "transposed": (
        lambda: Changed(after=lambda z: z.T),
        r"gives \(3, 4\) for 4 images, with the classes first",
    ),
    "chosen": (
        lambda: Changed(after=lambda z: z.argmax(1)),
        r"type int64, such as classes already chosen: .* before argmax",
    ),
    "votes": (lambda: Changed(after=lambda z: z > 0), r"type bool, such as classes"),
    "tokens": (
        lambda: Changed(after=lambda z: z[:, None].expand(-1, 7, -1)),
        r"gives \(4, 7, 3\) for 4 images: expected logits",
    ),
    "mixed": (
        lambda: nn.Sequential(network().double(), nn.Linear(3, 3)),
        r"float32 and float64|float64",
    ),
}
UNRELIABLE = {
    "dropout": (
        lambda: Changed(after=lambda z: F.dropout(z, 0.5)),
        r"in a second pass, so dropout.*training=self\.training",
    ),
    "noise": (lambda: Changed(before=lambda x: x + torch.rand_like(x)), r"in a second pass"),
    "batch": (
        lambda: Changed(after=lambda z: z - z.mean(0)),
        r"in another batch, so images are normalised together.*model\.eval\(\)",
    ),
    "nan weights": (broken, r"weights that are not finite numbers, in network\.0\.weight"),
    "nan": (
        lambda: Changed(after=lambda z: z / 0 * 0),
        r"not finite numbers \(NaN or infinity\) for images of noise.*--mean",
    ),
}


@pytest.fixture
def open_it(monkeypatch):
    def opened(make):
        monkeypatch.setattr("test_models_trial.this", make, raising=False)
        return open_model("test_models_trial:this", image_size=SIZE)

    return opened


@pytest.mark.filterwarnings("ignore:.*converted to float32:UserWarning")
@pytest.mark.parametrize("kind", [*(kind for kind in WRONG if kind != "mixed"), *UNRELIABLE])
def test_what_is_wrong_with_a_network_is_said(kind, open_it):
    make, says = (WRONG | UNRELIABLE)[kind]
    with pytest.raises(UserError, match=says) as raised:
        open_it(make)
    assert "\n" not in str(raised.value)
    assert "size" in kind or "--image_size" not in str(raised.value)


@pytest.mark.parametrize("kind", WRONG)
def test_it_is_said_from_python_and_in_training_too(kind, monkeypatch):
    make, says = WRONG[kind]
    images, labels = torch.rand(6, 3, SIZE, SIZE), torch.arange(6) % 3
    with pytest.raises(UserError, match=says):
        lookright.evaluate(make(), images=images, labels=labels, progress=False)
    with pytest.raises(UserError, match=says):
        ERM(make())(lookright.Batch(images, labels))
    if kind != "mixed":
        monkeypatch.setattr("test_models_trial.this", make, raising=False)
        with pytest.raises(UserError, match=says):
            build_model("test_models_trial:this", ("a", "b", "c"), SIZE)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted_and_told(kind, open_it):
    torch.manual_seed(0)
    plain = network()
    with pytest.warns(UserWarning, match=f"weights in {str(kind)[6:]}: they are converted"):
        model = open_it(lambda: network().to(kind))
    assert {each.dtype for each in model.parameters()} == {torch.float32}
    assert model(torch.rand(2, 3, SIZE, SIZE)).dtype == torch.float32
    with pytest.raises(
        UserError, match=rf"weights in {str(kind)[6:]}, but images are float32: .*model\.float\(\)"
    ):
        giving_logits(plain.to(kind), "it", SIZE)


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_program_in_another_precision_is_converted(kind, tmp_path):
    torch.jit.save(torch.jit.script(network().to(kind)), tmp_path / "net.pt")
    with pytest.warns(UserWarning, match="converted to float32"):
        model = open_model(str(tmp_path / "net.pt"), image_size=SIZE)
    assert model(torch.rand(2, 3, SIZE, SIZE)).dtype == torch.float32


def test_a_network_without_weights_is_told():
    with torch.device("meta"):
        empty = network()
    with pytest.raises(UserError, match=r"lies on meta, .*has no weights, only their shapes"):
        giving_logits(empty, "it", SIZE, like=torch.empty(0))


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.bin"])
@pytest.mark.parametrize("old", [False, True])
def test_a_pickled_model_is_no_state_dict(name, old, tmp_path):
    torch.save(Tiny(), tmp_path / name, _use_new_zipfile_serialization=not old)
    says = r"a whole model \(models_for_tests\.Tiny\).*package\.module:function --weights"
    with pytest.raises(UserError, match=says) as raised:
        open_model(str(tmp_path / name), image_size=SIZE)
    assert "\n" not in str(raised.value)
    if not old:
        assert read_weights(tmp_path / name).keys() == Tiny().state_dict().keys()
        return
    with pytest.raises(UserError, match=r"torch\.save\(model\.state_dict\(\)"):
        read_weights(tmp_path / name)


def test_a_state_dict_is_no_pickled_model(tmp_path):
    for state in (Tiny().state_dict(), dict(Tiny().state_dict()), OrderedDict(a=torch.ones(1))):
        torch.save(state, tmp_path / "net.pth")
        with pytest.raises(UserError, match="If it is a state dict"):
            open_model(str(tmp_path / "net.pth"))
        assert read_weights(tmp_path / "net.pth").keys() == state.keys()


def test_a_good_network_is_left_alone(open_it):
    for make in (Flat, Smooth, Tiny, network):
        torch.manual_seed(0)
        net = make()
        assert giving_logits(net, "it", SIZE) is net
        model = open_it(make)
        assert model.network.training is False
    assert Path(__file__).exists()


def test_a_network_that_writes_into_its_images_is_refused_unless_it_gets_others():
    """Each pass over the same images would see others; a `Classifier` gives it new ones."""
    images, labels = torch.rand(6, 3, SIZE, SIZE), torch.arange(6) % 3
    before = images.clone()
    net = Changed(lambda x: x.sub_(0.5)).eval()
    with pytest.raises(UserError, match=r"writes into its images, as by x\.sub_\(mean\)"):
        lookright.evaluate(net, images=images, labels=labels, progress=False)
    for make in (ERM, AT):
        with pytest.raises(UserError, match=r"writes into its images"):
            make(net)(lookright.Batch(images, labels))
    wrapped = Classifier(net, "abc", SIZE)
    assert giving_logits(wrapped, "it", SIZE) is wrapped
    AT(wrapped)(lookright.Batch(images, labels))
    assert torch.equal(images, before)
