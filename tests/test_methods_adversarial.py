"""MART, Free AT, Fast AT and AWP against their formulas and their authors' code."""

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from cases import batch
from lookright import cli
from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.guides import ConvMasker, LearnedMask
from lookright.methods import (
    AT,
    AWP,
    EGAT,
    ERM,
    MART,
    TRADES,
    FastAT,
    FreeAT,
    GradientPenalty,
    Method,
)
from lookright.modes import frozen
from lookright.spec import spec_of
from lookright.training import Run
from lookright.training.config import method_title
from models_for_tests import Smooth, Tiny, same_state, state_of


def total(method: Method, data: Batch) -> Tensor:
    return torch.stack([*method(data).values()]).sum()


# --- Against the authors' code -----------------------------------------------------------------
# Network, images and attack follow from formulas, so that the same could be given to the code of
# YisenWang/MART (mart.py) and csdongxian/AWP (AT_AWP/utils_awp.py, trades_AWP/utils_awp.py). The
# numbers are that code's losses and gradient norms (first weight, norm, head weight), in float64.


def waves(*shape: int, start: float = 0.0) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.linspace(start, start + 9, count, dtype=torch.float64).sin().reshape(shape)


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)
        self.double()
        with torch.no_grad():
            for index, parameter in enumerate(self.parameters()):
                wave = waves(*parameter.shape, start=index)
                parameter.copy_(wave if parameter.ndim > 1 else 1 + 0.5 * wave)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.head(self.norm(self.first(x - 0.5)).tanh().mean((2, 3)))


class Ripple(Attack):
    """Moves by a formula, and counts how often it was asked."""

    eps = 0.1
    calls = 0

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        self.calls += 1
        return (x + 0.1 * torch.cos(11 * x)).clamp(0, 1)


def wavy() -> Batch:
    y = torch.arange(6) % 3
    stain = F.one_hot(y, 3)[:, :, None, None]
    return Batch((0.5 + 0.3 * waves(6, 3, 4, 4) + 0.2 * stain).clamp(0, 1), y)


@pytest.mark.parametrize(
    ("make", "loss", "norms"),
    [
        (
            lambda model: MART(model, Ripple(), beta=5.0),
            4.465962273122354,
            (0.19046699930394348, 1.578926076815392, 3.040633764084577),
        ),
        (
            lambda model: AWP(AT(model, Ripple()), gamma=0.05),
            2.8917001687848725,
            (0.1078452274827375, 0.7953929822234371, 1.5571550841313269),
        ),
        (
            lambda model: AWP(TRADES(model, Ripple(), beta=6.0), gamma=0.05),
            2.8304115134859886,
            (0.18890019492726998, 0.7851057016666032, 1.5024936672052425),
        ),
    ],
    ids=["mart", "awp-at", "awp-trades"],
)
def test_loss_and_gradients_are_those_of_the_authors_code(make, loss, norms):
    model = Waves()
    found = total(make(model), wavy())
    found.backward()
    weights = (model.first.weight, model.norm.weight, model.head.weight)
    assert found.item() == pytest.approx(loss, rel=1e-8)  # their logarithms have 1e-12 added
    assert [w.grad.norm().item() for w in weights] == pytest.approx(norms, rel=1e-7)


# --- MART ---------------------------------------------------------------------------------------


def test_mart_is_its_formula():
    model, data, ripple = Smooth().double(), batch(dtype=torch.float64), Ripple()
    terms = MART(model, ripple, beta=3.0)(data)
    p = model(data.images).softmax(1)
    q = model(ripple(model, data.images, data.labels)).softmax(1)
    boosted, moved = [], []
    for i, y in enumerate(data.labels.tolist()):
        rival = max(q[i, k] for k in range(3) if k != y)
        boosted.append(-q[i, y].log() - (1.0001 - rival).log())
        moved.append((p[i] * (p[i] / q[i]).log()).sum() * (1 - p[i, y]))
    assert list(terms) == ["adversarial", "stability"]
    torch.testing.assert_close(terms["adversarial"], torch.stack(boosted).mean())
    torch.testing.assert_close(terms["stability"], 3 * torch.stack(moved).mean())


@pytest.mark.parametrize("size", [1e-30, 1e4])
def test_mart_stays_finite_where_probabilities_are_0_and_1(size):
    data = batch(3)
    logits = nn.Parameter(size * torch.tensor([[1.0, -1, 0], [1, -1, 0], [1, 1, 1]]))

    class Fixed(nn.Module):
        def forward(self, x):
            return logits + 0 * x.mean()

    loss = total(MART(Fixed(), Ripple()), data)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_a_negative_weight_is_refused():
    with pytest.raises(UserError, match="0 or more"):
        MART(Smooth(), beta=-1.0)


# --- Fast AT ------------------------------------------------------------------------------------


