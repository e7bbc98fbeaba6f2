"""Attacks for evaluation: what falls, what cannot, and agreement with the authors' code."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyautoattack
import pytest
import torch
import torch.nn.functional as F
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.square import SquareAttack
from torch import Generator, Tensor, nn

from cases import EVALUATION_ATTACKS, NORMS, QuickAutoAttack, with_radius
from lookright.attacks import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    AutoAttack,
    Ball,
    ByMask,
    CarliniWagner,
    LInf,
    Norm,
    Square,
    WorstCase,
)
from lookright.attacks.autoattack import two_class_margin
from lookright.attacks.borrowed import as_float32, norm_name
from lookright.errors import UserError
from lookright.metrics import correct, rate
from models_for_tests import Mute, Overflows, Smooth, fragile

FRAGILE = fragile()
TEN = fragile(10)
every_attack = pytest.mark.parametrize(
    "attack", EVALUATION_ATTACKS.values(), ids=EVALUATION_ATTACKS
)
every_norm = pytest.mark.parametrize(("norm", "eps"), NORMS.values(), ids=NORMS)


class Quantised(nn.Module):
    """A model behind an input layer of few levels, whose gradient is zero everywhere."""

    def __init__(self, model: nn.Module, levels: int = 60) -> None:
        super().__init__()
        self.model, self.levels = model, levels

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x * self.levels).round() / self.levels)


class Detached(nn.Module):
    """A model that passes no gradient on at all."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.detach())


class Cracked(nn.Module):
    """A model with a slope at one pixel that is no finite number."""

    def __init__(self, model: nn.Module, slope: float) -> None:
        super().__init__()
        self.model, self.slope = model, slope

    def forward(self, x: Tensor) -> Tensor:
        corner = x[:, 0, 0, :1]
        return self.model(x) + _Steep.apply(corner, self.slope)


class _Steep(torch.autograd.Function):
    """Zero everywhere."""

    @staticmethod
    def forward(context: Any, x: Tensor, slope: float) -> Tensor:
        context.slope = slope
        return torch.zeros_like(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return torch.full_like(gradient, context.slope), None


class Cropped(nn.Module):
    """A model of images of 12 pixels a side, asked about larger ones."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x[..., :12, :12])


class Sees(nn.Module):
    """Remembers how many images were in each pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        return self.model(x)


def seed(number: int) -> Generator:
    return Generator().manual_seed(number)


def right(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x).argmax(1) == y


def accuracy(model: nn.Module, attack: Attack, x: Tensor, y: Tensor, number: int = 0) -> float:
    return right(model, attack(model, x, y, seed(number)), y).float().mean().item()


def half_strong(norm: Norm) -> float:
    """A radius at which about half of the fragile images of ten classes fall."""
    return 0.012 if isinstance(norm, LInf) else 0.2


# --- What falls ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [
        *(APGD(eps, norm=n, loss=loss) for n, eps in NORMS.values() for loss in ("ce", "dlr")),
        *(AutoAttack(eps, n) for n, eps in NORMS.values()),
        *(WorstCase((FGSM(eps, n), PGD(eps, norm=n))) for n, eps in NORMS.values()),
        APGD(loss="margin"),
        Square(16 / 255, 400),
        Square(2.0, 400, L2()),
        CarliniWagner(steps=60, searches=5),
    ],
    ids=repr,
)
def test_a_fragile_model_falls(attack: Attack) -> None:
    model, x, y = FRAGILE
    assert right(model, x, y).float().mean() > 0.99
    assert accuracy(model, attack, x, y) < 0.02


class Asks(QuickAutoAttack):
    """Square with more queries."""

    def _library(self, *arguments: Any) -> Any:
        theirs = super()._library(*arguments)
        theirs.square.n_queries = 500
        return theirs


