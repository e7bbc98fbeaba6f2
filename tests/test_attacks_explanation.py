"""Laws of attacks on explanations: the prediction stays, the map goes, for every explainer."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import ALL_EXPLAINERS, NORMS
from lookright.attacks import (
    GOALS,
    PGD,
    ExplanationAttack,
    Goal,
    LInf,
    MassCentre,
    Norm,
    Objective,
    TargetMap,
    TopK,
)
from lookright.attacks.goals import goal_name
from lookright.attacks.objectives import Ascended
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM, InputGradient
from lookright.metrics import manipulated_target
from lookright.metrics.manipulation import far_disc
from models_for_tests import (
    SIZE,
    Blocked,
    BrokenError,
    Counts,
    Fails,
    Smooth,
    Tiny,
    same_state,
    state_of,
    used,
)
from tiny import Blobs

every_goal = pytest.mark.parametrize("goal", GOALS.values(), ids=GOALS)
SHOWN = {name: each for name, each in ALL_EXPLAINERS.items() if not each.signed}
every_explainer = pytest.mark.parametrize("explainer", SHOWN.values(), ids=SHOWN)
every_norm = pytest.mark.parametrize(("norm", "eps"), NORMS.values(), ids=NORMS)

DETERMINISTIC = {name: each for name, each in SHOWN.items() if name not in ("smoothgrad", "captum")}


@cache
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A network of ReLUs that learnt Blobs, images and the classes that it predicts."""
    data = Blobs(48, SIZE)
    batch = data.samples("train", range(48))
    torch.manual_seed(0)
    model = Tiny()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
    model.eval()
    x = batch.images[:10]
    with torch.no_grad():
        return model, x, model(x).argmax(1)


