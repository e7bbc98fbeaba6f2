"""Networks that do not give logits: whatever their end, they count as what was before it."""

from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lookright
from lookright.attacks import CrossEntropy, Margin
from lookright.batch import Batch
from lookright.claims import Plan, claim
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.guides import MeanTeacher
from lookright.methods import AT, AWP, EGAT, ERM, TRADES, GradientPenalty
from lookright.models import (
    Classifier,
    ClassMap,
    Outputs,
    build_model,
    giving_logits,
    load_classifier,
    open_model,
    save_classifier,
)
from lookright.training import fit
from models_for_tests import SIZE, Blocked, Smooth, Tiny, same_state, state_of
from tiny import Blobs

pytestmark = pytest.mark.filterwarnings("always::UserWarning", "ignore:.*torch.jit:FutureWarning")
NAMES = ("cat", "dog", "owl")
X = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))


class Ending(nn.Module):
    """Logits of a network, and what is made of them."""

    def __init__(self, end, classes=3, network=Smooth):
        super().__init__()
        self.inner, self.end = network(classes), end

    def forward(self, x):
        return self.end(self.inner(x))


def own(end, classes=3):
    """A network for the command line, by the name of its end."""
    torch.manual_seed(0)
    return Ending(ENDS[end][0], classes)


def logit_pair(z):
    return torch.stack([torch.zeros_like(z), z], 1)


# The end of a network, its number of outputs, what they are, and logits of the same probabilities.
ENDS = {
    "softmax": (lambda z: F.softmax(z, 1), 3, Outputs.PROBABILITIES, lambda z: z),
    "by hand": (
        lambda z: z.exp() / z.exp().sum(1, keepdim=True),
        3,
        Outputs.PROBABILITIES,
        lambda z: z,
    ),
    "ensemble": (
        lambda z: (z.softmax(1) + z.softmax(1)) / 2,
        3,
        Outputs.PROBABILITIES,
        lambda z: z,
    ),
    "two softmax": (lambda z: F.softmax(z, 1), 2, Outputs.PROBABILITIES, lambda z: z),
    "sigmoid": (torch.sigmoid, 3, Outputs.SIGMOIDS, lambda z: z),
    "one logit": (lambda z: z, 1, Outputs.ONE_LOGIT, lambda z: logit_pair(z[:, 0])),
    "flat logit": (lambda z: z[:, 0], 1, Outputs.ONE_LOGIT, lambda z: logit_pair(z[:, 0])),
    "one sigmoid": (torch.sigmoid, 1, Outputs.ONE_PROBABILITY, lambda z: logit_pair(z[:, 0])),
    "flat sigmoid": (
        lambda z: z.sigmoid().squeeze(1),
        1,
        Outputs.ONE_PROBABILITY,
        lambda z: logit_pair(z[:, 0]),
    ),
    "log softmax": (lambda z: z.log_softmax(1), 3, Outputs.LOGITS, lambda z: z),
    "logits": (lambda z: z, 3, Outputs.LOGITS, lambda z: z),
    "places": (lambda z: z[..., None, None], 3, Outputs.LOGITS, lambda z: z),
}
NOT_LOGITS = [name for name, (_, _, kind, _) in ENDS.items() if kind is not Outputs.LOGITS]


def made(end):
    _, count, _, _ = ENDS[end]
    return own(end, count).eval()


def expected(network, end, x):
    """The probabilities of the classes, from the logits before the end."""
    return ENDS[end][3](network.inner(x)).softmax(1)


def by_name(end, folder, monkeypatch):
    monkeypatch.setattr("test_models_outputs.this", lambda: made(end), raising=False)
    return open_model("test_models_outputs:this", image_size=SIZE)


def exported(end, folder, monkeypatch):
    x = torch.rand(2, 3, SIZE, SIZE)
    free = {0: torch.export.Dim("batch")}
    program = torch.export.export(made(end), (x,), dynamic_shapes=(free,))
    torch.export.save(program, folder / "net.pt2")
    return open_model(str(folder / "net.pt2"))