@pytest.mark.parametrize("mask", [Quantised, Detached])
def test_a_masked_model_falls_to_the_square_and_not_to_gradients(
    mask: Callable[[nn.Module], nn.Module],
) -> None:
    model, x, y = mask(FRAGILE[0]), *FRAGILE[1:]
    assert right(model, x, y).float().mean() > 0.99
    for attack in (PGD(), APGD(steps=20), APGD(steps=20, loss="dlr")):
        assert accuracy(model, attack, x, y) > 0.9
    assert accuracy(model, CarliniWagner(steps=20), x, y) > 0.9
    square = Square(8 / 255, 500)
    assert accuracy(model, square, x, y) < 0.5
    assert accuracy(model, WorstCase((PGD(), square)), x, y) < 0.5
    assert accuracy(model, Asks(16 / 255), x, y) < 0.5


def test_the_square_needs_no_gradient() -> None:
    model, x, y = FRAGILE
    model = Sees(model)
    graphs: list[bool] = []
    model.register_forward_hook(lambda _, __, logits: graphs.append(logits.requires_grad))
    Square(queries=5)(model, x, y)
    assert not any(graphs)


@every_norm
def test_the_square_takes_any_size(norm: Norm, eps: float) -> None:
    model = Smooth()
    sizes = [(n, n) for n in (3, 4, 5, 7, 8, 9, 12, 14, 15, 19, 24, 29, 32)] + [
        (24, 32),
        (32, 24),
        (10, 61),
        (61, 10),
    ]
    for height, width in sizes:
        x = torch.rand(2, 3, height, width, generator=seed(height))
        y = model(x).argmax(1)
        z = Square(eps, 3, norm)(model, x, y, seed(0))
        assert z.shape == x.shape
        assert torch.linalg.vector_norm(z - x, 2, (1, 2, 3)).max() <= (
            eps + 1e-6 if isinstance(norm, L2) else eps * (3 * height * width) ** 0.5
        )


# --- Few classes -----------------------------------------------------------------------------


def test_what_is_run_is_named() -> None:
    assert AutoAttack().parts(1000) == ("apgd-ce", "apgd-t(9)", "fab-t(9)", "square")
    assert AutoAttack().parts(10) == AutoAttack().parts(1000)
    assert AutoAttack().parts(9) == ("apgd-ce", "apgd-t(8)", "fab-t(8)", "square")
    assert AutoAttack().parts(4) == ("apgd-ce", "apgd-t(3)", "fab-t(3)", "square")
    assert AutoAttack().parts(3) == ("apgd-ce", "apgd-dlr", "fab", "square")
    assert AutoAttack().parts(2) == ("apgd-ce", "apgd-margin", "fab", "square")
    assert AutoAttack(version="plus").parts(2) == AutoAttack().parts(2)
    assert AutoAttack(version="rand").parts(2) == ("apgd-ce", "apgd-margin")
    with pytest.raises(UserError, match="two classes"):
        AutoAttack().parts(1)


@every_norm
@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_any_number_of_classes(classes: int, norm: Norm, eps: float) -> None:
    model, x, y = fragile(classes)
    assert accuracy(model, AutoAttack(eps, norm), x, y) < 0.02
    model = Sees(model)
    z = QuickAutoAttack(eps / 20, norm)(model, x, y, seed(0))  # here every part has its turn
    assert right(model, z, y).float().mean() > 0.5
    assert min(model.sizes) > 0


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_any_number_of_classes_for_each_loss(classes: int) -> None:
    model, x, y = fragile(classes)
    for loss, needed in (("ce", 2), ("margin", 2), ("dlr", 3), ("dlr-targeted", 4)):
        attack = APGD(8 / 255, 20, loss=loss)  # type: ignore[arg-type]
        if classes >= needed:
            assert accuracy(model, attack, x, y) < 0.02
        else:
            with pytest.raises(UserError, match=f"needs {needed} classes"):
                attack(model, x, y)


def test_two_classes_have_a_margin() -> None:
    logits = torch.tensor([[1.0, 4.0], [1.0, 4.0]])
    assert two_class_margin(logits, torch.tensor([0, 1])).tolist() == [3.0, -3.0]


