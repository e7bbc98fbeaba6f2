"""A learned mask against the true one, on planted masks with known scores."""

from functools import partial

import pytest
import torch

from lookright.errors import UserError
from lookright.metrics import (
    localisation_iou,
    localisation_mass,
    localisation_soft_iou,
    mask_area,
    mask_iou,
    mask_mass,
    mask_soft_iou,
    pointing_game,
)

OBJECT = torch.zeros(1, 1, 4, 4)
OBJECT[..., 1:3, 1:3] = 1
HALF = torch.zeros(1, 1, 4, 4)
HALF[..., 1, 1:3] = 1
SHIFTED = OBJECT.roll(1, -1)


@pytest.mark.parametrize(
    ("learned", "mass", "iou", "soft_iou", "coverage"),
    [
        (OBJECT, 1.0, 1.0, 1.0, 4 / 16),
        (1 - OBJECT, 0.0, 0.0, 0.0, 12 / 16),
        (HALF, 1.0, 2 / 4, 2 / 4, 2 / 16),
        (SHIFTED, 2 / 4, 2 / 6, 2 / 6, 4 / 16),
        (0.5 * OBJECT, 1.0, 1.0, 0.5, 2 / 16),
        (0.4 * OBJECT, 1.0, 0.0, 0.4, 1.6 / 16),
        (0.25 + 0.75 * OBJECT, 4 / 7, 1.0, 4 / 7, 7 / 16),
        (torch.ones(1, 1, 4, 4), 4 / 16, 4 / 16, 4 / 16, 1.0),
        (torch.zeros(1, 1, 4, 4), 4 / 16, 0.0, 0.0, 0.0),
    ],
)
def test_planted_masks_have_their_known_scores(learned, mass, iou, soft_iou, coverage):
    assert mask_mass(learned, OBJECT).item() == pytest.approx(mass)
    assert mask_iou(learned, OBJECT).item() == pytest.approx(iou)
    assert mask_soft_iou(learned, OBJECT).item() == pytest.approx(soft_iou)
    assert mask_area(learned).item() == pytest.approx(coverage)


def test_an_object_that_is_not_there_is_never_found():
    assert mask_mass(OBJECT, torch.zeros_like(OBJECT)).item() == 0
    for measure in (mask_iou, mask_soft_iou):
        assert measure(torch.zeros_like(OBJECT), torch.zeros_like(OBJECT)).item() == 0


@pytest.mark.parametrize("measure", [mask_mass, mask_iou, mask_soft_iou])
def test_shapes_that_do_not_fit_are_named(measure):
    for learned in (
        OBJECT[0],
        OBJECT.expand(2, 1, 4, 4),
        OBJECT[..., :2],
        OBJECT.expand(1, 3, 4, 4),
    ):
        with pytest.raises(UserError, match=r"same samples and size, but got .*\(1, 1, 4, 4\)"):
            measure(learned, OBJECT)
    with pytest.raises(UserError, match="same samples"):
        measure(OBJECT.expand(1, 3, 4, 4), OBJECT.expand(1, 3, 4, 4))


def _of_masks():
    learned = torch.linspace(0, 1, 2 * 12 * 12).view(2, 1, 12, 12)
    saliency = learned[:, 0]
    return {
        "mass": partial(localisation_mass, saliency),
        "iou": partial(localisation_iou, saliency),
        "soft_iou": partial(localisation_soft_iou, saliency),
        "pointing": partial(pointing_game, saliency),
        "area": mask_area,
        "mask_mass": partial(mask_mass, learned),
        "mask_iou": partial(mask_iou, learned),
        "mask_soft_iou": partial(mask_soft_iou, learned),
    }


@pytest.mark.parametrize("name", _of_masks())
def test_masks_of_any_dtype_count_alike_and_other_values_are_refused(name):
    measure, masks = _of_masks()[name], torch.zeros(2, 1, 12, 12)
    masks[:, :, 2:9, 3:11] = 1
    torch.testing.assert_close(measure(masks.bool()), measure(masks))
    for wrong, said in (
        (masks.byte(), "uint8"),
        (masks.long() * 255, "int64"),
        (masks * 255, "0 to 255"),
        (masks - 0.5, "-0.5 to 0.5"),
        (masks * float("nan"), "nan"),
    ):
        with pytest.raises(UserError, match=said):
            measure(wrong)


@pytest.mark.parametrize("measure", [localisation_iou, mask_iou])
def test_more_pixels_than_half_precision_counts(measure):
    masks = torch.zeros(1, 1, 320, 320, dtype=torch.float16)
    masks[:, :, :300, :300] = 1
    seen = masks if measure is mask_iou else masks[:, 0]
    assert measure(seen, masks).tolist() == [1]
