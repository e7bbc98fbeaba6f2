"""Laws of every attack: inside the ball, uphill, and the model comes back to the bit."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cases import (
    ATTACKS,
    DRIFT_OBJECTIVES,
    EVALUATION_ATTACKS,
    LABEL_OBJECTIVES,
    NORMS,
    with_radius,
)
from lookright.attacks import (
    FGSM,
    L2,
    PGD,
    Attack,
    CarliniWagner,
    CrossEntropyAndExplanation,
    ExplanationChange,
    KLDivergence,
    LInf,
    Margin,
    Norm,
    Objective,
)
from lookright.distances import Correlation, Cosine
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient, SmoothGrad
from lookright.models import Classifier
from lookright.modes import frozen
from models_for_tests import (
    CLASSES,
    SIZE,
    BrokenError,
    Counts,
    Fails,
    Smooth,
    Tiny,
    fragile,
    same_state,
    state_of,
    used,
)

every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
WHOLE = ATTACKS | EVALUATION_ATTACKS
any_attack = pytest.mark.parametrize("attack", WHOLE.values(), ids=WHOLE)
every_norm = pytest.mark.parametrize(("norm", "eps"), NORMS.values(), ids=NORMS)

FRAGILE = fragile()


def images(size: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    x = torch.rand(size, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return x, torch.arange(size) % CLASSES


def lengths(delta: Tensor, norm: Norm) -> Tensor:
    order = 2 if isinstance(norm, L2) else torch.inf
    return torch.linalg.vector_norm(delta.double().flatten(1), order, dim=1)


def value(attack: FGSM | PGD, model: nn.Module, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The attack's objective at z; larger is what the attack wants."""
    with frozen(model):
        reached = attack.objective(model, x, y)(z).detach()
    return -reached if attack.targeted else reached


# --- Where x' lies ---------------------------------------------------------------------------


@any_attack
@settings(max_examples=5, database=None)
@given(
    seed=st.integers(0, 2**31),
    saturated=st.sampled_from([0.0, 0.5, 1.0]),
    radius=st.sampled_from([0.0, 1e-4, 0.1, 1.0]),
)
def test_inside_the_ball_and_the_range(
    attack: Attack, seed: int, saturated: float, radius: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 3, SIZE, SIZE, generator=generator)
    extreme = torch.rand(x.shape, generator=generator) < saturated
    x = torch.where(extreme, x.round(), x)
    attack = with_radius(attack, radius)
    z = attack(Smooth(), x, torch.arange(3), generator)
    assert z.shape == x.shape
    assert z.dtype == x.dtype
    assert z.isfinite().all()
    assert z.min() >= 0
    assert z.max() <= 1
    assert (lengths(z - x, attack.ball.norm) <= radius + 1e-6).all()
    assert (z == x).all() or radius > 0