def traced(end, folder, monkeypatch):
    x = torch.rand(2, 3, SIZE, SIZE)
    torch.jit.save(torch.jit.trace(made(end), x, check_trace=False), folder / "net.pt")
    return open_model(str(folder / "net.pt"), image_size=SIZE)


def in_python(end, folder, monkeypatch):
    return giving_logits(made(end), "the model", SIZE)


def wrapped(end, folder, monkeypatch):
    names = NAMES[: max(ENDS[end][1], 2)]
    return giving_logits(Classifier(made(end), names, SIZE), "the model", SIZE)


def in_a_method(end, folder, monkeypatch):
    network = made(end)
    method = GradientPenalty(AWP(AT(network)))
    x = torch.rand(4, 3, SIZE, SIZE)
    losses = method(Batch(x, torch.arange(4) % 2))
    assert all(loss.isfinite() for loss in losses.values())
    assert method.model is method.method.model is method.method.method.model
    return method.model.eval()


WAYS = [by_name, exported, traced, in_python, wrapped, in_a_method]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("end", ENDS)
def test_the_logits_are_those_before_the_end(end, way, tmp_path, monkeypatch, recwarn):
    model = way(end, tmp_path, monkeypatch)
    x = torch.rand(5, 3, SIZE, SIZE)
    wanted = expected(made(end), end, x)
    if ENDS[end][2] is not Outputs.SIGMOIDS:
        torch.testing.assert_close(model(x).softmax(1), wanted, atol=1e-5, rtol=1e-4)
    else:
        torch.testing.assert_close(model(x), made(end).inner(x), atol=1e-4, rtol=1e-4)
    said = [str(each.message) for each in recwarn if " gives " in str(each.message)]
    assert len(said) == (ENDS[end][2] is not Outputs.LOGITS)
    assert all("\n" not in line for line in said)
    # What gives logits is not changed again.
    assert giving_logits(model, "again", SIZE) is model


@pytest.mark.parametrize("end", NOT_LOGITS)
def test_they_have_a_gradient_where_the_network_is_certain(end):
    """Logits 14 apart have probabilities that float32 rounds to 1 within 1e-6."""
    kind, count = ENDS[end][2], ENDS[end][1]
    z = torch.tensor([[14.0, 0.0, -14.0]])[:, :count].requires_grad_()
    logits = kind(ENDS[end][0](z))
    for y in range(logits.shape[1]):
        others = [each for each in range(logits.shape[1]) if each != y]
        margin = logits[0, others].amax() - logits[0, y]
        (gradient,) = torch.autograd.grad(margin, z, retain_graph=True)
        assert gradient.abs().max() > 0.4
        (gradient,) = torch.autograd.grad(logits[0, y], z, create_graph=True)
        assert gradient.isfinite().all()
        squared = gradient.square().sum() + 0 * z.square().sum()
        (second,) = torch.autograd.grad(squared, z, retain_graph=True)
        assert second.isfinite().all()


def test_a_probability_of_zero_has_finite_logits_and_gradients():
    z = torch.tensor([[200.0, 0.0, -300.0]], requires_grad=True)
    for kind, p in ((Outputs.PROBABILITIES, z.softmax(1)), (Outputs.SIGMOIDS, z.sigmoid())):
        logits = kind(p)
        assert logits.isfinite().all()
        loss = F.cross_entropy(logits, torch.tensor([1]))
        (gradient,) = torch.autograd.grad(loss, z, create_graph=True)
        assert gradient.isfinite().all()
        (second,) = torch.autograd.grad(gradient.square().sum() + z.sum(), z)
        assert second.isfinite().all()


