"""A batch: what it means, and its way to a device."""

import re
from dataclasses import fields

import pytest
import torch

from lookright.batch import Batch, collate
from lookright.data import InMemory
from lookright.errors import UserError
from lookright.guides import HumanMask, PrecomputedMask
from lookright.metrics import mask_iou

IMAGES, LABELS = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 0, 1])
MASKS = torch.zeros(4, 1, 8, 8)
MASKS[:, :, :3] = 1


@pytest.mark.parametrize(
    ("maps", "has", "guide"),
    [("masks", "has_mask", HumanMask()), ("tool_masks", "has_tool_mask", PrecomputedMask())],
)
def test_masks_alone_are_all_known(maps, has, guide):
    batch = Batch(IMAGES, LABELS, **{maps: MASKS})
    assert getattr(batch, has).tolist() == [True] * 4
    assert guide(batch, MASKS[:, 0]).known.tolist() == [True] * 4
    assert Batch(IMAGES, LABELS).has_mask is None
    some = Batch(IMAGES, LABELS, **{maps: MASKS, has: LABELS > 0})
    joined = collate([batch, some])
    assert getattr(joined, has).tolist() == [True] * 4 + [False, True] * 2
    assert len(mask_iou(MASKS[getattr(batch, has)], MASKS)) == 4


def test_stored_pixels_cross_small_and_arrive_as_floats():
    levels = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    masks = (levels[:, :1] > 9).to(torch.uint8) * 255
    stored = Batch(levels, torch.zeros(1, dtype=torch.uint8), None, masks, None, masks)
    there = stored.to("cpu")
    assert torch.equal(there.images, levels.float() / 255)
    assert torch.equal(there.masks, (levels[:, :1] > 9).float())
    assert torch.equal(there.tool_masks, there.masks)
    assert there.labels.dtype == torch.uint8, "no pixel"
    assert stored.images.dtype == torch.uint8
    crossed = stored.to("meta")
    assert {crossed.images.device.type, crossed.has_mask.device.type} == {"meta"}
    assert crossed.images.dtype == torch.float32


def test_floats_arrive_as_they_are():
    batch = Batch(IMAGES, LABELS, masks=MASKS)
    there = batch.to("cpu")
    for field in fields(Batch):
        before, after = getattr(batch, field.name), getattr(there, field.name)
        assert before is after is None or torch.equal(before, after)


def test_a_loader_of_ones_own_gives_floats():
    data = InMemory((IMAGES * 255).round().byte(), LABELS, MASKS)
    for batch in data.loader("data", "all", batch_size=3):
        assert batch.images.dtype == batch.masks.dtype == torch.float32
        assert batch.images.max() <= 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "images",
            IMAGES[0],
            "floating numbers (B, C, H, W) in [0, 1], got torch.float32 of shape",
        ),
        ("labels", LABELS[:, None], "int64 of shape (4,), got torch.int64 of shape (4, 1)"),
        ("labels", LABELS[:3], "int64 of shape (4,), got torch.int64 of shape (3,)"),
        ("labels", LABELS.float(), "int64 of shape (4,), got torch.float32"),
        ("domains", LABELS.byte(), "int64 of shape (4,), got torch.uint8"),
        ("has_mask", torch.ones(4), "bool of shape (4,), got torch.float32"),
        ("has_tool_mask", torch.ones(2) > 0, "bool of shape (4,), got torch.bool of shape (2,)"),
        ("masks", MASKS.expand(4, 3, 8, 8), "floating numbers of shape (4, 1, 8, 8), got"),
        ("tool_masks", MASKS[:, 0], "floating numbers of shape (4, 1, 8, 8), got"),
        ("ignored", MASKS[..., :4] > 0, "bool of shape (4, 1, 8, 8), got"),
        ("tool_masks", MASKS.long(), "floating numbers of shape (4, 1, 8, 8), got torch.int64"),
        ("ignored", MASKS, "bool of shape (4, 1, 8, 8), got torch.float32"),
    ],
)
def test_a_field_of_another_shape_or_type_is_named(field, value, said):
    given = {"images": IMAGES, "labels": LABELS, "masks": MASKS, "tool_masks": MASKS}
    Batch(**given).check()
    with pytest.raises(UserError, match=re.escape(f"Expected the {field} of a batch as {said}")):
        Batch(**(given | {field: value})).check()
