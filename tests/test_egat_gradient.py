"""EGAT's term of the gradient at the pixels."""

import copy

import pytest
import torch

from cases import batch
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods import EGAT, RRR
from models_for_tests import Blocked, Smooth, Tiny, same_state
from test_egat_separate import Unchanged

ATTACK = PGD(steps=1, random_start=False)


def test_it_is_the_squared_gradient_summed_over_the_pixels() -> None:
    model, data = Smooth().eval(), batch()
    term = EGAT(model, ATTACK, gradient=3.0)(data)["gradient"]
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
    ours = EGAT(copy.deepcopy(model), ATTACK, gradient=2.0)(data)["gradient"]
    theirs = RRR(model, reasons=2.0)(Batch(data.images, data.labels, masks=nowhere))["reasons"]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_batch_norm_averages_the_statistics_of_attacked_images_alone() -> None:
    data, model = batch(), Tiny().train()
    model.drop.p = 0.0
    without = copy.deepcopy(model)
    EGAT(model, ATTACK, gradient=2.0)(data)
    EGAT(without, ATTACK)(data)
    assert same_state(model.state_dict(), without.state_dict())


def test_without_a_weight_it_is_not_computed() -> None:
    assert "gradient" not in EGAT(Tiny(), ATTACK)(batch())
    with pytest.raises(UserError, match="gradient"):
        EGAT(Tiny(), gradient=-1.0)


def test_a_model_that_blocks_the_gradient_is_refused() -> None:
    with pytest.raises(UserError, match="EGAT with a weight of the gradient"):
        EGAT(Blocked("first"), Unchanged(), stability=0.0, gradient=1.0)(batch())