class Fixed(nn.Module):
    """Outputs that hardly depend on the image, as those of an untrained network."""

    def __init__(self, *values):
        super().__init__()
        self.head = nn.Linear(3, len(values))
        nn.init.normal_(self.head.weight, std=0.01)
        self.head.bias.data = torch.tensor(values)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        (lambda: Fixed(0.3, 0.5), Outputs.LOGITS),
        (lambda: Fixed(0.1, 0.1, 0.5, 0.9), Outputs.LOGITS),
        (lambda: Fixed(0.5), Outputs.ONE_LOGIT),
        (lambda: nn.Sequential(Fixed(0.2, 0.5), nn.ReLU()), Outputs.LOGITS),
        (lambda: nn.Sequential(Fixed(0.2, 0.5), nn.LogSigmoid()), Outputs.LOGITS),
        (lambda: nn.Sequential(Fixed(9.0, 9.0), nn.Hardsigmoid()), Outputs.SIGMOIDS),
        (lambda: Blocked("last"), Outputs.LOGITS),
        (lambda: Ending(lambda z: z.sigmoid().detach()), Outputs.SIGMOIDS),
    ],
)
def test_logits_that_happen_to_be_positive_stay_logits(network, kind, recwarn):
    torch.manual_seed(0)
    model = giving_logits(network(), "it", SIZE)
    assert getattr(model, "outputs", Outputs.LOGITS) is kind


def test_what_a_network_gives_can_be_said(monkeypatch, recwarn):
    monkeypatch.setattr("test_models_outputs.this", lambda: made("softmax"), raising=False)
    model = open_model("test_models_outputs:this", image_size=SIZE, outputs="logits")
    x = torch.rand(2, 3, SIZE, SIZE)
    assert torch.equal(model(x), made("softmax")(x))
    assert not [each for each in recwarn if "gives" in str(each.message)]


def test_the_order_of_two_classes_is_told():
    with pytest.warns(UserWarning, match=r"one logit z.*cat \(negative\) and dog \(positive\)"):
        model = giving_logits(made("one logit"), "net", SIZE, ("cat", "dog"))
    with pytest.raises(UserError, match="distinguishes 2 classes, but there are 3"):
        giving_logits(made("one logit"), "net", SIZE, NAMES)
    x = torch.rand(3, 3, SIZE, SIZE)
    positive = made("one logit")(x)[:, 0] > 0
    assert torch.equal(model(x).argmax(1) == 1, positive)


@pytest.mark.filterwarnings("ignore:.* gives :UserWarning")
@pytest.mark.parametrize("end", ["softmax", "two softmax", "one logit", "one sigmoid"])
def test_a_file_and_a_class_map_know_what_the_outputs_are(end, tmp_path, monkeypatch):
    monkeypatch.setattr("test_models_outputs.this", lambda *_: made(end), raising=False)
    model = open_model("test_models_outputs:this", image_size=SIZE)
    save_classifier(model, tmp_path / "kept.safetensors")
    x = torch.rand(4, 3, SIZE, SIZE)
    own = {"architecture": "test_models_outputs:this"}
    again = load_classifier(tmp_path / "kept.safetensors", **own)
    assert torch.equal(again.eval()(x), model(x))
    for way in (again, open_model(str(tmp_path / "kept.safetensors"), **own)):
        assert torch.equal(way.eval()(x), model(x))
    whole = expected(made(end), end, x)
    groups = {"a": (1,), "b": (0, 2) if whole.shape[1] == 3 else (0,)}
    mapped = ClassMap(groups).onto(model, whole.shape[1])
    parts = torch.stack([whole[:, list(of)].sum(1) for of in groups.values()], 1)
    torch.testing.assert_close(mapped(x).softmax(1), parts)


QUICK = Protocol(limit=6)


@pytest.mark.filterwarnings("ignore:.* gives :UserWarning")
def test_figures_are_those_of_the_network_without_its_softmax():
    data = Blobs(n=24, image_size=SIZE)
    softmax = Ending(lambda z: z.softmax(1))
    logits = {"images": data._images, "labels": data._labels, "protocol": QUICK, "progress": False}
    centred = Ending(lambda z: z - z.mean(1, keepdim=True))
    centred.load_state_dict(softmax.state_dict())
    ours, theirs = (
        lookright.evaluate(each.eval(), **logits).domains["data"].measures
        for each in (softmax, centred)
    )
    assert ours.keys() == theirs.keys()
    for name in ours:
        if not name.startswith("randomisation"):
            assert ours[name].value == pytest.approx(theirs[name].value, abs=2e-2), name