class Rooted(Smooth):
    """The root of zero has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x - x).sum((1, 2, 3)).sqrt()[:, None]


@any_attack
def test_a_slope_that_is_no_number_leads_nowhere(attack: Attack) -> None:
    model, (x, _) = Rooted(), images()
    z = attack(model, x, model(x).argmax(1))
    assert z.isfinite().all()
    assert (lengths(z - x, attack.ball.norm) <= attack.ball.eps + 1e-6).all()


@every_attack
def test_moves_every_image(attack: FGSM | PGD) -> None:
    x, y = images()
    assert (lengths(attack(Smooth(), x, y) - x, LInf()) > 1e-3).all()


@any_attack
def test_leaves_its_inputs_alone(attack: Attack) -> None:
    x, y = images()
    x.requires_grad_()
    kept_x, kept_y = x.detach().clone(), y.clone()
    z = attack(Smooth(), x, y)
    assert torch.equal(x.detach(), kept_x)
    assert torch.equal(y, kept_y)
    assert x.grad is None
    assert x.requires_grad
    assert not z.requires_grad
    assert z.data_ptr() != x.data_ptr()


@every_norm
def test_random_starts_fill_the_ball(norm: Norm, eps: float) -> None:
    like = torch.zeros(400, 3, SIZE, SIZE)
    delta = norm.random(like, eps, None)
    reach = lengths(delta, norm)
    assert (reach <= eps * (1 + 1e-5)).all()
    assert reach.max() > 0.99 * eps
    assert delta.mean().abs() < 0.02 * delta.std()
    # L-inf: uniform in each pixel value; L2: radius eps * u ** (1 / dimension).
    if isinstance(norm, LInf):
        assert torch.isclose(delta.std(), torch.tensor(eps / 3**0.5), rtol=0.02)
    else:
        u = (reach / eps) ** like[0].numel()
        assert abs(u.mean().item() - 0.5) < 0.08


@every_norm
@pytest.mark.parametrize("scale", [1e-38, 1e-25, 1e-10, 1.0, 1e10, 1e25, 1e37])
def test_a_direction_has_length_one_whatever_the_gradient(
    norm: Norm, eps: float, scale: float
) -> None:
    gradient = torch.randn(4, 3, SIZE, SIZE).clamp(-3, 3)
    direction = norm.direction(gradient * scale)
    torch.testing.assert_close(lengths(direction, norm), torch.ones(4).double(), atol=1e-5, rtol=0)
    torch.testing.assert_close(direction, norm.direction(gradient), atol=1e-4, rtol=0)


@every_norm
def test_a_zero_gradient_has_no_direction(norm: Norm, eps: float) -> None:
    assert not norm.direction(torch.zeros(2, 3, SIZE, SIZE)).any()


@every_norm
def test_projection_is_the_nearest_point(norm: Norm, eps: float) -> None:
    outside = 3 * norm.direction(torch.randn(6, 3, SIZE, SIZE))
    inside = norm.random(outside, eps, None) * 0.9
    torch.testing.assert_close(norm.project(inside, eps), inside)
    projected = norm.project(outside, eps)
    distance = (outside - projected).flatten(1).norm(dim=1)
    for _ in range(20):
        other = norm.random(outside, eps, None)
        assert (distance <= (outside - other).flatten(1).norm(dim=1)).all()


# --- What it reaches -------------------------------------------------------------------------


@every_attack
def test_goes_uphill(attack: FGSM | PGD) -> None:
    model = Smooth().eval()
    x, y = images(12)
    attack = replace(attack, eps=attack.eps / 10)
    gain = value(attack, model, x, y, attack(model, x, y)) - value(attack, model, x, y, x)
    assert (gain > 0).all()


@pytest.mark.parametrize(
    "attack",
    [attack for attack in ATTACKS.values() if attack.objective in LABEL_OBJECTIVES.values()],
    ids=[name for name, a in ATTACKS.items() if a.objective in LABEL_OBJECTIVES.values()],
)
def test_a_fragile_model_falls(attack: FGSM | PGD) -> None:
    model, x, y = FRAGILE
    aim = (y + 1) % CLASSES if attack.targeted else y
    if isinstance(attack, PGD):
        attack = replace(attack, steps=20)
    predicted = model(attack(model, x, aim)).argmax(1)
    assert (model(x).argmax(1) == y).float().mean() > 0.99
    assert (predicted == y).float().mean() < 0.02
    if attack.targeted and isinstance(attack, PGD):
        assert (predicted == aim).float().mean() > 0.98


@pytest.mark.parametrize("name", DRIFT_OBJECTIVES)
@every_norm
def test_drift_objectives_beat_a_random_perturbation(norm: Norm, eps: float, name: str) -> None:
    model = Smooth().eval()
    x, y = images(12)
    attack = PGD(eps, 8, norm=norm, objective=DRIFT_OBJECTIVES[name])
    reached = value(attack, model, x, y, attack(model, x, y))
    for _ in range(5):
        noise = (x + norm.random(x, eps, None)).clamp(0, 1)
        assert (reached > value(attack, model, x, y, noise)).all()


def test_the_answer_and_the_explanation_are_attacked_together() -> None:
    model, (x, y) = Smooth().eval(), images(12)
    explainer, distance = InputGradient(), Cosine()
    both = CrossEntropyAndExplanation(explainer, distance, weight=3)
    z = (x + LInf().random(x, 8 / 255, None)).clamp(0, 1)
    maps = [explainer(model, each, y)[1] for each in (z, x)]
    expected = F.cross_entropy(model(z), y, reduction="none") + 3 * distance(*maps)
    torch.testing.assert_close(both(model, x, y)(z), expected)

    found = {}
    for weight in (0, 3, 30):
        attack = PGD(steps=8, objective=replace(both, weight=weight))
        found[weight] = attack(model, x, y, torch.Generator().manual_seed(0))
    plain = PGD(steps=8)(model, x, y, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found[0], plain)
    moved = [distance(explainer(model, z, y)[1], maps[1]).mean() for z in found.values()]
    assert moved == sorted(moved)
    assert moved[0] < moved[1]


def test_a_negative_weight_of_the_explanation_is_an_error() -> None:
    with pytest.raises(UserError, match="0 or more, got -1"):
        CrossEntropyAndExplanation(InputGradient(), weight=-1)


@every_norm
@pytest.mark.parametrize(
    ("objective", "targeted"),
    [(LABEL_OBJECTIVES[name], targeted) for name in LABEL_OBJECTIVES for targeted in (False, True)]
    + [(objective, False) for objective in DRIFT_OBJECTIVES.values()],
)
def test_more_restarts_are_never_worse(
    norm: Norm, eps: float, objective: Objective, targeted: bool
) -> None:
    model, x, y = FRAGILE
    aim = (y + 1) % CLASSES if targeted else y
    attack = PGD(eps / 2, 2, norm=norm, targeted=targeted, objective=objective)

    def run(restarts: int) -> tuple[Tensor, Tensor]:
        several = replace(attack, restarts=restarts)
        z = several(model, x, aim, torch.Generator().manual_seed(5))
        hit = model(z).argmax(1) == aim
        return hit if targeted else ~hit, value(several, model, x, aim, z)

    fooled_once, reached_once = run(1)
    fooled, reached = run(4)
    assert (fooled >= fooled_once).all()
    assert (reached >= reached_once - 1e-6)[fooled == fooled_once].all()
    assert (reached > reached_once).any()


class Contrary(Objective):
    """An objective at odds with being fooled: larger where the label is surer."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda z: -F.cross_entropy(model(z), y, reduction="none")