# --- What is no number -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attack",
    [APGD(), APGD(loss="margin"), PGD(restarts=2), WorstCase((FGSM(), PGD()))],
    ids=repr,
)
def test_an_answer_that_is_no_number_is_wrong(attack: Attack) -> None:
    x, y = torch.full((4, 3, 8, 8), 0.4), torch.zeros(4, dtype=torch.int64)
    z = attack(Overflows(), x, y, seed(0))
    assert correct(Overflows()(x), y).all()
    assert not correct(Overflows()(z), y).any()


@pytest.mark.parametrize(
    ("attack", "slope"),
    [
        *(
            (attack, torch.nan)
            for norm, eps in NORMS.values()
            for attack in (
                PGD(eps, norm=norm),
                APGD(eps, 20, norm=norm),
                AutoAttack(eps, norm, "rand"),
            )
        ),
        *((CarliniWagner(steps=60, searches=5), slope) for slope in (torch.nan, torch.inf)),
    ],
    ids=repr,
)
def test_a_slope_that_is_no_number_at_a_pixel_leaves_the_other_pixels(
    attack: Attack, slope: float
) -> None:
    model, x, y = Cracked(FRAGILE[0], slope), *FRAGILE[1:]
    assert right(model, x, y).float().mean() > 0.99
    assert accuracy(model, attack, x, y) < 0.02


# --- Which images are attacked ---------------------------------------------------------------


@every_attack
def test_what_the_model_gets_wrong_comes_back_as_it_was(attack: Attack) -> None:
    model, x, y = FRAGILE
    y = y.clone()
    y[::2] = (y[::2] + 1) % 3
    z = with_radius(attack, 6 * attack.ball.eps)(model, x, y, seed(0))
    assert torch.equal(z[::2], x[::2])
    assert not torch.equal(z[1::2], x[1::2])


@every_attack
def test_any_layout(attack: Attack) -> None:
    model = Smooth().to(memory_format=torch.channels_last)
    x = torch.rand(3, 3, 12, 12, generator=seed(0)).to(memory_format=torch.channels_last)
    assert attack(model, x, model(x).argmax(1)).shape == x.shape


@every_attack
@pytest.mark.parametrize("number", [1, 2])
def test_single_images(attack: Attack, number: int) -> None:
    model, x, y = FRAGILE
    assert attack(model, x[:number], y[:number]).shape == x[:number].shape


def test_images_that_fell_are_seen_no_more_by_apgd() -> None:
    model, x, y = Sees(TEN[0]), *TEN[1:]
    APGD(half_strong(LInf()), 20, 3)(model, x, y, seed(0))
    clean, *steps = model.sizes
    assert clean == len(x)
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < len(x) / 2
    assert len(set(steps[:21])) > 2
    assert len(steps) == 3 * 21


@dataclass(frozen=True)
class Notes(Attack):
    """Another attack, with the number of images that it was given."""

    attack: Attack
    given: list[Tensor]

    @property
    def ball(self) -> Ball | None:
        return self.attack.ball

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Any = None) -> Tensor:
        self.given.append(x)
        return self.attack(model, x, y, generator)


@every_norm
def test_the_worst_case_of_every_image(norm: Norm, eps: float) -> None:
    model, x, y = TEN
    y = y.clone()
    y[:5] = (y[:5] + 1) % 10
    eps = half_strong(norm)
    attacks = [FGSM(eps, norm), PGD(eps, 5, norm=norm, random_start=False), FGSM(eps, norm)]
    noted = [Notes(attack, []) for attack in attacks]
    z = WorstCase(tuple(noted))(model, x, y)
    alone = [attack(model, x, y) for attack in attacks]
    still = [right(model, each, y) & right(model, x, y) for each in alone]
    assert torch.equal(right(model, z, y), torch.stack(still).all(0))
    assert 0 < right(model, z, y).sum() < still[0].sum()
    left = right(model, x, y)
    for each, withstood in zip(noted, still, strict=True):
        assert torch.equal(each.given[0], x[left])
        left = left & withstood
    fell_first = right(model, x, y) & ~still[0]
    torch.testing.assert_close(z[fell_first], alone[0][fell_first])
    withstood = torch.stack(still).all(0)
    assert not torch.equal(z[withstood], x[withstood])


