"""The ball of an attack: what it refuses, what lies in it, and the same attack in another one."""

from copy import deepcopy
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from cases import ATTACKS, EVALUATION_ATTACKS, NORMS, batch
from lookright.attacks import (
    FGSM,
    L2,
    PGD,
    Attack,
    Ball,
    CarliniWagner,
    ExplanationAttack,
    LInf,
    Norm,
    Square,
    WorstCase,
)
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.explainers import InputGradient
from lookright.methods import AT, AWP, FreeAT
from models_for_tests import SIZE, Smooth

EXPLANATION = {
    f"explanation-{row}": ExplanationAttack(eps=eps, steps=3, norm=norm, explainer=InputGradient())
    for row, (norm, eps) in NORMS.items()
}
WHOLE: dict[str, Attack] = ATTACKS | EVALUATION_ATTACKS | EXPLANATION
every_attack = pytest.mark.parametrize("attack", WHOLE.values(), ids=WHOLE)
every_norm = pytest.mark.parametrize(("norm", "eps"), NORMS.values(), ids=NORMS)
OTHER_BALLS = (Ball(LInf(), 0.02), Ball(L2(), 0.3))


def images() -> Tensor:
    return torch.rand(4, 3, SIZE, SIZE, generator=Generator().manual_seed(1))


def distance(z: Tensor, x: Tensor, norm: Norm) -> float:
    order = 2 if isinstance(norm, L2) else torch.inf
    lengths = torch.linalg.vector_norm((z - x).double().flatten(1), order, dim=1)
    return float(lengths.max())


# --- The same attack in another ball -----------------------------------------------------------


@every_attack
@pytest.mark.parametrize("ball", OTHER_BALLS, ids=lambda ball: ball.words)
def test_the_same_attack_in_another_ball(attack: Attack, ball: Ball) -> None:
    if isinstance(attack, CarliniWagner):
        ball = Ball(L2(), 0.3)
    before = deepcopy(attack)
    moved = attack.within(ball)
    assert moved.ball == ball
    assert type(moved) is type(attack)
    assert attack == before
    assert moved.within(before.ball) == attack
    model, x = Smooth(), images()
    z = moved(model, x, model(x).argmax(1), Generator().manual_seed(0))
    assert distance(z, x, ball.norm) <= ball.eps + 1e-6


@pytest.mark.parametrize("ball", OTHER_BALLS, ids=lambda ball: ball.words)
@pytest.mark.parametrize(
    "attack",
    [FGSM(), PGD(steps=3), PGD(steps=3, random_start=False), EXPLANATION["explanation-linf"]],
    ids=repr,
)
def test_it_searches_the_whole_of_the_other_ball(attack: Attack, ball: Ball) -> None:
    model, x = Smooth(), images()
    z = attack.within(ball)(model, x, model(x).argmax(1), Generator().manual_seed(0))
    assert distance(z, x, ball.norm) > 0.7 * ball.eps


def test_an_attack_keeps_what_else_was_set() -> None:
    attack = PGD(steps=3, step_size=0.01, restarts=4, targeted=True, random_start=False)
    assert attack.within(Ball(L2(), 0.5)) == PGD(0.5, 3, 0.01, L2(), False, 4, True)


def test_a_worst_case_moves_its_members() -> None:
    ball = Ball(L2(), 0.5)
    moved = WorstCase((PGD(), Square())).within(ball)
    assert moved == WorstCase((PGD(0.5, norm=L2()), Square(0.5, norm=L2())))


def test_a_worst_case_in_two_balls_is_refused() -> None:
    with pytest.raises(UserError, match=r"these have 8/255, L-inf and 0.5, L2: give all"):
        WorstCase((PGD(), PGD(), CarliniWagner()))


def test_carlini_and_wagner_know_one_norm_alone() -> None:
    with pytest.raises(UserError, match=r"CarliniWagner supports only the norm L2.* 8/255, L-inf"):
        CarliniWagner().within(Ball())
    boundless = CarliniWagner(eps=torch.inf)
    assert boundless.ball is None
    assert boundless.within(Ball(L2(), 0.5)) == CarliniWagner(0.5)


@dataclass(frozen=True)
class Brighter(Attack):
    """An attack of one's own, which names a radius and no norm."""

    eps: float = 0.1

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return (x + self.eps).clamp(0, 1)


class Plain(Attack):
    """One that is no dataclass and names no ball."""

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return 1 - x


class Undescribed(Plain):
    """One with a radius that no field names."""

    eps = 0.1


def test_an_attack_of_ones_own_without_a_norm_is_one_in_l_inf() -> None:
    assert Brighter().ball == Ball(LInf(), 0.1)
    assert Brighter().within(Ball(eps=0.2)) == Brighter(0.2)
    with pytest.raises(
        UserError, match=r"Brighter supports only the norm L-inf, but the ball is 51/255"
    ):
        Brighter().within(Ball(L2(), 0.2))
    assert WorstCase((Brighter(8 / 255), PGD())).ball == Ball()


