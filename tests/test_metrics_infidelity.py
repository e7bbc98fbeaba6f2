"""Infidelity on models that an explanation can foresee exactly, and against captum's."""

import sys

import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from torch import nn

from lookright.errors import UserError
from lookright.metrics import GaussianNoise, Squares, infidelity
from lookright.metrics.fills import black, blur, mean_colour
from models_for_tests import SIZE, Tiny

CLASS = torch.zeros(3, dtype=torch.long)


class Additive(nn.Module):
    """p_0(x) is the sum of weights * sum over channels of x, exactly: logits are log p."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        p = (images.sum(1) * self.weights).sum((1, 2))
        return torch.stack([p, 1 - p], 1).log()


def additive(side=8):
    torch.manual_seed(0)
    weights = torch.rand(side, side, dtype=torch.float64) / (3 * side**2)
    return Additive(weights), torch.rand(3, 3, side, side, dtype=torch.float64)


@pytest.mark.parametrize("normalised", [True, False])
def test_the_gradient_of_a_linear_model_foresees_noise_exactly(normalised):
    model, images = additive()
    gradient = model.weights.expand(3, 8, 8)
    noise = GaussianNoise(0.003, 20)
    foreseen = infidelity(model, images, gradient, noise, CLASS, normalised=normalised)
    assert foreseen.tolist() == pytest.approx([0, 0, 0], abs=1e-20)
    unforeseen = infidelity(model, images, gradient.flip(-1), noise, CLASS, normalised=normalised)
    assert (unforeseen > 1e-10).all()


def test_what_a_square_is_worth_foresees_its_removal_exactly():
    model, images = additive()
    worth = model.weights * images.sum(1)
    exact = infidelity(model, images, worth, Squares(black, 4), CLASS)
    assert exact.tolist() == pytest.approx([0, 0, 0], abs=1e-20)
    misplaced = infidelity(model, images, worth.roll(2, -1), Squares(black, 4), CLASS)
    assert (misplaced > 1e-8).all()


def test_by_hand_on_two_halves():
    """Removing the left costs 0.3, the right 0.1; the map says 1 and 2: beta = 0.5 / 5."""
    model = Additive(torch.tensor([[0.1, 0.1 / 3]]))
    images = torch.ones(1, 3, 1, 2)
    saliency = torch.tensor([[[1.0, 2.0]]])
    squares = Squares(black, per_side=2)
    # One row has no second row of squares: their removal costs and foresees nothing.
    value = infidelity(model, images, saliency, squares, CLASS[:1])
    assert value.item() == pytest.approx(((0.3 - 0.1) ** 2 + (0.1 - 0.2) ** 2) / 4, abs=1e-6)
    raw = infidelity(model, images, saliency, squares, CLASS[:1], normalised=False)
    assert raw.item() == pytest.approx(((0.3 - 3) ** 2 + (0.1 - 6) ** 2) / 4, abs=1e-5)


def test_a_map_that_says_nothing_has_the_power_of_the_costs():
    model, images = additive()
    squares = Squares(black, 2)
    silent = infidelity(model, images, torch.zeros(3, 8, 8), squares, CLASS)
    contributions = (model.weights * images.sum(1)).unflatten(1, (2, 4)).unflatten(3, (2, 4))
    costs = contributions.sum((2, 4)).flatten(1)
    assert torch.allclose(silent, costs.square().mean(1))
    for nothing in (torch.nan, 0.3):
        broken = torch.full((3, 3, 3), nothing)
        assert torch.equal(infidelity(model, images, broken, squares, CLASS), silent)
    generator = torch.Generator().manual_seed(0)
    some = torch.rand(3, 8, 8, generator=generator, dtype=torch.float64)
    assert (infidelity(model, images, some, squares, CLASS) <= silent).all()


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(
    "perturbation",
    [GaussianNoise(0.1, 6), Squares(blur, 3), Squares(mean_colour, 5), Squares(black, 1)],
    ids=lambda one: type(one).__name__,
)
def test_captums_infidelity_on_the_same_perturbations(perturbation, normalised):
    torch.manual_seed(1)
    model = Tiny().eval()
    images, saliency = torch.rand(4, 3, SIZE, SIZE), torch.rand(4, SIZE, SIZE)
    target = torch.tensor([0, 1, 2, 1])
    perturbed, taken = perturbation(images)(slice(0, perturbation.count))

    def by_image(tensor):
        return tensor.transpose(0, 1).flatten(0, 1)

    reference = captum_infidelity(
        lambda x: model(x).softmax(1),
        lambda _: (by_image(taken), by_image(perturbed)),
        images,
        saliency[:, None].expand_as(images),
        target=target,
        n_perturb_samples=perturbation.count,
        normalize=normalised,
    )
    ours = infidelity(model, images, saliency, perturbation, target, 7, normalised)
    assert torch.allclose(ours, reference, rtol=1e-4, atol=1e-7)


def test_squares_tile_the_image_in_all_channels():
    images = torch.ones(2, 3, 7, 10)
    perturbed, taken = Squares(black, 3)(images)(slice(0, 9))
    assert torch.equal(taken.sum(0), torch.ones_like(images))
    assert torch.equal(perturbed, 1 - taken)


def test_noise_belongs_to_the_image_and_is_gaussian():
    torch.manual_seed(2)
    images = 0.4 + 0.2 * torch.rand(3, 3, 40, 40)
    perturbed, taken = GaussianNoise(0.02, 5)(images)(slice(0, 5))
    assert torch.equal(perturbed, images - taken)
    assert taken.std().item() == pytest.approx(0.02, rel=0.01)
    assert taken.mean().item() == pytest.approx(0, abs=2e-4)
    assert (taken.abs() < 0.02).float().mean().item() == pytest.approx(0.683, abs=0.01)
    _, alone = GaussianNoise(0.02, 5)(images[1:2])(slice(3, 4))
    assert torch.equal(alone[0, 0], taken[3, 1])
    edge = GaussianNoise(0.5, 2)(images.round())(slice(0, 2))[0]
    assert edge.min() >= 0
    assert edge.max() <= 1


@pytest.mark.parametrize("number", [0, 1 - 2**-24])
def test_the_rarest_noise_is_finite_too(monkeypatch, number):
    module = sys.modules[GaussianNoise.__module__]
    monkeypatch.setattr(module, "image_chance", lambda x, n, _: torch.full((len(x), n), number))
    grey = torch.full((1, 3, 4, 4), 0.5)
    _, taken = GaussianNoise(0.01, 1)(grey)(slice(0, 1))
    assert taken.abs().max().item() == pytest.approx(0.0542, abs=1e-4)


def test_what_cannot_be_is_refused():
    for wrong in (
        lambda: Squares(per_side=0),
        lambda: GaussianNoise(0),
        lambda: GaussianNoise(1, 0),
    ):
        with pytest.raises(UserError, match="at least 1"):
            wrong()
    model, images = additive()
    with pytest.raises(UserError, match="one saliency map"):
        infidelity(model, images, torch.rand(2, 8, 8))
