"""Augmentation moves an image and its mask together and keeps images in [0, 1]."""

import pytest
import torch
import torchvision.transforms.functional as tv

from lookright.batch import Batch
from lookright.data import Augment
from lookright.data.colours import jittered
from lookright.errors import UserError

VIEWS = [
    Augment(flip=True, shift=0),
    Augment(flip=False, shift=0.25),
    Augment(flip=True, shift=0.2, scale=0.3),
    Augment(flip=True, shift=0, crop=0.3),
    Augment(flip=False, shift=0.1, scale=0.1, crop=0.5),
]
COLOURED = Augment(flip=False, shift=0, colour=0.3, grey=0.3)


def planted(n: int = 64, size: int = 16) -> Batch:
    """Images that are 1 on a block off the centre and 0 elsewhere; the mask is that block."""
    masks = torch.zeros(n, 1, size, size)
    masks[:, :, 2:7, 3:6] = 1
    return Batch(masks.expand(-1, 3, -1, -1).clone(), torch.arange(n), masks=masks)


@pytest.mark.parametrize("view", VIEWS)
def test_image_and_mask_move_together_each_sample_by_its_own_chance(view):
    batch = planted()
    seen = view(batch)
    assert set(seen.masks.unique().tolist()) == {0.0, 1.0}
    zoomed = view.scale or view.crop < 1
    assert zoomed or torch.equal((seen.images[:, :1] > 0.5).float(), seen.masks)
    assert ((seen.images[:, :1] > 0.5) != seen.masks.bool()).float().mean() < 0.02 / view.crop
    moved = (seen.masks != batch.masks).flatten(1).any(1)
    assert moved.float().mean() > 0.3
    assert len(seen.masks.flatten(1).unique(dim=0)) > 1
    assert torch.equal(seen.labels, batch.labels)


def test_a_flip_is_exact_and_happens_half_of_the_time():
    batch = Batch(torch.rand(400, 3, 8, 8), torch.zeros(400).long())
    seen = Augment(flip=True, shift=0)(batch).images
    mirrored = (seen == batch.images.flip(-1)).flatten(1).all(1)
    untouched = (seen == batch.images).flatten(1).all(1)
    assert (mirrored ^ untouched).all()
    assert 0.4 < mirrored.float().mean() < 0.6


def test_a_shift_moves_whole_pixels_up_to_its_bound_and_reflects():
    ramp = torch.arange(16.0).expand(200, 3, 16, 16) / 16
    seen = Augment(flip=False, shift=0.25)(Batch(ramp, torch.zeros(200).long())).images
    assert torch.allclose(seen * 16, (seen * 16).round(), atol=1e-4)
    steps = ((seen[:, 0, 8, 8] - ramp[:, 0, 8, 8]) * 16).round()
    assert set(steps.int().tolist()) == set(range(-4, 5))
    right = steps == 4
    assert (seen[right][:, 0, 8, -4:] * 16).round().int()[0].tolist() == [15, 14, 13, 12]


def test_a_scale_zooms_within_its_bound():
    batch = planted(300, 32)
    area = Augment(flip=False, shift=0, scale=0.2)(batch).masks.sum((1, 2, 3))
    ratio = (area / batch.masks.sum((1, 2, 3))).sqrt()
    assert 0.65 < ratio.min() < 0.95 < 1.05 < ratio.max() < 1.35


def test_a_crop_keeps_at_least_its_share_within_the_image():
    side = 64
    across = (torch.arange(side) + 0.5).expand(300, side, side) / side
    batch = Batch(torch.stack([across, across.mT, across], 1), torch.zeros(300).long())
    seen = Augment(flip=False, shift=0, crop=0.6)(batch).images
    step = 1 / side  # half a pixel at each border
    width = seen[:, 0, 0, -1] - seen[:, 0, 0, 0] + step
    height = seen[:, 1, -1, 0] - seen[:, 1, 0, 0] + step
    assert (width * height).min() > 0.55
    assert (width * height).min() < 0.7
    assert (width * height).max() > 0.9
    assert (width / height).min() < 0.85
    assert (width / height).max() > 1.2
    assert seen[:, :2].min() > 0.2 * step
    left = seen[:, 0, 0, 0] / (1 - width).clamp(min=step)
    assert left.min() < 0.2
    assert left[width < 0.9].max() > 0.8