def test_an_attack_that_claims_success_is_asked_again() -> None:
    model, x, y = FRAGILE
    kept: list[Tensor] = []
    z = WorstCase((Notes(PGD(eps=0.0), kept), Notes(PGD(eps=0.0), kept)))(model, x, y)
    assert right(model, z, y).all()
    assert [len(given) for given in kept] == [len(x), len(x)]


# --- Against others --------------------------------------------------------------------------


@every_norm
def test_autoattack_is_the_authors_own_loop(norm: Norm, eps: float) -> None:
    model, x, y = Cropped(TEN[0]), F.pad(TEN[1], (0, 3, 0, 3))[:24], TEN[2][:24]
    eps = half_strong(norm)
    number = int(torch.randint(2**31, (), generator=seed(4)))
    theirs = pyautoattack.AutoAttack(model, norm=norm_name(norm), eps=eps, seed=number)
    ours = QuickAutoAttack(eps, norm)
    theirs.apgd.n_iter = theirs.apgd_targeted.n_iter = theirs.fab.n_iter = 3
    theirs.square.n_queries = 20
    with torch.random.fork_rng():
        expected, _ = theirs.run_standard_evaluation(x, y, batch_size=len(x))
    z = ours(model, x, y, seed(4))
    assert 0 < right(model, z, y).sum() < len(x)
    torch.testing.assert_close(z, expected, atol=1e-7, rtol=0)


@dataclass(frozen=True)
class From(Norm):
    """A norm whose random start is given."""

    norm: Norm
    start: Tensor

    def random(self, like: Tensor, eps: float, generator: Generator | None) -> Tensor:
        return self.start.to(like)

    def direction(self, gradient: Tensor) -> Tensor:
        return self.norm.direction(gradient)

    def project(self, delta: Tensor, eps: float) -> Tensor:
        return self.norm.project(delta, eps)


@every_norm
@pytest.mark.parametrize("loss", ["ce", "dlr", "dlr-targeted"])
def test_apgd_goes_where_the_authors_goes(norm: Norm, eps: float, loss: Any) -> None:
    model, x, y = TEN
    eps, target = half_strong(norm), (y + 1) % 10
    start = norm.random(x, eps, seed(0))
    ours = APGD(eps, 40, norm=From(norm, start), loss=loss)
    kind: Any = APGDAttack_targeted if loss == "dlr-targeted" else APGDAttack
    theirs = kind(model, 40, norm_name(norm), eps=eps)
    theirs.loss = loss
    theirs.init_hyperparam(x)
    theirs.logger = logging.getLogger("quiet")
    theirs.logger.disabled = True
    _, reached, fallen = ours._run(model, x, y, target, None)
    theirs.y_target = target
    _, still, value, _ = theirs.attack_single_run(x, y, (x + start).clamp(0, 1))
    # At the first checkpoint the authors' code compares the first loss with the last one, not yet
    # there, instead of with the one before it: now and then an image goes another way.
    assert (fallen != still.bool()).float().mean() > 0.97
    both = ~fallen & still.bool()
    assert 10 < both.sum() < len(x)
    apart = (reached - value)[both].abs()
    assert apart.median() < 1e-4
    assert apart.quantile(0.9) < 1e-2
    assert (reached - value)[both].mean() > -1e-3


def test_the_square_is_the_librarys() -> None:
    model, x, y = TEN
    number = int(torch.randint(2**31, (), generator=seed(2)))
    with torch.random.fork_rng():
        theirs = SquareAttack(model, "Linf", 30, 0.01, seed=number).perturb(x, y)
    torch.testing.assert_close(Square(0.01, 30)(model, x, y, seed(2)), theirs)