def test_fast_at_is_one_long_step_from_a_random_point():
    model, data, eps = Smooth().double(), batch(dtype=torch.float64), 0.1
    x, y = data.images, data.labels
    torch.manual_seed(5)
    term = FastAT(model, eps=eps)(data)["adversarial"]
    torch.manual_seed(5)
    start = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(start), y), start)
    attacked = x + (start.detach() - x + 1.25 * eps * gradient.sign()).clamp(-eps, eps)
    torch.testing.assert_close(term, F.cross_entropy(model(attacked.clamp(0, 1)), y))
    assert FastAT(model).attack == PGD(8 / 255, 1, 10 / 255)


# --- Free AT ------------------------------------------------------------------------------------


def test_free_at_is_algorithm_1():
    """Over three batches of other sizes, each replayed; by hand in the second model."""
    eps, replays, lr = 0.05, 3, 0.1
    model = Smooth().double()
    twin = copy.deepcopy(model)
    method = FreeAT(model, eps, replays)
    optimizer = torch.optim.SGD(model.parameters(), lr)
    delta = torch.zeros(9, 3, 12, 12, dtype=torch.float64)
    for data in (batch(6, dtype=torch.float64), batch(4, dtype=torch.float64), batch(9)):
        data = Batch(data.images.double(), data.labels)
        for _ in range(replays):
            optimizer.zero_grad()
            total(method, data).backward()
            optimizer.step()

            n = len(data)
            seen = (data.images + delta[:n]).clamp(0, 1).requires_grad_()
            loss = F.cross_entropy(twin(seen), data.labels)
            *gradients, ascent = torch.autograd.grad(loss, [*twin.parameters(), seen])
            with torch.no_grad():
                for parameter, gradient in zip(twin.parameters(), gradients, strict=True):
                    parameter -= lr * gradient
            delta[:n] = (delta[:n] + eps * ascent.sign()).clamp(-eps, eps)
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
    assert torch.equal(method.attack.delta, delta)
    assert delta.abs().max() == eps


def test_free_ats_images_stay_in_the_ball_and_in_range():
    method, data = FreeAT(Tiny(), eps=0.3), batch()
    for _ in range(4):
        total(method, data).backward()
    seen = method.attack(method.model, data.images, data.labels)
    assert (seen - data.images).abs().max() <= 0.3 + 1e-6
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert not torch.equal(seen, data.images)


def test_a_forward_pass_alone_moves_no_perturbation():
    method = FreeAT(Tiny())
    total(method, batch())
    assert not method.attack.delta.any()


def test_free_ats_perturbation_is_in_its_state_alone():
    method, other = FreeAT(Smooth()), FreeAT(Smooth())
    total(method, batch()).backward()
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.attack.delta, method.attack.delta)
    assert other.attack.delta.any()
    assert AT(Smooth()).state_dict().keys() == FastAT(Smooth()).state_dict().keys()
    assert set(method.state_dict()) - set(AT(Smooth()).state_dict()) == {"_extra_state"}


def test_images_of_another_size_begin_anew():
    method, data = FreeAT(Smooth()), batch()
    total(method, data).backward()
    total(method, Batch(data.images[:, :, :8], data.labels)).backward()
    assert method.attack.delta.shape == (6, 3, 8, 12)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: FreeAT(Smooth(), replays=0), "replays"),
        (lambda: FreeAT(Smooth(), eps=8.0), "Did you mean 8/255"),
        (lambda: FastAT(Smooth(), eps=8.0), "Did you mean 8/255"),
        (lambda: FastAT(Smooth(), step=0.0), "above 0"),
    ],
)
def test_arguments_out_of_range_are_refused(make, line):
    with pytest.raises(UserError, match=line):
        make()


# --- AWP ----------------------------------------------------------------------------------------