def maps(explainer: Explainer, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(0)
    with torch.no_grad():
        return explainer(model, x, y)[1]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- The laws ----------------------------------------------------------------------------------


@every_goal
@every_explainer
def test_every_goal_is_neared_with_every_explainer(explainer: Explainer, goal: Goal) -> None:
    model, x, y = trained()
    steps = 8 if explainer.differentiable else 40
    z = ExplanationAttack(goal, 0.1, steps, explainer=explainer)(model, x, y, seeded())
    assert ((z - x).abs() <= 0.1 + 1e-6).all()
    assert z.min() >= 0
    assert z.max() <= 1
    assert z.shape == x.shape
    assert not z.requires_grad
    one_by_one = torch.cat([model(image[None]) for image in z]).argmax(1)
    assert torch.equal(one_by_one, y)
    clean, moved = (maps(explainer, model, each, y) for each in (x, z))
    random = maps(explainer, model, (x + 0.1 * torch.randn_like(x).sign()).clamp(0, 1), y)
    assert goal.manipulated(clean, moved).mean() > 0.03
    assert goal.manipulated(clean, moved).mean() > goal.manipulated(clean, random).mean()


@every_goal
@every_norm
@pytest.mark.parametrize("search", [False, True], ids=["gradient", "search"])
def test_inside_the_ball_and_never_worse_than_the_clean_map(
    norm: Norm, eps: float, goal: Goal, search: bool
) -> None:
    model, x, y = trained()
    x = torch.where(seededrand(x) < 0.3, x.round(), x)
    with torch.no_grad():
        y = model(x).argmax(1)
    for radius in (0.0, eps, 1.0):
        attack = ExplanationAttack(goal, radius, 3, norm=norm, search=search)
        z = attack(model, x, y, seeded())
        order = torch.inf if isinstance(norm, LInf) else 2
        length = torch.linalg.vector_norm((z - x).double().flatten(1), order, dim=1)
        assert (length <= radius + 1e-6).all()
        assert z.min() >= 0
        assert z.max() <= 1
        assert torch.equal(model(z).argmax(1), y)
        manipulated = goal.manipulated(maps(GradCAM(), model, x, y), maps(GradCAM(), model, z, y))
        assert (manipulated >= -1e-6).all()
        assert radius > 0 or torch.equal(z, x)


def seededrand(like: Tensor) -> Tensor:
    return torch.rand(like.shape, generator=seeded(4))


@every_explainer
def test_randomness_is_the_generators(explainer: Explainer) -> None:
    model, x, y = trained()
    attack = ExplanationAttack(TopK(0.3), 0.1, 4, explainer=explainer)
    state = torch.get_rng_state()
    first = attack(model, x, y, seeded(3))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(attack(model, x, y, seeded(3)), first)
    torch.manual_seed(3)
    assert torch.equal(attack(model, x, y), first)


class Drawing(Explainer):
    """The input gradient under a number drawn at each call, which it notes."""

    def __init__(self) -> None:
        self.judged: list[float] = []
        self.ascended: list[float] = []

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        drawn = torch.rand(1)
        (self.ascended if torch.is_grad_enabled() else self.judged).append(drawn.item())
        return InputGradient()(model, x + 0.01 * drawn, y)


def test_noise_is_the_same_for_judging_and_new_for_ascending() -> None:
    model, x, y = trained()
    explainer = Drawing()
    ExplanationAttack(steps=4, explainer=explainer)(model, x, y, seeded())
    assert len(explainer.judged) == 5
    assert len(set(explainer.judged)) == 1
    assert len(set(explainer.ascended)) == 4


class Rooted(Smooth):
    """Its gradient at the pixels, the slope of a root at zero, is no number."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + (x - x).sqrt())


@pytest.mark.parametrize(
    ("model", "explainer"),
    [
        *((Blocked(where), InputGradient()) for where in ("first", "last", "function")),
        (Rooted(), GradCAM()),
    ],
    ids=["first", "last", "function", "no number"],
)
def test_a_model_that_passes_no_gradient_on_anywhere_is_searched(
    model: nn.Module, explainer: Explainer
) -> None:
    x = seededrand(torch.zeros(4, 3, SIZE, SIZE))
    y = model(x).argmax(1)
    given = {"steps": 3, "explainer": explainer}
    z = ExplanationAttack(**given)(model, x, y, seeded(3))
    assert torch.equal(z, ExplanationAttack(**given, search=True)(model, x, y, seeded(3)))


def test_another_seed_is_another_search() -> None:
    model, x, y = trained()
    attack = ExplanationAttack(MassCentre(), search=True)
    assert not torch.equal(attack(model, x, y, seeded(3)), attack(model, x, y, seeded(4)))


@every_goal
@pytest.mark.parametrize("explainer", DETERMINISTIC.values(), ids=DETERMINISTIC)
def test_a_batch_is_its_images_one_by_one(explainer: Explainer, goal: Goal) -> None:
    model, x = Smooth().double().eval(), seededrand(torch.zeros(4, 3, SIZE, SIZE)).double()
    if explainer == GradCAM(layer="first"):
        model = Tiny().double().eval()
    y = model(x).argmax(1)
    attack = ExplanationAttack(goal, 0.02, 3, explainer=explainer)
    single = [attack(model, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]
    assert attack(model, x, y).dtype == torch.float64
    torch.testing.assert_close(attack(model, x, y), torch.cat(single))


@every_explainer
def test_the_model_and_the_inputs_come_back(explainer: Explainer) -> None:
    model = used(Tiny())
    x = seededrand(torch.zeros(4, 3, SIZE, SIZE))
    with torch.no_grad():
        y = Tiny()(x).argmax(1)
    kept = x.clone(), y.clone()
    x.requires_grad_()
    before = state_of(model)
    ExplanationAttack(steps=2, explainer=explainer)(model, x, y)
    assert same_state(before, state_of(model))
    assert torch.equal(x.detach(), kept[0])
    assert torch.equal(y, kept[1])
    assert x.grad is None
    assert F.relu(torch.tensor(-1.0)) == 0


@pytest.mark.parametrize("at", [1, 2, 4])
def test_the_model_comes_back_after_an_exception(at: int) -> None:
    model, state = Fails(used(Tiny()), at), torch.get_rng_state()
    before = state_of(model)
    attack = ExplanationAttack(explainer=InputGradient())
    x = seededrand(torch.zeros(3, 3, SIZE, SIZE))
    with pytest.raises(BrokenError):
        attack(model, x, torch.zeros(3, dtype=torch.int64), seeded())
    assert same_state(before, state_of(model))
    assert torch.equal(torch.get_rng_state(), state)
    assert F.relu(torch.tensor(-1.0)) == 0


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", ["gradcam", "captum"])
def test_works_in_any_grad_mode(mode: Callable[[], torch.no_grad], name: str) -> None:
    model, x, y = trained()
    attack = ExplanationAttack(eps=0.1, steps=3, explainer=ALL_EXPLAINERS[name])
    expected = attack(model, x, y, seeded())
    with mode():
        assert torch.equal(attack(model, x * 1, y * 1, seeded()), expected)


def test_an_empty_batch_stays_empty() -> None:
    model, x, y = trained()
    assert ExplanationAttack()(model, x[:0], y[:0]).shape == x[:0].shape


def test_a_step_is_two_explanations() -> None:
    _, x, y = trained()
    for search, passes in ((False, 1 + 2 * 7), (True, 1 + 7)):
        model = Counts(trained()[0])
        ExplanationAttack(steps=7, explainer=InputGradient(), search=search)(model, x, y)
        assert model.passes == passes


class Squares(nn.Module):
    """Class 0's logit is half the sum of squared pixels: its input gradient is the image itself."""

    def forward(self, x: Tensor) -> Tensor:
        score = 0.5 * x.square().sum((1, 2, 3))
        return torch.stack([score, score - 100], 1)


def line(*values: float) -> Tensor:
    """(1, 3, 1, W): one row of pixels, the same in each channel."""
    return torch.tensor(values).expand(1, 3, 1, len(values)).contiguous()


ZERO = torch.zeros(1, dtype=torch.int64)


# --- The prediction ----------------------------------------------------------------------------


def test_what_is_not_the_prediction_is_left_alone() -> None:
    model, x, y = trained()
    other = y.clone()
    other[::2] = (y[::2] + 1) % 3
    z = ExplanationAttack(eps=0.1, steps=5)(model, x, other)
    assert torch.equal(z[::2], x[::2])
    assert (z[1::2] != x[1::2]).flatten(1).any(1).all()


@pytest.mark.parametrize("search", [False, True], ids=["gradient", "search"])
def test_the_prediction_is_kept_where_the_ball_is_full_of_others(search: bool) -> None:
    model, x, y = trained()
    fooled = model(PGD(0.3, 5)(model, x, y)).argmax(1) != y
    assert fooled.all()
    z = ExplanationAttack(eps=0.3, steps=30, search=search)(model, x, y, seeded())
    assert torch.equal(model(z).argmax(1), y)
    assert (z != x).flatten(1).any(1).float().mean() > 0.8


class Edge(nn.Module):
    """Class 0 while the last pixel is at most 0.505; its input gradient is the image itself."""

    def forward(self, x: Tensor) -> Tensor:
        score = 0.5 * x.square().sum((1, 2, 3))
        return torch.stack([score, score + 1000 * (x[..., -1].mean((1, 2)) - 0.505)], 1)


def test_an_image_that_crossed_the_edge_comes_back_over_it_and_goes_on() -> None:
    x = line(0.6, 0.5, 0.5, 0.5, 0.5, 0.5)
    free = ExplanationAttack(MassCentre(), 0.1, 10, explainer=InputGradient())(Squares(), x, ZERO)
    z = ExplanationAttack(MassCentre(), 0.1, 20, explainer=InputGradient())(Edge(), x, ZERO)
    assert Edge()(z).argmax(1) == 0
    assert Edge()(free).argmax(1) == 1
    manipulated, possible = (MassCentre().manipulated(x.sum(1), each.sum(1)) for each in (z, free))
    assert 0.5 * possible < manipulated < possible


# --- Where there is no gradient -------------------------------------------------------------------


class Towards(Objective):
    """A goal as an objective, ascended on the network as it is."""

    def __init__(self, goal: Goal, explainer: Explainer) -> None:
        self.goal, self.explainer = goal, explainer

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        ascended = self.goal(maps(self.explainer, model, x, y))
        return lambda z: ascended(self.explainer(model, z, y)[1])


@every_goal
def test_a_gradient_of_relus_moves_only_when_softened(goal: Goal) -> None:
    model, x, y = trained()
    plain = PGD(0.1, 3, random_start=False, objective=Towards(goal, InputGradient()))
    assert torch.equal(plain(model, x, y), x)
    clean = maps(InputGradient(), model, x, y)
    manipulated = {}
    for beta in (None, 30.0):
        attack = ExplanationAttack(goal, 0.1, 3, explainer=InputGradient(), beta=beta)
        z = attack(model, x, y, seeded())
        manipulated[beta] = goal.manipulated(clean, maps(InputGradient(), model, z, y)).mean()
    assert manipulated[30.0] > manipulated[None] > 0  # None: a search of as many steps


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_torchscript_program_is_searched() -> None:
    model, x, y = trained()
    program = torch.jit.trace(model, x)
    attack = ExplanationAttack(eps=0.1, steps=20, explainer=InputGradient())
    z = attack(program, x, y, seeded())
    clean, moved = (maps(InputGradient(), model, each, y) for each in (x, z))
    assert TopK().manipulated(clean, moved).mean() > 0.1
    searched = ExplanationAttack(eps=0.1, steps=20, explainer=InputGradient(), search=True)
    assert torch.equal(z, searched(program, x, y, seeded()))


class Detached(Tiny):
    """No gradient reaches the image, and Grad-CAM needs none there."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


def test_a_model_that_passes_no_gradient_on_is_searched() -> None:
    learnt, x, y = trained()
    model = Detached().eval()
    model.load_state_dict(learnt.state_dict())
    z = ExplanationAttack(eps=0.1, steps=20)(model, x, y, seeded())
    searched = ExplanationAttack(eps=0.1, steps=20, search=True)(model, x, y, seeded())
    assert torch.equal(z, searched)
    assert (z != x).any()


# --- Planted: how far a map can go, by hand ----------------------------------------------------


@pytest.mark.parametrize(("eps", "lost"), [(0.01, 0.0), (0.024, 0.0), (0.03, 0.5), (0.08, 1.0)])
@pytest.mark.parametrize("search", [False, True], ids=["gradient", "search"])
def test_places_are_lost_when_the_ball_allows_it(eps: float, lost: float, search: bool) -> None:
    x = line(0.65, 0.55, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    steps = 120 if search else 20
    attack = ExplanationAttack(TopK(0.2), eps, steps, explainer=InputGradient(), search=search)
    z = attack(Squares(), x, ZERO, seeded())
    manipulated = TopK(0.2).manipulated(x.sum(1), z.sum(1)).item()
    assert manipulated == pytest.approx(lost)


@pytest.mark.parametrize("eps", [0.02, 0.1])
def test_the_centre_goes_as_far_as_it_can(eps: float) -> None:
    x = line(0.8, 0.6, 0.5, 0.5, 0.4, 0.5, 0.3, 0.4)
    left = torch.arange(9)[:, None] > torch.arange(8)  # the far corner is on the right
    corners = torch.where(left, x[0, 0] - eps, x[0, 0] + eps)
    best = MassCentre().manipulated(x[:, 0].expand(9, 1, 8), corners[:, None]).max()
    attack = ExplanationAttack(MassCentre(), eps, 40, explainer=InputGradient())
    z = attack(Squares(), x, ZERO)
    manipulated = MassCentre().manipulated(x.sum(1), z.sum(1)).item()
    assert 0.999 * best <= manipulated <= best + 1e-6


def test_a_target_within_reach_is_reached() -> None:
    x, target = line(0.5, 0.5, 0.4, 0.6), line(0.45, 0.55, 0.45, 0.55)
    goal = TargetMap(target[0, 0])
    z = ExplanationAttack(goal, 0.05, 60, explainer=InputGradient())(Squares(), x, ZERO)
    clean, moved = x.sum(1), z.sum(1)
    missing = manipulated_target(clean, target.sum(1), target[0, 0])
    assert goal.manipulated(clean, moved) > 0.98 * missing


# --- Goals -------------------------------------------------------------------------------------


def test_what_top_k_ascends_by_hand() -> None:
    clean = torch.tensor([[[4.0, 1.0, 2.0, 0.0, 3.0]]])
    ascended = TopK(0.4)(clean)  # the first and the last place
    assert ascended(clean).item() == pytest.approx(3 / 10)
    assert ascended(torch.tensor([[[1.0, 5.0, 5.0, 5.0, 4.0]]])).item() == pytest.approx(15 / 20)


@every_goal
def test_a_goal_has_a_slope_at_the_clean_map_and_ends_where_it_is_reached(goal: Goal) -> None:
    clean = torch.rand(5, 7, 9, generator=seeded(1))
    saliency = clean.clone().requires_grad_()
    ascended = goal(clean)
    (gradient,) = torch.autograd.grad(ascended(saliency).sum(), saliency)
    assert (gradient.flatten(1).norm(dim=1) > 1e-3).all()
    assert goal.manipulated(clean, clean).abs().max() < 1e-6
    step = saliency.detach() + 0.1 * gradient / gradient.abs().amax((1, 2), keepdim=True)
    assert (ascended(step.clamp(min=0)) > ascended(clean)).all()
    scaled = ascended(1e3 * clean)
    torch.testing.assert_close(scaled, ascended(clean))


def test_a_target_of_ones_own_is_not_called_like_the_built_in_one() -> None:
    assert goal_name(TargetMap()) == goal_name("target") == "target"
    assert goal_name(TargetMap(torch.eye(4))) == "TargetMap"


@every_goal
def test_silent_maps_have_finite_values_and_slopes(goal: Goal) -> None:
    clean = torch.rand(4, 6, 6, generator=seeded(1))
    clean[0], clean[1] = 0, 0.5
    saliency = torch.zeros(4, 6, 6, requires_grad=True)
    value = goal(clean)(saliency)
    (gradient,) = torch.autograd.grad(value.sum(), saliency)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_the_centre_is_manipulated_to_the_far_corner_first() -> None:
    clean = far_disc(torch.eye(8)[None, :1].expand(1, 8, 8))
    saliency = (clean + 1e-3).requires_grad_()
    (gradient,) = torch.autograd.grad(MassCentre()(clean)(saliency).sum(), saliency)
    centre_row, centre_column = (clean[0].sum(axis).argmax().item() for axis in (1, 0))
    far = gradient[0, 7 if centre_row < 4 else 0, 7 if centre_column < 4 else 0]
    assert far == gradient.max()


# --- Mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ExplanationAttack(eps=8), "8/255"),
        (lambda: ExplanationAttack(steps=0), "steps=0"),
        (lambda: ExplanationAttack(step_size=0.0), "step_size"),
        (lambda: ExplanationAttack(beta=-1.0), "beta"),
        (lambda: ExplanationAttack(beta=float("nan")), "beta"),
        (lambda: ExplanationAttack("topk"), "goal .*, such as TopK.*, got 'topk'"),
        (lambda: ExplanationAttack(explainer=GradCAM), "such as GradCAM.*, got the class GradCAM"),
        (lambda: TopK(10), "0.1 for 10%"),
        (lambda: TopK(0), "0.1 for 10%"),
    ],
)
def test_arguments_out_of_range(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UserError, match=says) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_a_target_for_other_images() -> None:
    model, x, y = trained()
    with pytest.raises(UserError, match="one for each of 10 images"):
        ExplanationAttack(TargetMap(torch.ones(3, 4, 4)))(model, x, y)


def test_bad_images() -> None:
    model, x, y = trained()
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        ExplanationAttack()(model, 255 * x, y)
