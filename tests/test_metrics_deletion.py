"""Deletion and insertion on models whose curves are known, and what they cost."""

import pytest
import torch
from torch import nn

from lookright.errors import UserError
from lookright.metrics import deletion, deletion_curve, insertion, insertion_curve
from lookright.metrics.deletion import area, step_counts
from lookright.metrics.fills import black, mean_colour
from models_for_tests import Counts


class Additive(nn.Module):
    """p_0(x) is the sum of weights * mean over channels of x, exactly: logits are log p."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images):
        p = (images.mean(1) * self.weights).sum((1, 2))
        return torch.stack([p, 1 - p], 1).log()


WORTH = torch.tensor([[0.1, 0.4], [0.3, 0.1]])
WHITE = torch.ones(1, 3, 2, 2)
CLASS = torch.zeros(1, dtype=torch.long)


@pytest.mark.parametrize(
    ("order", "removed", "kept"),
    [
        ([[1.0, 4.0], [3.0, 2.0]], [0.9, 0.5, 0.2, 0.1, 0.0], [0.0, 0.4, 0.7, 0.8, 0.9]),
        ([[4.0, 1.0], [2.0, 3.0]], [0.9, 0.8, 0.7, 0.4, 0.0], [0.0, 0.1, 0.2, 0.5, 0.9]),
    ],
)
def test_curves_and_areas_by_hand_on_four_pixels(order, removed, kept):
    given = Additive(WORTH), WHITE, torch.tensor([order]), black, 4, CLASS
    assert deletion_curve(*given)[0].tolist() == pytest.approx(removed, abs=1e-6)
    assert insertion_curve(*given)[0].tolist() == pytest.approx(kept, abs=1e-6)
    trapezoid = [sum(c[1:-1]) / 4 + (c[0] + c[-1]) / 8 for c in (removed, kept)]
    assert deletion(*given).item() == pytest.approx(trapezoid[0])
    assert insertion(*given).item() == pytest.approx(trapezoid[1])


def test_the_worth_of_the_pixels_ranks_them_best():
    torch.manual_seed(0)
    worth = torch.rand(6, 6).softmax(0) / 7
    images = torch.rand(1, 3, 6, 6).expand(20, 3, 6, 6)
    value = worth * images[:1].mean(1)
    maps = torch.cat([value, value.amax() - value, torch.rand(18, 6, 6)])
    given = Additive(worth), images, maps, black, 36, CLASS.expand(20)
    falls, rises = deletion(*given), insertion(*given)
    assert falls.argmin() == rises.argmax() == 0
    assert falls.argmax() == rises.argmin() == 1


def test_a_flat_probability_is_its_own_area():
    model = Additive(torch.full((4, 4), 1 / 16))
    images = torch.full((2, 3, 4, 4), 0.25)
    saliency = torch.rand(2, 4, 4)
    for score in (deletion, insertion):
        flat = score(model, images, saliency, mean_colour, target=CLASS.expand(2))
        assert flat.tolist() == pytest.approx([0.25, 0.25])


def test_the_class_is_the_clean_prediction_unless_another_is_given():
    model, saliency = Additive(WORTH), WORTH[None]
    predicted = deletion_curve(model, WHITE, saliency, black, 4)
    assert torch.equal(predicted, deletion_curve(model, WHITE, saliency, black, 4, CLASS))
    other = deletion_curve(model, WHITE, saliency, black, 4, CLASS + 1)
    assert torch.allclose(other, 1 - predicted)


@pytest.mark.parametrize("max_images", [1, 3, 8, 500])
def test_passes_are_bounded_and_as_many_as_the_points_need(max_images):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(75, 3))
    images, saliency = torch.rand(5, 3, 5, 5), torch.rand(5, 5, 5)
    target = torch.arange(5) % 3
    reference = deletion_curve(network, images, saliency, steps=6, target=target)
    sizes = []
    network.register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    bounded = deletion_curve(
        network, images, saliency, steps=6, target=target, max_images=max_images
    )
    assert torch.allclose(bounded, reference, atol=1e-6)
    assert max(sizes) <= max_images
    assert sum(sizes) == 5 * 7


def test_steps_change_every_pixel_once():
    assert step_counts(4, 10) == [0, 2, 5, 8, 10]
    assert step_counts(64, 4096)[::16] == [0, 1024, 2048, 3072, 4096]
    with pytest.raises(UserError, match="at least 1 step"):
        deletion(Counts(nn.Identity()), WHITE, WORTH[None], steps=0)


def test_area_is_the_trapezoids():
    assert area(torch.tensor([[1.0, 0.0]])).item() == 0.5
    assert area(torch.tensor([1.0, 1.0, 0.0, 0.0])).item() == pytest.approx(0.5)