class Slower(QuickAutoAttack):
    """Both parts of APGD in full."""

    def _library(self, *arguments: Any) -> Any:
        theirs = super()._library(*arguments)
        theirs.apgd.n_iter = theirs.apgd_targeted.n_iter = 100
        return theirs


@every_norm
def test_autoattack_is_never_above_pgd(norm: Norm, eps: float) -> None:
    model, x, y = fragile(4)
    x, y = x[:16], y[:16]
    eps = 0.015 if isinstance(norm, LInf) else 0.26
    found = right(model, Slower(eps, norm)(model, x, y, seed(0)), y)
    pgd = right(model, PGD(eps, 20, norm=norm)(model, x, y, seed(0)), y)
    assert 0 < found.sum() <= pgd.sum() < len(x)


@every_norm
def test_pgd_agrees_with_other_libraries(norm: Norm, eps: float) -> None:
    reason = "torchattacks and foolbox come with the extra `bench`"
    torchattacks = pytest.importorskip("torchattacks", reason=reason)
    foolbox = pytest.importorskip("foolbox", reason=reason)
    model, x, y = TEN
    eps = half_strong(norm)
    linf = isinstance(norm, LInf)
    theirs = (torchattacks.PGD if linf else torchattacks.PGDL2)(
        model, eps=eps, alpha=eps / 8, steps=20, random_start=True
    )
    ball = foolbox.attacks.LinfPGD if linf else foolbox.attacks.L2PGD
    third = ball(abs_stepsize=eps / 8, steps=20)
    bounded = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    torch.manual_seed(0)
    found = {
        "lookright": PGD(eps, 20, eps / 8, norm)(model, x, y),
        "torchattacks": theirs(x, y),
        "foolbox": third.run(bounded, x, foolbox.criteria.Misclassification(y), epsilon=eps),
    }
    ours, *others = (rate(right(model, z, y)) for z in found.values())
    assert 0.1 < ours.value < 0.9
    assert all(ours.low <= other.value <= ours.high for other in others)


# --- Carlini and Wagner ----------------------------------------------------------------------


