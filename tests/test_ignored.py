"""Pixels that a mask ignores are as if they were not there: in measures, guidance and batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cases import DISTANCES, GUIDES, METHODS, batch
from lookright.batch import Batch, collate
from lookright.data import Augment, InMemory, MaskValues, Selected, as_data, load_data
from lookright.data.images import squared
from lookright.data.loaders import stored_loader
from lookright.data.masks import MaskSet
from lookright.distances import leaving_out
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.stages.explanations import Explanations
from lookright.evaluation.stages.learned_masks import LearnedMasks
from lookright.explainers import InputGradient
from lookright.guides import ConvMasker
from lookright.methods import RRR, MaskAlignment
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
from lookright.metrics.measure import Measure
from lookright.metrics.metric import metric
from lookright.metrics.questions import LOOKS_AT_OBJECT
from lookright.models import Classifier
from lookright.models.preprocessing import Preprocessing
from lookright.perturbations import Drawn, SwappedBackground
from models_for_tests import SIZE, Tiny

LEFT = SIZE // 3
"""Columns that are ignored."""

METRICS = {
    "localisation_mass": localisation_mass,
    "localisation_iou": localisation_iou,
    "localisation_soft_iou": localisation_soft_iou,
    "pointing_game": pointing_game,
    "mask_area": lambda saliency, *masks: mask_area(*masks),
    "mask_mass": lambda saliency, *masks: mask_mass(saliency[:, None] / 2, *masks),
    "mask_iou": lambda saliency, *masks: mask_iou(saliency[:, None] / 2, *masks),
    "mask_soft_iou": lambda saliency, *masks: mask_soft_iou(saliency[:, None] / 2, *masks),
}
every_metric = pytest.mark.parametrize("measure", METRICS.values(), ids=METRICS)
every_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
MASKED = ("human", "precomputed", "dilated", "shifted", "part", "swapped")


def columns(count: int = 6) -> Tensor:
    """The first columns of every image but the last are ignored."""
    ignored = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.bool)
    ignored[:-1, :, :, :LEFT] = True
    return ignored


def maps(count: int = 6) -> tuple[Tensor, Tensor]:
    torch.manual_seed(3)
    saliency = torch.rand(count, SIZE, SIZE)
    saliency[:, :, LEFT - 2 : LEFT] += 1
    return saliency, (torch.rand(count, 1, SIZE, SIZE) > 0.6).float()


def spoilt(values: Tensor, ignored: Tensor) -> Tensor:
    """Other values on the ignored pixels."""
    ignored = ignored if values.ndim == 4 else ignored[:, 0]
    return torch.where(ignored, (values.roll(1, -1) + 0.3) % 1, values)


@every_metric
def test_a_measure_is_that_of_the_other_pixels(measure):
    (saliency, masks), ignored = maps(), columns()
    score = measure(saliency, masks, ignored)
    kept = measure(saliency[..., LEFT:], masks[..., LEFT:])
    if measure is not pointing_game:
        torch.testing.assert_close(score[:-1], kept[:-1])
    assert torch.equal(score[-1], measure(saliency, masks)[-1])
    other = measure(spoilt(saliency, ignored), spoilt(masks, ignored), ignored)
    assert torch.equal(score, other)
    assert not torch.equal(score, measure(saliency, masks)), "or nothing was left out"


@every_metric
def test_nothing_changes_where_nothing_is_ignored(measure):
    saliency, masks = maps()
    none = torch.zeros_like(masks, dtype=torch.bool)
    assert torch.equal(measure(saliency, masks, none), measure(saliency, masks))


@every_metric
def test_silent_maps_and_images_without_any_pixel_have_a_score(measure):
    (saliency, masks), ignored = maps(), columns()
    saliency[0, :, LEFT:] = 0.5
    ignored[1] = True
    score = measure(saliency, masks, ignored).double()
    assert score.isfinite().all()
    assert torch.equal(measure(spoilt(saliency, ignored), masks, ignored).double(), score)


@every_distance
def test_a_distance_is_that_of_the_other_pixels_and_has_no_gradient_there(distance):
    (saliency, masks), ignored = maps(), columns()[:, 0]
    ignored[1] = True
    saliency.requires_grad_()
    target = masks[:, 0]
    values = distance(saliency, target, ignored)
    kept = distance(saliency[..., LEFT:], target[..., LEFT:])
    torch.testing.assert_close(values[2:-1], kept[2:-1])
    assert torch.equal(values[-1], distance(saliency, target)[-1])
    assert torch.equal(
        distance(saliency, spoilt(target[:, None], ignored[:, None])[:, 0], ignored), values
    )
    (gradient,) = torch.autograd.grad(values.sum(), saliency)
    assert gradient.isfinite().all()
    assert (gradient[ignored] == 0).all()
    assert (gradient[-1] != 0).any()
    assert torch.equal(
        distance(saliency, target, torch.zeros_like(ignored)), distance(saliency, target)
    )


def test_the_order_of_samples_is_kept():
    values, ignored = torch.arange(5.0)[:, None, None].expand(5, 2, 2), torch.zeros(5, 2, 2) > 0
    ignored[[1, 3], 0, 0] = True
    assert leaving_out(ignored, lambda x: x.mean((-2, -1)), values).tolist() == [0, 1, 2, 3, 4]


def bordered() -> Batch:
    data = batch()
    everywhere = columns()
    everywhere[0] = True
    everywhere[4] = everywhere[4].flip(-1)
    return replace(data, ignored=everywhere, tool_ignored=everywhere)


def altered(data: Batch) -> Batch:
    """Other masks on the ignored pixels."""
    assert data.masks is not None
    assert data.tool_masks is not None
    assert data.ignored is not None
    return replace(
        data,
        masks=spoilt(data.masks, data.ignored),
        tool_masks=spoilt(data.tool_masks, data.ignored),
    )


@pytest.mark.parametrize("name", MASKED)
@every_distance
def test_guides_leave_ignored_pixels_out(name, distance):
    guide, saliency = GUIDES[name](), maps()[0].requires_grad_()
    target = guide(bordered(), saliency)
    assert target.known is not None
    assert not target.known[0] or name == "swapped"
    value = target.distance(saliency, distance)
    assert torch.equal(guide(altered(bordered()), saliency).distance(saliency, distance), value)
    (gradient,) = torch.autograd.grad(value, saliency)
    assert target.ignored is not None
    assert gradient.isfinite().all()
    assert (gradient[target.ignored] == 0).all()
    assert (gradient != 0).any()
    free = guide(replace(bordered(), ignored=None, tool_ignored=None), saliency)
    assert not torch.equal(free.distance(saliency, distance), value)


def test_a_swapped_mask_brings_its_ignored_pixels():
    data = bordered()
    target = GUIDES["swapped"]()(data, maps()[0])
    assert data.ignored is not None
    assert target.ignored is not None
    assert target.known is not None
    assert target.known.tolist() == [False, False, True, False, True, False]
    assert torch.equal(target.ignored[[2, 4]], data.ignored[[4, 2], 0])


@pytest.mark.parametrize("make", [
    METHODS["egat-human"], METHODS["rrr"], METHODS["mask-alignment-l1"],
    lambda model: MaskAlignment(model, GUIDES["precomputed"]()),
], ids=["egat", "rrr", "alignment", "precomputed"])  # fmt: skip
def test_methods_do_not_see_masks_on_ignored_pixels(make):
    def losses(data: Batch) -> dict[str, float]:
        torch.manual_seed(0)
        method = make(Tiny())
        method.progress = 1.0
        torch.manual_seed(1)
        return {name: float(loss.detach()) for name, loss in method(data).items()}

    assert losses(altered(bordered())) == losses(bordered())
    assert losses(bordered()) != losses(replace(bordered(), ignored=None, tool_ignored=None))


def test_rrr_leaves_the_gradient_free_on_ignored_pixels():
    data = batch()
    off = data.masks == 0
    method = RRR(Tiny())
    assert method(data)["reasons"].item() > 0
    assert method(replace(data, ignored=off))["reasons"].item() == 0


def test_batches_carry_ignored_pixels():
    some, none = bordered(), batch(3)
    joined = collate([none, some, none])
    assert torch.equal(joined.ignored, torch.cat([none.masks > 9, some.ignored, none.masks > 9]))
    assert joined.tool_ignored.dtype == torch.bool
    assert collate([none, none]).ignored is None
    assert torch.equal(some.select(slice(2, 4)).to("cpu").ignored, some.ignored[2:4])
    without = replace(none, masks=None, has_mask=None)
    assert collate([some, without]).ignored is None


@pytest.mark.parametrize("view", [Augment(shift=0.2), Augment(shift=0.2, scale=0.3)])
def test_ignored_pixels_move_with_their_masks(view):
    masks = batch(32).masks
    moved = view(Batch(batch(32).images, torch.arange(32), masks=masks, ignored=masks > 0))
    assert moved.ignored.dtype == torch.bool
    assert torch.equal(moved.ignored, moved.masks > 0)
    assert not torch.equal(moved.ignored, masks > 0)
    tools = view(
        Batch(batch(32).images, torch.arange(32), tool_masks=masks, tool_ignored=masks > 0)
    )
    assert torch.equal(tools.tool_ignored, tools.tool_masks > 0)


LABELS = torch.arange(6) % 3


def numbers() -> Tensor:
    """Masks of the number 2 with a border of 255 in all but the last."""
    data = batch()
    return torch.where(columns() & (data.masks == 0), 255, 2 * data.masks).byte()


def test_data_in_memory_carry_ignored_pixels():
    images, masks = (batch().images * 255).byte(), numbers()
    data = InMemory(images, LABELS, masks)
    assert torch.equal(data.samples("data", range(6)).ignored, masks == 255)
    assert data.masked("data") == [True] * 6
    for again in (as_data(data.samples("data", range(6))), as_data(data.loader("data", "all", 4)),
                  Selected(data, ("2", "1", "0"))):  # fmt: skip
        found = again.samples("data", range(6))
        assert found.ignored.sum() == (masks == 255).sum()
        assert torch.equal(found.masks.sum(), data.samples("data", range(6)).masks.sum())
        assert not (found.ignored & (found.masks > 0)).any()
    assert data.fingerprint("data") != InMemory(images, LABELS, masks % 255).fingerprint("data")
    told = InMemory(images, LABELS, (masks == 2) * 128 + (masks == 255) * 255, ignored=masks == 255)
    assert torch.equal(told.samples("data", range(6)).masks, data.samples("data", range(6)).masks)
    outside = torch.where(masks == 2, 255, masks)
    gone = InMemory(images, LABELS, outside, mask_values=MaskValues(ignore=(255,)))
    assert gone.masked("data") == [False] * 6


@pytest.mark.parametrize("cache", [True, False])
def test_folders_keep_ignored_pixels_in_every_epoch_and_worker(tmp_path: Path, cache: bool):
    for index, mask in enumerate(numbers()):
        place = Path("ab"[index % 2]) / f"{index}.png"
        for folder, pixels in (("images", batch().images[index]), ("masks", mask.float() / 255)):
            (tmp_path / folder / place).parent.mkdir(parents=True, exist_ok=True)
            levels = (pixels * 255).round().byte().permute(1, 2, 0).squeeze(2).numpy()
            Image.fromarray(levels).save(tmp_path / folder / place)
    found = {"masks": tmp_path / "masks", "tool_masks": tmp_path / "masks"}
    data = load_data(tmp_path / "images", SIZE, cache=cache, **found)
    expected = (numbers() == 255)[[0, 2, 4, 1, 3, 5]]
    for _ in range(2):
        seen = data.samples("images", range(6))
        assert torch.equal(seen.ignored, expected)
        assert torch.equal(seen.tool_ignored, expected)
    assert data.samples("images", [5]).ignored is None, "none in this image"
    loader = stored_loader(data.split("images", "all"), 4, torch.device("cpu"), workers=1)
    assert torch.equal(torch.cat([collate([each]).ignored for each in loader]), expected)
    told = load_data(tmp_path / "images", SIZE, mask_values=MaskValues((2,), (255,)), **found)
    assert torch.equal(told.samples("images", range(6)).ignored, expected)
    assert told.fingerprint("images") != data.fingerprint("images")


def test_tool_masks_are_averaged_over_the_pixels_that_count(tmp_path: Path):
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 4:8], mask[:, 8:11] = 1, 255
    for folder in ("a", "b"):
        for kind, pixels in (("images", np.zeros((16, 16, 3), np.uint8)), ("tools", mask)):
            (tmp_path / kind / folder).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / kind / folder / "0.png")
    data = load_data(tmp_path / "images", 4, tool_masks=tmp_path / "tools")
    seen = data.samples("images", [0])
    assert seen.tool_ignored[0, 0, 0].tolist() == [False, False, True, False]
    assert seen.tool_masks[0, 0, 0, 1] > 0.8, "the ignored pixels beside it count as little"
    assert seen.tool_masks[0, 0, 0, 2] == 0


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_ignored_pixels_change_no_level_far_from_them(tmp_path: Path, interpolation):
    mask = np.zeros((64, 64), np.uint8)
    mask[24:44, 20:40], mask[:8] = 255, 3
    Image.fromarray(mask).save(path := tmp_path / "mask.png")
    how = Preprocessing(0.875, interpolation=interpolation)
    tools = MaskSet(MaskValues(ignore=(3,)), "tool masks", "--tool_mask_values", smooth=True)
    levels, ignored = tools.read(path, path, "mask", 32, how)[:, 8:].int()
    assert not ignored.any()
    whole = squared(Image.fromarray(np.where(mask == 3, np.uint8(0), mask)), 32, how)
    assert (levels - whole[0, 8:].int()).abs().max() < 16, "bytes are also cut between the axes"


@metric(Measure("share_ignored", "Ignored", None, "score", "Share.", question=LOOKS_AT_OBJECT))
def share_ignored(masks: Tensor, ignored: Tensor | None) -> Tensor:
    return torch.zeros(len(masks)) if ignored is None else ignored.float().mean((1, 2, 3))


def test_an_evaluation_leaves_ignored_pixels_out():
    """Every figure of the object is that of masks which say anything else on these pixels."""
    images = (batch(12).images * 255).byte()
    ignored = columns(12)
    ignored[0] = True

    def figures(masks: Tensor, ignored: Tensor | None, said: bool = False) -> dict[str, float]:
        data = InMemory(images, torch.arange(12) % 3, masks, ignored=ignored)
        if said:
            data._has_mask = torch.ones(12, dtype=torch.bool)
        protocol = Protocol(
            explainer=InputGradient(), stages=(Explanations(), LearnedMasks()), only=True,
            metrics=(share_ignored,), batch_size=5,
        )  # fmt: skip
        found = evaluate(model, data, masker=masker, protocol=protocol, progress=False)
        return {name: each.value for name, each in found.domains["data"].measures.items()}

    torch.manual_seed(0)
    model, masker = Classifier(Tiny(), ("0", "1", "2"), SIZE), ConvMasker(grid=4, width=16)
    masks = batch(12).masks
    left_out = figures(masks, ignored)
    assert left_out == figures(spoilt(masks, ignored), ignored)
    assert left_out == figures(masks, ignored, said=True), "a mask without any pixel is none"
    assert left_out["share_ignored"] == pytest.approx(10 / 11 * LEFT / SIZE)
    every = figures(masks.masked_fill(ignored, 0), None)
    assert every["share_ignored"] == 0
    for name in (
        "localisation_mass",
        "localisation_iou",
        "mask_area",
        "mask_mass",
        "mask_iou",
        "mask_soft_iou",
    ):
        assert left_out[name] != every[name], name
    assert left_out["mask_coverage"] == every["mask_coverage"], "of the whole image"


def test_another_background_keeps_ignored_pixels():
    data = InMemory((batch(12).images * 255).byte(), torch.arange(12) % 3, batch(12).masks,
                    ignored=columns(12))  # fmt: skip
    sample = Drawn(data, "data", [0, 1], [4, 5, 6], data.samples("data", [0, 1]))
    changed = SwappedBackground()(Tiny(), sample, sample.batch.labels)
    kept = changed == sample.batch.images
    assert kept[..., :LEFT].all()
    assert not kept[..., -1].any()