class Spy(Method):
    """Keeps the weights that it is called with, what it sees and how far training is."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.attack = Ripple()
        self.seen: list[dict[str, Tensor]] = []
        self.images: list[Tensor] = []
        self.shares: list[float] = []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        self.seen.append({n: p.detach().clone() for n, p in self.model.named_parameters()})
        self.shares.append(self.progress)
        self.images.append(self.attack(self.model, batch.images, batch.labels))
        return {"it": F.cross_entropy(self.model(self.images[-1]), batch.labels)}


def test_awp_ascends_each_layer_by_its_own_size():
    model, data = Smooth().double(), batch(dtype=torch.float64)
    model.second.weight.requires_grad_(False)
    inner = Spy(model)
    method = AWP(inner, gamma=0.02)
    method.progress = 0.25
    method(data)
    assert inner.attack.calls == 1
    assert inner.images[0] is inner.images[1]
    assert inner.shares == [0.25, 0.25]
    before, after = inner.seen
    loss = F.cross_entropy(model(inner.images[0]), data.labels)
    for name in before:
        v = after[name] - before[name]
        if name in ("first.weight", "head.weight"):
            (gradient,) = torch.autograd.grad(loss, model.get_parameter(name), retain_graph=True)
            torch.testing.assert_close(v.norm(), 0.02 * before[name].norm())
            torch.testing.assert_close(v / v.norm(), gradient / gradient.norm())
        else:
            assert not v.any(), name


def test_awp_leaves_the_weights_and_the_attack_after_an_error_too(monkeypatch):
    model = Tiny()
    inner = AT(model, Ripple())
    method, before = AWP(inner, gamma=0.5), state_of(model)
    monkeypatch.setattr(AT, "cross_entropy", lambda *of: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        method(batch())
    assert isinstance(inner.attack, Ripple)
    assert same_state(before, state_of(model))


def test_awp_takes_over_what_its_method_declares():
    guide = LearnedMask(warm_up=0.5)
    inner = EGAT(Tiny(), Ripple(), guide=guide)
    method = AWP(inner)
    assert (method.attack, method.guide, method.warm_up) == (inner.attack, guide, 0.5)
    assert AWP(FreeAT(Tiny(), replays=4)).replays == 4


def test_awp_trains_a_guide_that_learns_and_perturbs_it_not():
    """The masker's term is that of the method alone, by the perturbed classifier held fixed."""
    model, data = Tiny().eval(), batch()
    guide = LearnedMask(ConvMasker(grid=4, width=16), warm_up=0.0)
    method = AWP(EGAT(model, Ripple(), InputGradient(), guide=guide), gamma=1e-7)
    total(method, data).backward()
    mine = [p.grad.clone() for p in method.parameters()]
    assert all(gradient.isfinite().all() and gradient.any() for gradient in mine[-4:])
    alone = EGAT(model, Ripple(), InputGradient(), guide=guide)
    alone.zero_grad()
    total(alone, data).backward()
    for gradient, parameter in zip(mine, alone.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-5)


def test_awp_moves_a_carried_perturbation_once_a_step():
    method, alone = (make(Smooth()) for make in (lambda m: AWP(FreeAT(m), 1e-6), FreeAT))
    alone.model.load_state_dict(method.model.state_dict())
    for each in (method, alone):
        total(each, batch()).backward()
    assert torch.equal(method.attack.delta, alone.attack.delta)
    assert method.attack.delta.abs().max().item() == pytest.approx(8 / 255)


def test_awp_makes_the_loss_larger():
    model, data = Smooth(), batch()
    inner = AT(model, Ripple())
    losses = [total(inner, data), *(total(AWP(inner, gamma), data) for gamma in (0.01, 0.05))]
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: AWP(ERM(Smooth())), "trains against an attack, got ERM"),
        (lambda: AWP(Smooth()), "got Smooth"),
        (lambda: AWP(AWP(AT(Smooth()))), r"got AWP, which goes round another"),
        (lambda: AWP(GradientPenalty(AT(Smooth()))), r"as in GradientPenalty\(AWP\(AT"),
        (lambda: AWP(AT(Smooth()), gamma=0.0), "gamma"),
        (lambda: AWP(AT(Smooth()), gamma=math.nan), "gamma"),
        (lambda: AWP(AT(Smooth()), gamma=-0.1), "gamma"),
    ],
)
def test_awp_refuses_what_it_cannot_perturb(make, line):
    with pytest.raises(UserError, match=line):
        make()


def test_computed_parameters_are_frozen_as_leaves_are():
    model, x = Smooth(), batch().images
    doubled = {name: 2 * value for name, value in model.named_parameters()}

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            with frozen(self.model):
                held = self.model(x)
            return held, self.model(x)

    named = {f"model.{name}": value for name, value in doubled.items()}
    held, free = functional_call(Frozen(), named, (x,))
    assert torch.equal(held, free)
    assert not held.requires_grad
    free.sum().backward()
    assert model.head.weight.grad.any()


def test_a_run_is_called_by_both():
    spec = spec_of(AWP(TRADES(Smooth(), beta=3.0), gamma=0.01))
    assert method_title(spec) == "TRADES-AWP"
    assert method_title(spec_of(FastAT(Smooth()))) == "FastAT"


# --- From the command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--method erm --awp 0.01", "trains against an attack, got ERM"),
        ("--method awp", "or --method AT --awp 0.005; got Classifier"),
        ("--method gradientpenalty", "or --method AT --gradient_penalty 0.0154; got Classifier"),
        ("--method at --gradient_penalty -1", "weight of a gradient penalty"),
        ("--method at --awp -1", "gamma"),
    ],
)
def test_the_command_line_refuses_a_wrong_wrapper_in_one_line(options, line, capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(f"train {options} --run {tmp_path / 'run'}".split())
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (error,) = [each for each in said.splitlines() if each.startswith("error: ")]
    assert line in error


def test_the_command_line_puts_awp_round_a_method(monkeypatch):
    given = {}

    def fit(method, data, domains, run, **options):
        given.update(method=method, run=run)
        return Run(run)

    monkeypatch.setattr("lookright.verbs.train.fit", fit)
    line = "train --method trades --method.beta 3 --awp 0.01 --seed 4"
    cli.main(line.split())
    assert isinstance(given["method"], AWP)
    assert given["method"].gamma == 0.01
    assert given["method"].method.beta == 3.0
    assert given["run"] == Path("runs/shortcut-trades-awp-4")