@pytest.mark.parametrize(
    ("place", "changed"),
    [
        (0, lambda x, amount: tv.adjust_brightness(x, 1 + amount)),
        (1, lambda x, amount: tv.adjust_contrast(x, 1 + amount)),
        (2, lambda x, amount: tv.adjust_saturation(x, 1 + amount)),
        (3, tv.adjust_hue),
    ],
    ids=["brightness", "contrast", "saturation", "hue"],
)
def test_colours_change_as_by_torchvision_each_image_by_its_own_amount(place, changed):
    images = torch.rand(6, 3, 5, 5)
    images[0, :, 0, 0] = 0.5  # no hue
    amounts = torch.zeros(6, 4)
    amounts[:, place] = torch.linspace(-0.5, 0.5, 6)
    own = zip(images, amounts[:, place].tolist(), strict=True)
    expected = torch.stack([changed(image, amount) for image, amount in own])
    assert torch.allclose(jittered(images, amounts), expected, atol=1e-4)


def test_only_images_are_recoloured_within_their_range_and_some_lose_all_colour():
    images, masks = torch.rand(200, 3, 9, 9), torch.rand(200, 1, 9, 9)
    batch = Batch(
        images, torch.arange(200), masks=masks.round(), tool_masks=masks, ignored=masks > 0.9
    )
    seen = COLOURED(batch)
    for name in ("masks", "tool_masks", "ignored"):
        assert torch.equal(getattr(seen, name), getattr(batch, name))
    assert 0 <= seen.images.min() <= seen.images.max() <= 1
    assert (seen.images != images).flatten(1).any(1).all()
    uncoloured = (seen.images.amax(1) - seen.images.amin(1)).flatten(1).amax(1) < 1e-6
    assert 0.2 < uncoloured.float().mean() < 0.4
    change = (seen.images - images).mean((1, 2, 3))
    assert change.min() < -0.05 < 0.05 < change.max()


@pytest.mark.parametrize("view", VIEWS)
def test_a_guide_moves_with_its_image_and_stays_soft(view):
    images = torch.rand(48, 3, 16, 16)
    batch = Batch(
        images, torch.arange(48), tool_masks=images[:, :1], has_tool_mask=torch.arange(48) < 5
    )
    seen = view(batch)
    assert torch.equal(seen.tool_masks, seen.images[:, :1])
    assert not torch.equal(seen.tool_masks, batch.tool_masks)
    assert torch.equal(seen.has_tool_mask, batch.has_tool_mask)


@pytest.mark.parametrize("view", VIEWS)
def test_images_stay_in_range_and_other_fields_stay(view):
    batch = Batch(torch.rand(32, 3, 9, 9).round(), torch.arange(32), has_mask=torch.ones(32) > 0)
    seen = view(batch)
    assert 0 <= seen.images.min() <= seen.images.max() <= 1
    assert seen.masks is None
    assert torch.equal(seen.has_mask, batch.has_mask)


def test_chance_follows_the_generator_or_the_global_seed():
    batch, view = planted(), Augment(scale=0.1, crop=0.8, colour=0.2, grey=0.2)
    first = view(batch, torch.Generator().manual_seed(1)).images
    assert torch.equal(first, view(batch, torch.Generator().manual_seed(1)).images)
    assert not torch.equal(first, view(batch, torch.Generator().manual_seed(2)).images)
    torch.manual_seed(1)
    assert torch.equal(first, view(batch).images)


def test_nothing_asked_for_changes_nothing():
    batch = planted()
    assert torch.equal(Augment(flip=False, shift=0)(batch).images, batch.images)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"shift": -0.1}, {"shift": 2.0}, {"scale": 1.0}, {"crop": 0.0}, {"crop": 1.1}),
        *({"colour": 0.6}, {"colour": -0.1}, {"grey": 1.5}, {"grey": float("nan")}),
    ],
    ids=str,
)
def test_wrong_amounts_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(UserError, match=f"{name}.* got {wrong[name]}"):
        Augment(**wrong)