@pytest.mark.filterwarnings("ignore:.* gives :UserWarning")
def test_evaluating_and_claiming_leave_the_model_as_it_was():
    data = Blobs(n=24, image_size=SIZE)
    for model in (made("softmax"), Classifier(made("softmax"), data.classes, SIZE)):
        before, x = state_of(model), torch.rand(2, 3, SIZE, SIZE)
        outputs = model(x)
        given = {"images": data._images, "labels": data._labels, "progress": False}
        lookright.evaluate(model, **given, protocol=Protocol(limit=2, stages=()))
        claim(model, plan=Plan(n=4), **given)
        assert same_state(before, state_of(model))
        assert torch.equal(model(x), outputs)


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "logits"])
def test_a_run_remembers_what_its_network_gives(end, tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr("test_models_outputs.this", lambda *_: made(end), raising=False)
    data = Blobs(image_size=SIZE)
    model = build_model("test_models_outputs:this", data.classes, SIZE)
    assert model.outputs is ENDS[end][2]
    run = fit(EGAT(model), data, "train", tmp_path / "run", epochs=1, progress=False)
    assert run.config["model"]["outputs"] == ENDS[end][2]
    x = torch.rand(2, 3, SIZE, SIZE)
    again = run.model("last", architecture="test_models_outputs:this")
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_a_classifier_learns_what_its_network_gives_when_it_is_trained(tmp_path):
    data = Blobs(image_size=SIZE)
    model = Classifier(made("softmax"), data.classes, SIZE)
    with pytest.warns(UserWarning, match="gives probabilities"):
        fit(ERM(model), data, "train", tmp_path / "run", epochs=1, progress=False)
    assert model.outputs is Outputs.PROBABILITIES
    again = load_classifier(tmp_path / "run/checkpoints/last.safetensors", made("softmax"))
    assert again.outputs is Outputs.PROBABILITIES


Both = namedtuple("Both", ["logits", "aux_logits"])


@dataclass
class Answer:
    logits: Tensor
    hidden: None = None


SEVERAL = {
    "namedtuple": lambda z: Both(z, -z),
    "tuple": lambda z: (z, -z),
    "one in a list": lambda z: [z],
    "dict": lambda z: {"loss": None, "logits": z},
    "only value": lambda z: {"scores": z},
    "dataclass": lambda z: Answer(z),
    "object": lambda z: SimpleNamespace(logits=z),
}


class InTraining(nn.Module):
    """Auxiliary outputs only in training mode, as Inception has."""

    def __init__(self, end):
        super().__init__()
        self.inner, self.end = Tiny(), end

    def forward(self, x):
        z = self.inner(x)
        return self.end(z) if self.training else z


@pytest.mark.parametrize("network", [Ending, InTraining])
@pytest.mark.parametrize("kind", SEVERAL)
def test_several_outputs_have_their_logits_found(kind, network, recwarn):
    net = network(SEVERAL[kind])
    inner = net.inner
    x, y = torch.rand(6, 3, SIZE, SIZE), torch.arange(6) % 3
    for make in (ERM, TRADES, EGAT):
        method = make(net)
        buffers = {name: value.clone() for name, value in net.named_buffers()}
        method.give_logits(SIZE)
        assert all(torch.equal(value, buffers[name]) for name, value in net.named_buffers())
        sum(method(Batch(x, y)).values()).backward()
    model = Classifier(net, NAMES, SIZE).eval()
    assert torch.equal(model(x), inner.eval()(x))
    assert not [each for each in recwarn if "gives" in str(each.message)]


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (lambda z: (z.new_zeros(len(z), 64), z), r"got tuple of 0: \(4, 64\), 1: \(4, 3\)"),
        (lambda z: {"features": z[:, :2], "scores": z}, r"got dict of features: \(4, 2\)"),
        (lambda z: (), "got tuple of nothing"),
        (lambda z: None, "got NoneType"),
        (lambda z: "cat", "got str"),
    ],
)
def test_outputs_that_say_nothing_of_logits_are_refused(end, says):
    with pytest.raises(UserError, match=says) as raised:
        giving_logits(Ending(end), "it", SIZE)
    assert "\n" not in str(raised.value)