@pytest.mark.parametrize("targeted", [False, True])
def test_restarts_keep_the_worst_run_of_every_image(targeted: bool) -> None:
    model, x, y = FRAGILE
    aim = (y + 1) % CLASSES if targeted else y
    attack = PGD(0.25, 1, 1e-6, targeted=targeted, objective=Contrary())  # all but a random start
    generator = torch.Generator().manual_seed(2)
    runs = [attack(model, x, aim, generator) for _ in range(6)]
    hits = torch.stack([model(z).argmax(1) == aim for z in runs])
    fooled = hits if targeted else ~hits
    reached = torch.stack([value(attack, model, x, aim, z) for z in runs])
    assert (fooled.any(0) & ~fooled.all(0)).any()
    best = (reached.double() + 1e6 * fooled).argmax(0)
    expected = torch.stack(runs)[best, torch.arange(len(x))]
    several = replace(attack, restarts=6)
    found = several(model, x, aim, torch.Generator().manual_seed(2))
    torch.testing.assert_close(found, expected)


# --- Against an independent implementation ---------------------------------------------------


def plain_pgd(model: nn.Module, x: Tensor, y: Tensor, attack: PGD) -> Tensor:
    """One image at a time, as the paper states it."""
    found = []
    for image, label in zip(x, y, strict=True):
        z = image.clone()
        for _ in range(attack.steps):
            z = z.detach().requires_grad_()
            loss = F.cross_entropy(model(z[None]), label[None])
            (gradient,) = torch.autograd.grad(-loss if attack.targeted else loss, z)
            step = 2.5 * attack.eps / attack.steps
            if isinstance(attack.norm, LInf):
                moved = z.detach() + step * gradient.sign()
                z = moved.max(image - attack.eps).min(image + attack.eps).clip(0, 1)
            else:
                moved = z.detach() + step * gradient / gradient.norm()
                delta = moved - image
                if delta.norm() > attack.eps:
                    delta = delta / delta.norm() * attack.eps
                z = (image + delta).clip(0, 1)
        found.append(z)
    return torch.stack(found)


@every_norm
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("network", [Smooth, Tiny])
def test_agrees_with_a_plain_implementation(
    norm: Norm, eps: float, targeted: bool, network: type[nn.Module]
) -> None:
    model = network().double().eval()
    x, y = images(4, torch.float64)
    attack = PGD(eps, 5, norm=norm, random_start=False, targeted=targeted)
    torch.testing.assert_close(attack(model, x, y), plain_pgd(model, x, y, attack))


@every_norm
def test_fgsm_is_one_step_of_length_eps(norm: Norm, eps: float) -> None:
    model, (x, y) = Smooth().double(), images(4, torch.float64)
    one_step = PGD(eps, 1, eps, norm, random_start=False)
    torch.testing.assert_close(FGSM(eps, norm)(model, x, y), one_step(model, x, y))
    z = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(z), y, reduction="sum"), z)
    length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    step = gradient.sign() if isinstance(norm, LInf) else gradient / length
    torch.testing.assert_close(FGSM(eps, norm)(model, x, y), (x + eps * step).clamp(0, 1))


@any_attack
def test_float64_stays_float64(attack: Attack) -> None:
    x, y = images(dtype=torch.float64)
    assert attack(Smooth().double(), x, y).dtype == torch.float64


