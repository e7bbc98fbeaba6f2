"""How far an explanation was manipulated, on planted maps with known scores."""

import pytest
import torch

from lookright.errors import UserError
from lookright.metrics import (
    manipulated_centre,
    manipulated_kept,
    manipulated_target,
    manipulated_topk,
    stability_topk,
)
from lookright.metrics.manipulation import centre_of_mass, far_disc


def at(*places, h=4, w=4):
    """(1, h, w): 1 at the places, 0 elsewhere."""
    saliency = torch.zeros(1, h, w)
    for row, column in places:
        saliency[0, row, column] = 1
    return saliency


def test_lost_places_by_hand():
    before = torch.arange(20.0).view(1, 4, 5)  # the four most salient are the last ones
    after = before.clone()
    after[0, 3, 3:] = 0  # two of them fall out
    assert manipulated_topk(before, after, 0.2).tolist() == [0.5]
    assert manipulated_topk(before, before, 0.2).tolist() == [0]
    assert manipulated_topk(before, -before + 19, 0.2).tolist() == [1]


def test_lost_places_are_those_that_are_not_stable():
    torch.manual_seed(0)
    before, after = torch.rand(2, 6, 9, 9)
    both = manipulated_topk(before, after) + stability_topk(before, after)
    assert torch.allclose(both, torch.ones(6))


def test_zeros_in_common_are_no_salient_places_in_common():
    """Of 64 places a tenth is 6, of which each map has only 2."""
    one, other = at((0, 0), (0, 1), h=8, w=8), at((7, 7), (0, 1), h=8, w=8)
    assert stability_topk(one, other).tolist() == [0.5]
    assert manipulated_topk(one, other).tolist() == [0.5]
    many = torch.arange(64.0).flip(0).view(1, 8, 8)  # the first six places, and so both of `one`
    assert stability_topk(one, many).tolist() == [pytest.approx(2 / 6)]
    assert manipulated_topk(one, many).tolist() == [0]
    assert stability_topk(one, one).tolist() == [1]


@pytest.mark.parametrize(
    ("place", "expected"),
    [((0, 0), 0.0), ((0, 3), 3 / 32**0.5), ((3, 3), 18**0.5 / 32**0.5)],
)
def test_the_centre_moves_by_a_share_of_the_diagonal(place, expected):
    assert manipulated_centre(at((0, 0)), at(place)).item() == pytest.approx(expected)


def test_the_diagonal_is_that_of_the_image_and_not_of_a_square():
    before, after = at((0, 0), h=1, w=8), at((0, 7), h=1, w=8)
    assert manipulated_centre(before, after).item() == pytest.approx(7 / 65**0.5)


def test_the_centre_lies_between_equal_places_and_nearer_to_the_heavier():
    assert centre_of_mass(at((0, 0), (0, 3))).tolist() == [[0.125, 0.5]]
    heavier = at((0, 0)) + 3 * at((0, 3))
    assert centre_of_mass(heavier).tolist() == [[0.125, pytest.approx(0.125 + 0.75 * 0.75)]]


@pytest.mark.parametrize(
    ("place", "corner"), [((0, 0), (3, 3)), ((0, 3), (3, 0)), ((3, 0), (0, 3)), ((3, 3), (0, 0))]
)
def test_the_disc_lies_in_the_far_corner(place, corner):
    disc = far_disc(at(place))
    assert disc[0, corner[0], corner[1]] == 1
    assert disc.sum() == 4  # a quarter of each side around its middle
    assert centre_of_mass(disc)[0].tolist() == [0.25 + 0.5 * (each == 3) for each in corner]


def test_the_disc_covers_its_share_of_a_fine_grid():
    assert far_disc(at((0, 0), h=64, w=64)).mean().item() == pytest.approx(torch.pi / 16, rel=0.02)


def test_the_target_that_is_reached_gains_all_that_was_missing():
    before = at((0, 0))
    assert manipulated_target(before, 5 * far_disc(before)).item() == pytest.approx(1)
    assert manipulated_target(before, before).item() == 0
    half = at((0, 0), (3, 3))
    assert manipulated_target(before, half).item() == pytest.approx(1 / 8**0.5)


def test_a_given_target_may_be_on_another_grid_and_for_all_or_for_each():
    before, after = at((0, 0)).repeat(2, 1, 1), at((3, 3)).repeat(2, 1, 1)
    target = torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    gained = manipulated_target(before, after, target)
    assert (gained > 0.4).all()
    each = torch.stack([target, target.flip(0, 1)])
    assert torch.allclose(
        manipulated_target(before, after, each), torch.stack([gained[0], -gained[0]])
    )


def test_a_clean_map_that_says_nothing_cannot_be_manipulated():
    silent, map_ = torch.ones(1, 4, 4), at((0, 0))
    for measure in (manipulated_topk, manipulated_centre, manipulated_target):
        assert measure(silent, map_).item() == 0
        assert measure(torch.full_like(silent, torch.nan), map_).item() == 0


def test_an_attacked_map_that_says_nothing_is_the_uniform_one():
    before = at((0, 0))
    for silent in (torch.zeros(1, 4, 4), torch.full((1, 4, 4), torch.nan)):
        assert manipulated_centre(before, silent).item() == pytest.approx(1.5 / 4)
        assert manipulated_target(before, silent).item() == pytest.approx(0.5)


def test_turned_is_half_of_the_places_with_the_prediction_kept():
    before, after = at((0, 0)).repeat(3, 1, 1), at((3, 3)).repeat(3, 1, 1)
    after[2] = before[2]
    kept = torch.tensor([True, False, True])
    assert manipulated_kept(before, after, kept).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: manipulated_topk(at(), at(h=5)), "same explainer"),
        (lambda: manipulated_centre(at()[0], at()[0]), "same explainer"),
        (lambda: manipulated_topk(at(), at(), 10), "0.1 for 10%"),
        (lambda: manipulated_target(at(), at(), torch.ones(2, 4, 4)), "one for each of 1 images"),
        (lambda: manipulated_target(at(), at(), torch.ones(1, 1, 4, 4)), "drop a mask's channel"),
    ],
)
def test_mistakes_are_one_clear_line(call, says):
    with pytest.raises(UserError, match=says) as raised:
        call()
    assert "\n" not in str(raised.value)