def test_an_attack_that_names_no_ball_is_taken_as_it_is() -> None:
    plain = Plain()
    assert plain.ball is None
    assert plain.within(Ball()) is plain
    assert WorstCase((plain, PGD())).ball == Ball()
    assert WorstCase((plain,)).ball is None
    own = Undescribed()
    assert own.within(Ball(eps=0.1)) is own
    with pytest.raises(UserError, match="make it a dataclass with a field eps"):
        own.within(Ball(eps=0.2))


def test_what_free_at_carries_on_is_one_in_l_inf() -> None:
    method = FreeAT(Smooth(), 0.1)
    assert method.attack.ball == Ball(LInf(), 0.1)
    assert method.attack.within(Ball(LInf(), 0.1)) is method.attack
    with pytest.raises(UserError, match="cannot be moved to another ball"):
        method.attack.within(Ball(L2(), 0.1))


def test_an_attack_has_its_ball_beside_awp_too() -> None:
    seen = []

    class Looking(AT):
        def forward(self, batch: Batch) -> dict[str, Tensor]:
            seen.append(self.attack.ball)
            return super().forward(batch)

    AWP(Looking(Smooth(), PGD(0.5, 1, norm=L2())))(batch())
    assert seen == 2 * [Ball(L2(), 0.5)]


# --- The ball itself ---------------------------------------------------------------------------


@every_norm
def test_what_is_brought_back_lies_in_the_ball_and_in_range(norm: Norm, eps: float) -> None:
    ball, x = Ball(norm, eps), images()
    generator = Generator().manual_seed(2)
    for z in (
        ball.start(x, generator),
        ball.project(torch.randn(x.shape, generator=generator), x),
        ball.moved(x, torch.randn(x.shape, generator=generator)),
    ):
        assert 0.3 * eps < distance(z, x, norm) <= eps + 1e-6
        assert z.min() >= 0
        assert z.max() <= 1
    inside = ball.start(x, generator)
    torch.testing.assert_close(ball.project(inside, x), inside)
    assert torch.equal(
        ball.start(x, generator.manual_seed(3)), ball.start(x, generator.manual_seed(3))
    )


def test_what_is_brought_back_is_the_nearest_by_hand() -> None:
    x = torch.full((1, 3, 1, 1), 0.5)
    z = torch.tensor([0.9, 0.5, 0.5]).view(1, 3, 1, 1)
    expected = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1)
    for norm in (LInf(), L2()):
        torch.testing.assert_close(Ball(norm, 0.1).project(z, x), expected)
    corner = torch.tensor([0.8, 0.1, 0.5]).view(1, 3, 1, 1)
    length = 0.1 / 0.5
    torch.testing.assert_close(
        Ball(L2(), 0.1).project(corner, x),
        torch.tensor([0.5 + 0.3 * length, 0.5 - 0.4 * length, 0.5]).view(1, 3, 1, 1),
    )


def test_balls_are_equal_by_norm_and_radius() -> None:
    assert Ball() == Ball(LInf(), 8 / 255) == Ball(eps=float(torch.tensor(8 / 255)))
    assert len({Ball(), Ball(eps=8 / 255), Ball(eps=0.0313725)}) == 1
    for other in (Ball(eps=9 / 255), Ball(eps=0.0314), Ball(L2(), 8 / 255), "8/255, L-inf"):
        assert Ball() != other


@pytest.mark.parametrize(
    ("ball", "words"),
    [
        (Ball(), "8/255, L-inf"),
        (Ball(L2(), 0.5), "0.5, L2"),
        (Ball(eps=0), "0/255, L-inf"),
        (Ball(L2(), 1), "1, L2"),
    ],
)
def test_a_ball_in_words(ball: Ball, words: str) -> None:
    assert ball.words == words


@pytest.mark.parametrize(
    ("norm", "eps", "message"),
    [
        (LInf(), 8, r"between 0 and 1 \(8/255 is common\), but got 8. Did you mean 8/255\?"),
        (LInf(), -0.1, "but got -0.1.$"),
        (LInf(), torch.nan, "but got nan"),
        (L2(), -1, "a length in pixel units, finite and 0 or more, but got -1"),
        (L2(), torch.inf, "finite"),
        (L2(), torch.nan, "but got nan"),
        (L2(), "0.5", "eps is a number, got the text '0.5'"),
        (8 / 255, 8 / 255, r"norm .* such as L2\(\), got 0\.03"),
    ],
)
def test_a_ball_that_cannot_be_is_refused(norm: Norm, eps: float, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Ball(norm, eps)
