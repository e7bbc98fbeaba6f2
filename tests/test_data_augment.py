"""Augmentation moves an image and its mask together and keeps images in [0, 1]."""

import pytest
import torch

from lookright.batch import Batch
from lookright.data import Augment
from lookright.errors import UserError

VIEWS = [
    Augment(flip=True, shift=0),
    Augment(flip=False, shift=0.25),
    Augment(flip=True, shift=0.2, scale=0.3),
]


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
    assert torch.equal((seen.images[:, :1] > 0.5).float(), seen.masks) or view.scale
    assert ((seen.images[:, :1] > 0.5) != seen.masks.bool()).float().mean() < 0.02
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
    batch, view = planted(), Augment(scale=0.1)
    first = view(batch, torch.Generator().manual_seed(1)).images
    assert torch.equal(first, view(batch, torch.Generator().manual_seed(1)).images)
    assert not torch.equal(first, view(batch, torch.Generator().manual_seed(2)).images)
    torch.manual_seed(1)
    assert torch.equal(first, view(batch).images)


def test_nothing_asked_for_changes_nothing():
    batch = planted()
    assert torch.equal(Augment(flip=False, shift=0)(batch).images, batch.images)


@pytest.mark.parametrize("wrong", [{"shift": -0.1}, {"shift": 2.0}, {"scale": 1.0}])
def test_wrong_amounts_are_refused(wrong):
    with pytest.raises(UserError, match="Expected a s"):
        Augment(**wrong)
