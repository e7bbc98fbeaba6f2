"""The attack by which a training is validated is in the ball of the method's own."""

from dataclasses import dataclass

import pytest

from lookright.attacks import (
    APGD,
    FGSM,
    L2,
    PGD,
    Attack,
    Ball,
    CarliniWagner,
    KLDivergence,
    Square,
    WorstCase,
)
from lookright.methods import AT, AWP, ERM, TRADES, FastAT, FreeAT
from lookright.training.module import Module
from test_training_sampling import settings_of
from tiny import Blobs, tiny_classifier


@dataclass(frozen=True)
class Itself(Attack):
    """Changes nothing, and names no ball."""

    def __call__(self, model, x, y, generator=None):
        return x


def validated(method, attack=None) -> Attack | None:
    settings = settings_of(domains=("train",), validation_attack=attack)
    parts = {part: Blobs().split("train", part) for part in ("train", "validation")}
    return Module(method, parts, settings).judged.get("val/adversarial_accuracy")


L2_BALL, LINF_BALL = Ball(L2(), 0.5), Ball(eps=0.1)


@pytest.mark.parametrize(
    ("make", "ball"),
    [
        (lambda model: AT(model, APGD(0.5, norm=L2())), L2_BALL),
        (lambda model: AT(model, Square(0.5, norm=L2())), L2_BALL),
        (lambda model: AT(model, CarliniWagner()), L2_BALL),
        (lambda model: AT(model, WorstCase((PGD(0.5, norm=L2()),))), L2_BALL),
        (lambda model: AT(model, FGSM(0.5, L2())), L2_BALL),
        (lambda model: TRADES(model, PGD(0.1, objective=KLDivergence())), LINF_BALL),
        (lambda model: AWP(AT(model, APGD(0.5, norm=L2()))), L2_BALL),
        (lambda model: FreeAT(model, 0.1), LINF_BALL),
        (lambda model: FastAT(model, 0.1), LINF_BALL),
    ],
    ids=["apgd", "square", "cw", "worst case", "fgsm", "trades", "awp", "free", "fast"],
)
def test_it_is_pgd_in_the_ball_of_the_methods_attack(make, ball):
    assert validated(make(tiny_classifier())) == PGD(ball.eps, 10, norm=ball.norm)


def test_an_attack_without_a_ball_is_the_one_that_validates():
    assert validated(AT(tiny_classifier(), Itself())) == Itself()


def test_what_is_asked_for_is_taken():
    assert validated(AT(tiny_classifier(), PGD(0.5, norm=L2())), FGSM(0.1)) == FGSM(0.1)
    assert validated(ERM(tiny_classifier())) is None
    assert validated(ERM(tiny_classifier()), FGSM(0.1)) == FGSM(0.1)
