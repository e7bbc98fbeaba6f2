"""The penalty on the gradient at the pixels, round any method."""

import copy

import pytest
import torch

from cases import METHODS, batch
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.guides import LearnedMask
from lookright.methods import AT, AWP, EGAT, ERM, RRR, FreeAT, GradientPenalty
from lookright.spec import spec_of
from lookright.training.config import method_title
from models_for_tests import Blocked, Smooth, Tiny, same_state, state_of
from test_egat_separate import Unchanged

ATTACK = PGD(steps=1, random_start=False)


def test_it_is_the_squared_gradient_summed_over_the_pixels() -> None:
    model, data = Smooth().eval(), batch()
    term = GradientPenalty(AT(model, ATTACK), 3.0)(data)["gradient"]
    expected = 0.0
    for one in data.images:
        x = one[None].clone().requires_grad_()
        (at_pixels,) = torch.autograd.grad(model(x).log_softmax(1).sum(), x)
        expected += float(at_pixels.square().sum())
    assert term.item() == pytest.approx(3.0 * expected / len(data.images), rel=1e-4)
    term.backward()
    assert sum(p.grad.abs().sum() for p in model.parameters() if p.grad is not None) > 0


@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_term_of_rrr_without_a_mask(training: bool) -> None:
    data = batch()
    nowhere = torch.zeros_like(data.images[:, :1])
    nowhere[:, :, :1, :1] = 1e-6  # a mask, which marks nearly nothing
    model = Tiny().train(training)
    model.drop.p = 0.0
    ours = GradientPenalty(ERM(copy.deepcopy(model)))(data)["gradient"]
    theirs = RRR(model)(Batch(data.images, data.labels, masks=nowhere))["reasons"]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["erm", "at", "trades", "egat", "egat-learned", "sgt", "mixup"])
def test_the_other_terms_are_those_of_the_method_alone(name: str) -> None:
    data, model = batch(), Tiny().train()
    model.drop.p = 0.0
    round_it, alone = (METHODS[name](copy.deepcopy(model)) for _ in range(2))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        found = GradientPenalty(round_it, 2.0)(data)
    torch.manual_seed(3)
    wanted = alone(data)
    assert found.keys() - wanted.keys() == {"gradient"}
    for term, value in wanted.items():
        torch.testing.assert_close(found[term], value)
    assert same_state(round_it.model.state_dict(), alone.model.state_dict())  # BatchNorm's too


def test_it_takes_over_what_its_method_declares() -> None:
    guide = LearnedMask(warm_up=0.5)
    inner = EGAT(Tiny(), ATTACK, guide=guide)
    method = GradientPenalty(inner)
    assert (method.attack, method.guide, method.warm_up) == (ATTACK, guide, 0.5)
    assert method.explainer == inner.explainer
    assert GradientPenalty(FreeAT(Tiny(), replays=4)).replays == 4
    method.progress = 0.3
    method(batch())
    assert inner.progress == 0.3


def test_it_goes_round_perturbed_weights_and_is_of_those_before() -> None:
    model, data = Smooth(), batch()
    before = state_of(model)
    found = GradientPenalty(AWP(AT(model, ATTACK), gamma=0.05))(data)
    assert same_state(before, state_of(model))
    alone = GradientPenalty(AT(model, ATTACK))(data)
    assert found["adversarial"] > alone["adversarial"]
    torch.testing.assert_close(found["gradient"], alone["gradient"])
    spec = spec_of(GradientPenalty(AWP(AT(model))))
    assert method_title(spec) == "AT-AWP-GradientPenalty"


def test_a_second_penalty_does_not_take_the_place_of_the_first() -> None:
    with pytest.raises(UserError, match="GradientPenalty adds a loss term named gradient"):
        GradientPenalty(GradientPenalty(ERM(Smooth())))(batch())


def test_a_model_that_blocks_the_gradient_is_refused() -> None:
    with pytest.raises(UserError, match="GradientPenalty"):
        GradientPenalty(AT(Blocked("first"), Unchanged()))(batch())


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_out_of_range_is_refused(weight: float) -> None:
    with pytest.raises(UserError, match="weight of a gradient penalty"):
        GradientPenalty(ERM(Tiny()), weight)


def test_a_model_is_no_method() -> None:
    with pytest.raises(UserError, match=r"as in GradientPenalty\(AT\(model\)\).*got Tiny"):
        GradientPenalty(Tiny())