def linear(classes: int) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A linear model, images well inside [0, 1], their labels, and the distance to the nearest
    boundary: the smallest margin divided by the length of the difference of two rows."""
    generator = seed(classes)
    layer = nn.Linear(3 * 8 * 8, classes)
    weight = torch.randn(classes, 192, generator=generator)
    layer.weight.data, layer.bias.data = weight, -0.5 * weight.sum(1)
    y = torch.arange(12) % classes
    x = 0.5 + 0.3 * weight[y] / weight[y].norm(dim=1, keepdim=True)
    x += 0.01 * torch.randn(x.shape, generator=generator)
    logits = layer(x).detach()
    distance = (logits.gather(1, y[:, None]) - logits) / (weight[y][:, None] - weight).norm(dim=2)
    distance[torch.arange(12), y] = torch.inf
    return nn.Sequential(nn.Flatten(), layer), x.view(12, 3, 8, 8), y, distance.amin(1)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_shortest_way_to_the_boundary_of_a_linear_model(classes: int) -> None:
    model, x, y, distance = linear(classes)
    z = CarliniWagner(torch.inf, steps=100)(model, x, y)
    assert not right(model, z, y).any()
    length = (z - x).flatten(1).norm(dim=1)
    assert (length >= distance - 1e-5).all()
    assert (length <= 1.06 * distance).all()
    assert (length / distance).median() < 1.02


def test_only_what_lies_within_eps_counts() -> None:
    model, x, y, distance = linear(5)
    eps = distance.median().item()
    z = CarliniWagner(1.05 * eps, steps=100)(model, x, y)
    length = (z - x).flatten(1).norm(dim=1)
    assert torch.equal(length > 0, ~right(model, z, y))
    assert (length <= 1.05 * eps).all()
    assert (length > 0)[distance <= eps].all()
    assert not (length > 0)[distance > 1.05 * eps].any()


def test_confidence_goes_further() -> None:
    model, x, y, _ = linear(5)
    attack = CarliniWagner(torch.inf, steps=100)
    near, far = (replace(attack, confidence=c)(model, x, y) for c in (0.0, 2.0))
    logits = model(far).detach()
    best = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    assert (best - logits.gather(1, y[:, None])[:, 0] >= 2 - 1e-3).all()
    assert ((far - x).norm() > (near - x).norm()).all()


def test_images_whose_objective_no_longer_falls_stop_early() -> None:
    model, x, y, _ = linear(2)
    model = Sees(model)
    CarliniWagner(torch.inf, steps=500, searches=4)(model, x[:4], y[:4])
    assert sum(model.sizes) < 0.5 * 4 * 500 * 4


# --- Quiet, and plain about mistakes ---------------------------------------------------------


@pytest.mark.parametrize("model", [Mute(), Detached(Smooth())], ids=["mute", "detached"])
def test_nothing_is_said(
    model: nn.Module, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    x = torch.rand(4, 3, 12, 12)
    y = model(x).argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for attack in EVALUATION_ATTACKS.values():
            assert attack(model, x, y).isfinite().all()
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: APGD(8), "8/255"),
        (lambda: AutoAttack(8), "8/255"),
        (lambda: Square(8), "8/255"),
        (lambda: CarliniWagner(-1), "0 or more or inf"),
        (lambda: CarliniWagner(float("nan")), "nan"),
        (lambda: APGD(steps=0), "steps=0"),
        (lambda: APGD(restarts=0), "restarts=0"),
        (lambda: APGD(loss="kl"), "ce, margin, dlr, dlr-targeted, got kl"),
        (lambda: Square(queries=0), "queries=0"),
        (lambda: CarliniWagner(steps=0), "steps=0"),
        (lambda: CarliniWagner(searches=0), "searches=0"),
        (lambda: CarliniWagner(step_size=0), "step_size"),
        (lambda: CarliniWagner(constant=float("inf")), "constant"),
        (lambda: CarliniWagner(confidence=-1), "confidence"),
        (lambda: AutoAttack(version="quick"), "standard, plus, rand, got quick"),
        (lambda: AutoAttack(norm=From(L2(), torch.zeros(1))), "LInf"),
        (lambda: Square(norm=From(L2(), torch.zeros(1))), "LInf"),
        (lambda: WorstCase(()), "at least one"),
        (lambda: WorstCase((FGSM(0.1), PGD(0.2))), "0.1, L-inf and 51/255, L-inf"),
        (lambda: WorstCase((FGSM(0.1), PGD(0.1, norm=L2()))), "0.1, L-inf and 0.1, L2"),
        (lambda: WorstCase((FGSM(), ByMask())), "ByMask follows the masks"),
        (lambda: WorstCase((FGSM(), PGD(targeted=True))), "PGD is targeted"),
        (lambda: WorstCase(PGD()), "Expected attacks to be a tuple, such as (PGD(),), got PGD("),
        (lambda: WorstCase(("PGD",)), "such as PGD(), got 'PGD'"),
        (lambda: WorstCase((PGD,)), "such as PGD(), got the class PGD"),
    ],
)
def test_arguments_out_of_range(make: Callable[[], Any], says: str) -> None:
    with pytest.raises(UserError) as raised:
        make()
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_model_for_the_library_is_float32_and_its_logits_ones_own() -> None:
    logits = nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    model: Any = lambda z: logits if z.dtype == torch.float64 else None  # noqa: E731
    predict = as_float32(model, torch.float64)
    found = predict(torch.rand(2, 3, 4, 4))
    assert found.dtype == torch.float32
    found.data[:] = 1
    assert not logits.any()