class Rough(Smooth):
    """Logits of half the precision, as under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).bfloat16()


@any_attack
def test_logits_may_be_of_another_type(attack: Attack) -> None:
    model, (x, _) = Rough(), images()
    assert attack(model, x, model(x).argmax(1)).dtype == x.dtype


@every_attack
def test_a_batch_is_its_images_one_by_one(attack: FGSM | PGD) -> None:
    if isinstance(attack, PGD):
        if attack.objective.flat:
            pytest.skip("flat without a random start")
        attack = replace(attack, random_start=False)
    model, (x, y) = Tiny().double(), images(dtype=torch.float64)
    single = [attack(model, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    torch.testing.assert_close(attack(model, x, y), torch.cat(single))


@any_attack
def test_an_empty_batch_stays_empty(attack: Attack) -> None:
    x, y = images(0)
    assert attack(Smooth(), x, y).shape == x.shape


# --- Randomness ------------------------------------------------------------------------------


@any_attack
def test_randomness_is_the_generators(attack: Attack) -> None:
    model, (x, _) = Smooth(), images()
    y = model(x).argmax(1)

    def seeded(seed: int) -> Tensor:
        return attack(model, x, y, torch.Generator().manual_seed(seed))

    state = torch.get_rng_state()
    assert torch.equal(seeded(3), seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    if attack in ATTACKS.values():
        random = isinstance(attack, PGD) and attack.random_start
        assert torch.equal(seeded(3), seeded(4)) != random


def test_without_a_generator_it_is_torchs() -> None:
    model, (x, y) = Smooth(), images()
    torch.manual_seed(9)
    first = PGD()(model, x, y)
    second = PGD()(model, x, y)
    torch.manual_seed(9)
    assert torch.equal(first, PGD()(model, x, y))
    assert not torch.equal(first, second)


# --- The model comes back --------------------------------------------------------------------


@any_attack
def test_the_model_comes_back_to_the_bit(attack: Attack) -> None:
    model = used(Tiny())
    before = state_of(model)
    attack(model, *images())
    assert same_state(before, state_of(model))


@any_attack
@pytest.mark.parametrize("at", [1, 3])
def test_the_model_comes_back_after_an_exception(attack: Attack, at: int) -> None:
    model = Fails(used(Tiny()), 1 if isinstance(attack, FGSM) else at)
    x, _ = images()
    before = state_of(model)
    with frozen(model.model), torch.no_grad():
        y = model.model(x).argmax(1)
    with pytest.raises(BrokenError):
        attack(model, x, y)
    assert same_state(before, state_of(model))


def test_a_model_in_training_mode_is_attacked_in_evaluation_mode() -> None:
    model, x, y = FRAGILE
    expected = PGD(random_start=False)(model.eval(), x, y)
    try:
        assert torch.equal(PGD(random_start=False)(model.train(), x, y), expected)
    finally:
        model.eval()


@contextmanager
def no_grad_inside() -> Iterator[None]:
    with torch.no_grad():
        yield
        assert not torch.is_grad_enabled()


@contextmanager
def inference_mode_inside() -> Iterator[None]:
    with torch.inference_mode():
        yield
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()


@any_attack
@pytest.mark.parametrize(
    "mode",
    [nullcontext, no_grad_inside, inference_mode_inside],
    ids=["grad", "no_grad", "inference"],
)
def test_works_in_any_grad_mode(
    attack: Attack, mode: Callable[[], AbstractContextManager[None]]
) -> None:
    model = used(Tiny())
    x, y = images()
    expected = attack(model, x, y, torch.Generator().manual_seed(0))
    with mode():
        x, y = x * 1, y * 1  # made in that mode
        z = attack(model, x, y, torch.Generator().manual_seed(0))
        assert torch.equal(z, expected)


def test_passes_are_as_few_as_can_be() -> None:
    model, (x, y) = Counts(Smooth()), images()
    PGD(steps=7)(model, x, y)
    assert model.passes == 7
    model.passes = 0
    FGSM()(model, x, y)
    assert model.passes == 1


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [PGD, FGSM])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"eps": 8}, "8/255"),
        ({"eps": -0.1}, "between 0 and 1"),
        ({"eps": float("nan")}, "nan"),
        ({"eps": float("inf")}, "inf"),
        ({"eps": float("inf"), "norm": L2()}, "inf"),
        ({"eps": -1, "norm": L2()}, "eps"),
    ],
)
def test_a_radius_out_of_range(
    make: Callable[..., object], arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError) as raised:
        make(**arguments)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"steps": 0}, "steps=0"),
        ({"restarts": 0}, "restarts=0"),
        ({"step_size": 0.0}, "step_size"),
        ({"step_size": float("nan")}, "step_size"),
        ({"random_start": False, "objective": KLDivergence()}, "KLDivergence has no gradient"),
        ({"random_start": False, "objective": ExplanationChange(GradCAM())}, "random start"),
        ({"objective": "Margin"}, "objective to be a part of .* such as Margin.*, got 'Margin'"),
        ({"norm": "L2"}, "norm to be a part of the kind Norm, such as L2.*, got 'L2'"),
        ({"norm": L2}, "norm .*, got the class L2"),
        ({"eps": "8/255"}, "eps is a number, got the text '8/255'"),
    ],
)
def test_options_that_cannot_be(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        PGD(**arguments)
    assert "\n" not in str(raised.value)


def test_a_single_step_from_where_the_objective_is_flat_is_refused() -> None:
    with pytest.raises(UserError, match=r"KLDivergence has no gradient.*one step for FGSM"):
        FGSM(objective=KLDivergence())


@pytest.mark.parametrize(
    "attack",
    [FGSM(), PGD(steps=1), PGD(objective=Margin()), *EVALUATION_ATTACKS.values()],
)
@pytest.mark.parametrize("names", [("a", "b", "c"), None])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda x, y: (x * 255, y), r"\[0, 1\].*normalisation"),
        (lambda x, y: (x - 0.5, y), r"\[0, 1\]"),
        (lambda x, y: (torch.where(x > 0.9, torch.nan, x), y), "NaN"),
        (lambda x, y: ((x * 255).byte(), y), "uint8"),
        (lambda x, y: (x[0], y), "shape"),
        (lambda x, y: (x, y[:2]), "2 for 5"),
        (lambda x, y: (x, y + 5), "labels.*0 to 2"),
        (lambda x, y: (x, y - 1), "labels.*0 to 2"),
        (lambda x, y: (x, y.masked_fill(y == 1, -100)), "labels.*0 to 2"),
        (lambda x, y: (x, y.float()), "int64 labels"),
    ],
)
def test_bad_images_and_labels(
    attack: Attack,
    change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    says: str,
    names: tuple[str, ...] | None,
) -> None:
    model = Classifier(used(Tiny()), names, SIZE) if names else used(Tiny())
    before = state_of(model)
    with pytest.raises(UserError, match=says) as raised:
        attack(model, *change(*images()))
    assert "\n" not in str(raised.value)
    assert same_state(before, state_of(model))


def test_a_noisy_map_has_moved_nowhere_at_the_image_itself() -> None:
    torch.manual_seed(0)
    model, (x, y) = Smooth().eval(), images()
    value = ExplanationChange(SmoothGrad(3))(model, x, y)
    assert float(value(x).detach().abs().max()) < 1e-6
    assert float(value(x + 0.1 * torch.rand_like(x)).detach().min()) > 1e-4
    both = CrossEntropyAndExplanation(SmoothGrad(3))(model, x, y)
    expected = torch.nn.functional.cross_entropy(model(x), y, reduction="none")
    torch.testing.assert_close(both(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("of", [ExplanationChange, CrossEntropyAndExplanation])
def test_what_an_explainer_draws_follows_the_generator(of: type) -> None:
    attack = PGD(steps=2, objective=of(SmoothGrad(samples=2), Correlation()))
    model, (x, y) = Smooth(), images()
    before = torch.get_rng_state()
    one, same, other = (
        attack(model, x, y, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_carlini_and_wagner_fool_in_half_precision_too(dtype: torch.dtype) -> None:
    model, x, y = fragile()
    model, x = model.to(dtype), x.to(dtype)
    z = CarliniWagner(eps=4, steps=100, searches=3)(model, x, y)
    assert z.dtype == dtype
    assert (model(z).argmax(1) != y).all()


@pytest.mark.parametrize("columns", [1, None])
@pytest.mark.parametrize("row", [
    row for row, attack in WHOLE.items() if "explanation" not in row and "both" not in row
])  # fmt: skip
def test_a_model_without_logits_of_two_classes_is_one_clear_error(row: str, columns: int) -> None:
    """KL of a single logit is 0 wherever an attack goes: nothing would be attacked in silence."""

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Tiny(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) if columns else self.inner(x)[:, 0]

    x = torch.rand(4, 3, SIZE, SIZE)
    with pytest.raises(UserError, match=r"needs logits \(B, K\) of two classes or more"):
        WHOLE[row](One().eval(), x, torch.zeros(4, dtype=torch.int64))
