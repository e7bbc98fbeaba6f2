"""Localisation on planted masks with known scores."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lookright.errors import UserError
from lookright.metrics import (
    localisation_iou,
    localisation_mass,
    localisation_soft_iou,
    mask_area,
    mask_iou,
    pointing_game,
)

MASK = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]).float()
MASKS = MASK[None, None]


def on(*places):
    saliency = torch.zeros(1, 4, 4)
    for value, (row, column) in enumerate(places):
        saliency[0, row, column] = len(places) - value
    return saliency


@pytest.mark.parametrize(
    ("saliency", "mass", "iou", "soft_iou", "hit"),
    [
        (MASK[None], 1.0, 1.0, 1.0, True),
        (1 - MASK[None], 0.0, 0.0, 0.0, False),
        (on((1, 1), (0, 0), (2, 2), (3, 3)), (4 + 2) / 10, 2 / 6, 1.5 / 5, True),
        (on((0, 0), (1, 1), (1, 2), (2, 1), (2, 2)), 10 / 15, 3 / 5, 2 / 5, False),
        (on((0, 0), (0, 1), (0, 2), (0, 3), (1, 1)), 1 / 15, 0.0, 0.2 / 6.8, False),
    ],
)
def test_planted_maps_have_their_known_scores(saliency, mass, iou, soft_iou, hit):
    assert localisation_mass(saliency, MASKS).item() == pytest.approx(mass)
    assert localisation_iou(saliency, MASKS).item() == pytest.approx(iou)
    assert localisation_soft_iou(saliency, MASKS).item() == pytest.approx(soft_iou)
    assert pointing_game(saliency, MASKS).item() == hit


def test_area_is_the_share_of_the_image():
    assert mask_area(MASKS).item() == 0.25
    assert mask_area(torch.full((1, 1, 3, 5), 0.5)).item() == pytest.approx(0.5)


def test_soft_masks_weigh_mass_and_are_cut_at_a_half_elsewhere():
    soft = torch.where(MASKS == 1, 0.6, 0.2)
    assert localisation_mass(MASK[None], soft).item() == pytest.approx(0.6)
    assert localisation_iou(MASK[None], soft).item() == 1.0
    assert pointing_game(MASK[None], soft).item()
    assert not pointing_game(MASK[None], torch.where(MASKS == 1, 0.4, 0.6)).item()


@pytest.mark.parametrize("saliency", [MASK[None], 1 - MASK[None], torch.zeros(1, 4, 4)])
def test_an_object_that_is_faint_everywhere_is_cut_away_and_not_missed(saliency):
    """Its mass is known, and nothing of what a cut at a half leaves."""
    faint = 0.4 * MASKS
    for measure in (localisation_iou, pointing_game):
        assert measure(saliency, faint).isnan().all()
        ignored = torch.zeros_like(MASKS, dtype=torch.bool)
        ignored[..., 1, 1] = True
        assert measure(saliency, torch.where(ignored, 1, faint), ignored).isnan().all()
    assert mask_iou(saliency[:, None], faint).isnan().all()
    assert localisation_mass(saliency, faint).isfinite().all()


def test_a_coarse_map_is_brought_to_the_masks_size():
    coarse = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    quadrant = torch.zeros(1, 1, 8, 8)
    quadrant[..., :4, :4] = 1
    enlarged = torch.nn.functional.interpolate(coarse[:, None], (8, 8), mode="bilinear")[:, 0]
    assert localisation_mass(coarse, quadrant) == localisation_mass(enlarged, quadrant)
    assert 0.5 < localisation_mass(coarse, quadrant).item() < 1
    assert localisation_iou(coarse, quadrant) == localisation_iou(enlarged, quadrant)


@pytest.mark.parametrize("nothing", [0.0, 3.0, torch.nan, torch.inf])
def test_a_map_that_says_nothing_has_chance_mass_and_points_nowhere(nothing):
    saliency = torch.full((1, 4, 4), nothing)
    assert localisation_mass(saliency, MASKS).item() == pytest.approx(0.25)
    assert localisation_soft_iou(saliency, MASKS).item() == pytest.approx(0.25)
    assert not pointing_game(saliency, torch.ones(1, 1, 4, 4)).item()


def test_maps_that_say_nothing_meet_a_mask_by_chance_wherever_it_is():
    size, side, masks = 40, 20, []
    for row in range(0, 21, 5):
        for column in range(0, 21, 5):
            mask = torch.zeros(1, size, size)
            mask[:, row : row + side, column : column + side] = 1
            masks.append(mask)
    iou = localisation_iou(torch.zeros(len(masks), 5, 5), torch.stack(masks))
    assert torch.allclose(iou, torch.full_like(iou, 0.25 / 1.75), atol=0.06)


def test_nothing_is_on_an_empty_mask():
    empty = torch.zeros_like(MASKS)
    for measure in (localisation_mass, localisation_iou, localisation_soft_iou, pointing_game):
        assert measure(MASK[None], empty).item() == 0


@pytest.mark.parametrize(
    "measure", [localisation_mass, localisation_iou, localisation_soft_iou, pointing_game]
)
def test_shapes_that_do_not_fit_are_named(measure):
    for saliency, masks in [(MASK[None], MASK[None]), (MASKS, MASKS), (MASK.expand(2, 4, 4), MASKS),
                            (MASK[None], MASKS.expand(1, 3, 4, 4))]:  # fmt: skip
        with pytest.raises(UserError, match="masks"):
            measure(saliency, masks)


@settings(max_examples=40)
@given(
    hnp.arrays("float64", (2, 3, 4), elements=st.floats(0, 1e6, width=32)),
    hnp.arrays("float64", (2, 1, 3, 4), elements=st.integers(0, 1).map(float)),
)
def test_laws_on_any_maps(map_values, mask_values):
    saliency, masks = torch.from_numpy(map_values), torch.from_numpy(mask_values)
    mass, iou = localisation_mass(saliency, masks), localisation_iou(saliency, masks)
    assert torch.allclose(mass + localisation_mass(saliency, 1 - masks), torch.ones_like(mass))
    assert ((iou >= 0) & (iou <= 1)).all()
    everywhere = torch.ones_like(masks)
    assert torch.allclose(localisation_iou(saliency, everywhere), torch.ones_like(mass))
    inside = saliency * masks[:, 0] + masks[:, 0]
    partial = (masks.amax((1, 2, 3)) == 1) & (masks.amin((1, 2, 3)) == 0)
    assert (localisation_iou(inside, masks)[partial] == 1).all()
    assert pointing_game(inside, masks)[partial].all()