def test_an_attack_moves_a_certain_network(recwarn):
    """The gradient of both objectives of attacks, at probabilities of 1 - 1e-5."""
    network = Ending(lambda z: (12 * z).softmax(1))
    model = giving_logits(network, "it", SIZE)
    x = torch.rand(8, 3, SIZE, SIZE, requires_grad=True)
    y = network.inner(x).argmax(1)
    for objective in (CrossEntropy(), Margin()):
        (gradient,) = torch.autograd.grad(objective(model, x.detach(), y)(x).sum(), x)
        assert (gradient.flatten(1).abs().amax(1) > 0).all()


def test_a_path_is_read_at_the_models_size(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        for index in range(3):
            path = tmp_path / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (20, 30), (80 * index, 40, 90)).save(path)
    seen = []

    class Sized(Smooth):
        def forward(self, x):
            seen.append(x.shape[-1])
            return super().forward(x)

    model = Classifier(Sized(2), ("a", "b"), SIZE)
    protocol = Protocol(limit=2, stages=())
    lookright.evaluate(model, str(tmp_path), protocol=protocol, progress=False)
    assert set(seen) == {SIZE}
    assert Path(tmp_path / "a").is_dir()


@pytest.mark.parametrize("names", [2, 4])
def test_a_classifier_with_other_names_than_logits_is_one_clear_error(names):
    model = Classifier(made("logits"), [*"abcd"[:names]], SIZE)
    with pytest.raises(UserError, match=f"it gives 3 logits, but .* names {names} classes"):
        giving_logits(model, "it", SIZE)
    right = Classifier(made("logits"), [*"abc"], SIZE)
    assert giving_logits(right, "it", SIZE) is right


class Counting(nn.Module):
    """A buffer that it writes into and one that it replaces, in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        self.head = nn.Linear(4 * (SIZE - 2) ** 2, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen = self.seen + x.shape[0]
        return self.head(self.inner(x))


@pytest.mark.parametrize("wrap", [lambda net: net, nn.DataParallel, torch.jit.script])
def test_a_network_in_training_mode_is_tried_and_left_as_it_was(wrap):
    net = wrap(Counting().train())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert giving_logits(net, "it", SIZE) is net
    assert net.training
    after = net.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert AT(net)(Batch(X, torch.tensor([0, 1])))["adversarial"] > 0


@pytest.mark.parametrize(
    "make",
    [AT, lambda net: EGAT(net, guide=MeanTeacher()), lambda net: GradientPenalty(AWP(AT(net)))],
)
def test_a_state_fits_before_and_after_the_first_batch(make):
    """Which puts a network that gives no logits into a classifier."""
    torch.manual_seed(0)
    tried, fresh = (make(own(end)) for end in ("softmax", "softmax"))
    with torch.no_grad():
        for each in tried.parameters():
            each.add_(torch.rand_like(each))
    tried(Batch(X, torch.tensor([0, 1])))
    after = {name: value.clone() for name, value in tried.state_dict().items()}
    fresh.load_state_dict(after)
    before = fresh.state_dict()
    assert before.keys() != after.keys()
    assert all(map(torch.equal, before.values(), after.values()))
    with torch.no_grad():
        for each in tried.parameters():
            each.zero_()
    tried.load_state_dict(before)
    assert tried.state_dict().keys() == after.keys()
    assert all(map(torch.equal, tried.state_dict().values(), after.values()))
    with pytest.raises(RuntimeError, match="Unexpected"):
        fresh.load_state_dict(after | {"model.other": X})
