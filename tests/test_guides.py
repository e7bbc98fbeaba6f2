"""Laws of every guide, and what each one asks for."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cases import GUIDES, batch
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.chance import image_chance
from lookright.data import Augment
from lookright.distances import minmax
from lookright.errors import UserError
from lookright.guides import (
    CentrePrior,
    Dilated,
    GreyLevel,
    Guide,
    HumanMask,
    Part,
    PrecomputedMask,
    RandomMask,
    Shifted,
    Swapped,
    Target,
)
from lookright.methods import EGAT
from models_for_tests import SIZE, Tiny

Make = Callable[[], Guide]
every_guide = pytest.mark.parametrize("make", GUIDES.values(), ids=GUIDES)
NOT_OWN = ("clean", "mixed", "mean-teacher", "swapped")
every_mask = pytest.mark.parametrize(
    "make",
    [make for name, make in GUIDES.items() if not make().of_model],
    ids=[name for name, make in GUIDES.items() if not make().of_model],
)
every_own_mask = pytest.mark.parametrize(
    "make",
    [make for name, make in GUIDES.items() if name not in NOT_OWN],
    ids=[name for name in GUIDES if name not in NOT_OWN],
)


def saliency_of(data: Batch) -> Tensor:
    """As if from Grad-CAM: a map a quarter of the image a side, with a gradient."""
    return data.images.mean(1)[:, ::4, ::4].clone().requires_grad_()


def asked(guide: Guide, data: Batch, saliency: Tensor | None = None) -> Target:
    """The target, as a method asks for it."""
    saliency = saliency_of(data) if saliency is None else saliency
    pairs = guide.mix(data)
    return guide(data, pairs.of(minmax(saliency)) if pairs else saliency)


@every_guide
def test_a_target_is_a_finite_map_for_each_image(make: Make) -> None:
    guide, data = make(), batch(8)
    pairs = guide.mix(data)
    target = asked(guide, data)
    n = len(pairs.labels) if pairs else len(data)
    assert target.maps.ndim == 3
    assert len(target.maps) == n > 0
    assert target.maps.isfinite().all()
    assert target.maps.min() >= 0
    if target.is_mask:
        assert target.maps.max() <= 1
    if target.known is not None:
        assert target.known.dtype == torch.bool
        assert target.known.shape == (n,)
    known = slice(None) if target.known is None else target.known
    assert (target.maps[known].flatten(1).amax(1) > 0).all()


@every_mask
def test_a_mask_has_the_images_size_and_no_gradient(make: Make) -> None:
    data = batch()
    target = asked(make(), data)
    assert target.is_mask
    assert target.maps.shape == (len(data), SIZE, SIZE)
    assert not target.maps.requires_grad


@every_own_mask
def test_a_mask_is_its_images_own(make: Make) -> None:
    """Wherever in a batch the image stands, and whatever was drawn before."""
    guide, data = make(), batch(8)
    order = torch.tensor([5, 0, 2])
    whole = asked(guide, data)
    torch.rand(3)
    some = asked(guide, data.select(order), saliency_of(data)[order])
    torch.testing.assert_close(some.maps, whole.maps[order])
    if whole.known is not None and some.known is not None:
        assert torch.equal(some.known, whole.known[order])


@every_guide
def test_a_seed_gives_one_target_and_the_batch_stays_as_it_is(make: Make) -> None:
    guide, data = make(), batch()
    before = data.select(slice(None)).to("cpu")
    copies = {name: value.clone() for name, value in vars(before).items() if value is not None}
    torch.manual_seed(1)
    first = asked(guide, data)
    torch.manual_seed(1)
    second = asked(guide, data)
    assert torch.equal(first.maps, second.maps)
    for name, value in copies.items():
        assert torch.equal(getattr(data, name), value), name


@every_mask
def test_masks_draw_nothing_from_the_global_seed(make: Make) -> None:
    guide, data = make(), batch()
    state = torch.get_rng_state()
    asked(guide, data)
    assert torch.equal(torch.get_rng_state(), state)


DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@every_guide
@pytest.mark.parametrize("device", DEVICES)
def test_precision_and_device_are_the_batchs(make: Make, device: str) -> None:
    guide = make()
    single = asked(guide, batch())
    torch.manual_seed(0)
    if isinstance(guide, torch.nn.Module):
        guide = guide.double().to(device)
    data = batch(dtype=torch.float64).to(device)
    double = asked(guide, data)
    assert double.maps.dtype == torch.float64
    assert double.maps.device.type == device
    if guide.mix(batch()) is None:
        torch.testing.assert_close(double.maps.cpu(), single.maps.double(), atol=1e-5, rtol=1e-4)


@every_guide
def test_any_guide_holds_egat_to_it(make: Make) -> None:
    model, data = Tiny(), batch()
    terms = EGAT(model, PGD(steps=1), guide=make())(data)
    assert terms["explanation"].isfinite()
    assert terms["explanation"] > 0
    terms["explanation"].backward()
    assert model.first.weight.grad is not None
    assert model.first.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["human", "dilated", "shifted", "part", "swapped", "precomputed"])
def test_a_guide_without_what_it_needs_says_so(name: str) -> None:
    guide, data = GUIDES[name](), batch()
    what = "tool_masks" if guide.needs_tool_masks else "masks"
    assert guide.needs_masks != guide.needs_tool_masks
    none = replace(data, **{what: None})
    with pytest.raises(UserError, match=f"guide {type(guide).__name__} .*got none.*--{what}"):
        guide(none, saliency_of(data))


@pytest.mark.parametrize("name", ["human", "dilated", "shifted", "part", "swapped", "precomputed"])
def test_missing_and_empty_masks_are_unknown(name: str) -> None:
    guide, data = GUIDES[name](), batch()
    what, has = ("tool_masks", "has_tool_mask") if guide.needs_tool_masks else ("masks", "has_mask")
    masks = getattr(data, what).clone()
    masks[3] = 0
    there = torch.tensor([True, False, True, True, True, True])
    given_ = replace(data, **{what: masks, has: there})
    assert asked(guide, given_).known.tolist() == [True, False, True, False, True, True]
    assert asked(guide, replace(given_, **{has: None})).known.tolist() == [
        True, True, True, False, True, True,
    ]  # fmt: skip


# --- What each one asks for -----------------------------------------------------------------


def test_a_precomputed_mask_is_the_guide_and_not_the_human_mask() -> None:
    data = batch()
    target = asked(PrecomputedMask(), data)
    assert torch.equal(target.maps, data.tool_masks[:, 0])
    assert torch.equal(target.known, data.has_tool_mask)


def test_grey_is_bright_and_a_flat_image_is_left_out() -> None:
    images = torch.zeros(2, 3, 2, 2)
    images[0, :, 0] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    images[1] = 0.5
    target = asked(GreyLevel(), Batch(images, torch.zeros(2).long()), torch.rand(2, 2, 2))
    expected = torch.tensor([[0.299 / 0.587, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(target.maps[0], expected)
    assert target.known.tolist() == [True, False]


def test_the_centre_is_a_gaussian_of_its_width() -> None:
    data = Batch(torch.rand(2, 3, 40, 80), torch.zeros(2).long())
    maps = asked(CentrePrior(0.1), data).maps
    assert torch.equal(maps[0], maps[1])
    torch.testing.assert_close(maps, maps.flip(-1))
    torch.testing.assert_close(maps, maps.flip(-2))
    middle = maps[0, 20, 40]
    assert middle > 0.98
    assert maps[0, 24, 40] / middle == pytest.approx(0.6065 / 1, abs=0.08)
    assert maps[0, 20, 48] / middle == pytest.approx(0.6065 / 1, abs=0.08)
    assert maps.mean() == pytest.approx(2 * torch.pi * 0.1**2, rel=0.01)


@given(st.floats(0.001, 1), st.integers(1, 6))
def test_a_random_mask_has_its_area_in_blobs(share: float, waves: int) -> None:
    data = batch()
    maps = asked(RandomMask(share, waves), data).maps
    assert set(maps.unique().tolist()) <= {0.0, 1.0}
    assert maps.sum((1, 2)).tolist() == [max(1, round(share * SIZE**2))] * len(data)


def test_random_masks_are_smooth_spread_and_differ_between_images() -> None:
    images = torch.rand(400, 3, 32, 32)
    data = Batch(images, torch.zeros(400).long())
    maps = asked(RandomMask(0.2), data).maps
    assert maps.mean(0).std() < 0.03
    assert maps.flatten(1).unique(dim=0).shape[0] == 400
    neighbours = (maps[:, 1:] == maps[:, :-1]).float().mean()
    assert neighbours > 0.9
    falling = (maps[:, 4:, 4:] == maps[:, :-4, :-4]).float().mean()
    rising = (maps[:, 4:, :-4] == maps[:, :-4, 4:]).float().mean()
    assert (falling - rising).abs() < 0.02
    fine = asked(RandomMask(0.2, 12), data).maps
    assert (fine[:, 1:] == fine[:, :-1]).float().mean() < neighbours - 0.03


def test_an_images_chance_is_uniform_and_its_own() -> None:
    images = torch.rand(3000, 3, 8, 8)
    chance = image_chance(images, 4, purpose=0)
    assert 0 <= chance.min() < chance.max() < 1
    counts = torch.histc(chance.flatten(), 20, 0, 1)
    assert ((counts - 600).abs() < 150).all()
    assert torch.corrcoef(chance.T).fill_diagonal_(0).abs().max() < 0.08
    assert (chance - image_chance(images, 4, purpose=1)).abs().mean() > 0.3
    near = images.clone()
    near[:, 0, 0, 0] = (near[:, 0, 0, 0] + 0.3) % 1
    assert (chance - image_chance(near, 4, purpose=0)).abs().mean() > 0.3


def test_chance_is_the_same_on_every_machine() -> None:
    images = (torch.arange(2 * 3 * 4 * 4) % 256 / 255).view(2, 3, 4, 4)
    expected = torch.tensor([[0.57390094, 0.52161163], [0.20854557, 0.99881423]])
    torch.testing.assert_close(image_chance(images, 2, purpose=0), expected)


# --- Degraded masks -------------------------------------------------------------------------


@st.composite
def masked(draw: st.DrawFn) -> Batch:
    """A few images of any shape with soft and hard masks, some of them empty or missing."""
    n, height, width = draw(st.integers(1, 5)), draw(st.integers(2, 9)), draw(st.integers(2, 9))
    seed = draw(st.integers(0, 2**20))
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, height, width, generator=generator)
    masks = torch.rand(n, 1, height, width, generator=generator)
    masks = torch.where(masks < draw(st.floats(0, 1)), 0, masks)
    if draw(st.booleans()):
        masks = masks.ceil()
    has_mask = torch.rand(n, generator=generator) < 0.7
    return Batch(images, torch.zeros(n).long(), masks=masks, has_mask=has_mask)


def quiet(guide: Guide, data: Batch) -> Target:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return guide(data, data.images.mean(1))


@pytest.mark.parametrize("guide", [Dilated(0), Shifted(0), Part(1), Swapped(0)])
@given(masked())
def test_degraded_by_nothing_is_the_human_mask(guide: Guide, data: Batch) -> None:
    exact, same = quiet(HumanMask(), data), quiet(guide, data)
    assert torch.equal(same.maps, exact.maps)
    assert torch.equal(same.known, exact.known)


@given(masked(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_dilation_only_grows_and_more_of_it_grows_more(data: Batch, one: float, two: float) -> None:
    small, large = sorted((one, two))
    exact = quiet(HumanMask(), data).maps
    grown, more = (quiet(Dilated(radius), data).maps for radius in (small, large))
    assert (exact <= grown).all()
    assert (grown <= more).all()
    assert torch.equal(more.flatten(1).amax(1), exact.flatten(1).amax(1))


def test_dilation_reaches_as_far_as_its_radius() -> None:
    masks = torch.zeros(1, 1, 10, 20)
    masks[0, 0, 5, 10] = 0.5
    data = Batch(torch.rand(1, 3, 10, 20), torch.zeros(1).long(), masks=masks)
    grown = asked(Dilated(0.2), data).maps[0]
    assert grown.nonzero().amin(0).tolist() == [3, 6]
    assert grown.nonzero().amax(0).tolist() == [7, 14]
    assert grown.unique().tolist() == [0, 0.5]


@given(masked(), st.floats(0, 0.5))
def test_a_shift_keeps_the_mask_and_its_area(data: Batch, share: float) -> None:
    exact, moved = quiet(HumanMask(), data).maps, quiet(Shifted(share), data).maps
    assert torch.equal(moved.flatten(1).sort().values, exact.flatten(1).sort().values)


def test_a_shift_is_as_long_as_it_says_in_all_directions() -> None:
    n = 300
    masks = torch.zeros(n, 1, 40, 40)
    masks[:, :, 20, 20] = 1
    data = Batch(torch.rand(n, 3, 40, 40), torch.zeros(n).long(), masks=masks)
    to = asked(Shifted(0.25), data).maps.nonzero()[:, 1:] - 20
    assert ((to.float().norm(dim=1) - 10).abs() < 0.8).all()
    assert (to.float().mean(0).abs() < 1.5).all()
    assert len(to.unique(dim=0)) > 30


@given(masked(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_part_lies_inside_and_a_larger_one_holds_the_smaller(
    data: Batch, one: float, two: float
) -> None:
    small, large = sorted((one, two))
    exact = quiet(HumanMask(), data).maps
    part, more = (quiet(Part(share), data).maps for share in (small, large))
    for inner, outer in ((part, more), (more, exact)):
        assert ((inner == 0) | (inner == outer)).all()
    pixels, kept = ((maps > 0).flatten(1).sum(1) for maps in (exact, part))
    assert ((kept - small * pixels).abs() <= 1).all()
    assert (kept[pixels > 0] > 0).all()


def test_a_part_is_on_one_side_of_a_cut() -> None:
    masks = torch.ones(200, 1, 30, 30)
    data = Batch(torch.rand(200, 3, 30, 30), torch.zeros(200).long(), masks=masks)
    parts = asked(Part(0.5), data).maps
    assert (parts.sum((1, 2)) == 450).all()
    opposite = parts.flip(-1).flip(-2)
    assert ((parts + opposite - 1).abs().mean((1, 2)) < 0.05).all()
    assert parts.mean(0).std() < 0.06


@given(masked())
def test_swapped_masks_are_those_of_other_known_images(data: Batch) -> None:
    exact, swapped = quiet(HumanMask(), data), quiet(Swapped(), data)
    at = exact.known.nonzero()[:, 0]
    if len(at) < 2:
        assert not swapped.known.any()
        return
    assert torch.equal(swapped.known, exact.known)
    assert torch.equal(swapped.maps[at], exact.maps[at.roll(1)])


def test_a_share_of_the_masks_is_swapped() -> None:
    n = 500
    masks = torch.rand(n, 1, 4, 4)
    data = Batch(torch.rand(n, 3, 4, 4), torch.zeros(n).long(), masks=masks)
    changed = (asked(Swapped(0.3), data).maps != masks[:, 0]).flatten(1).any(1)
    assert 0.22 < changed.float().mean() < 0.38
    more = (asked(Swapped(0.6), data).maps != masks[:, 0]).flatten(1).any(1)
    assert (changed <= more).all()


@pytest.mark.parametrize("guide", [RandomMask(), Shifted(), Part()])
def test_what_is_wrong_with_a_mask_stays_wrong_unless_the_image_is_another(guide: Guide) -> None:
    data = batch()
    assert data.masks is not None
    first = asked(guide, data).maps
    assert torch.equal(asked(guide, data).maps, first)
    kept = Augment(flip=False, shift=0)(data)
    assert torch.equal(asked(guide, kept).maps, first)
    mirrored = replace(data, images=data.images.flip(-1))
    assert not torch.equal(asked(guide, mirrored).maps, first)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: CentrePrior(0),
        lambda: CentrePrior(float("nan")),
        lambda: RandomMask(0),
        lambda: RandomMask(1.5),
        lambda: RandomMask(waves=0),
        lambda: Dilated(-0.1),
        lambda: Dilated(2),
        lambda: Shifted(0.7),
        lambda: Part(0),
        lambda: Part(float("nan")),
        lambda: Swapped(1.1),
    ],
)
def test_strengths_out_of_range_are_refused(wrong: Callable[[], Guide]) -> None:
    with pytest.raises(UserError, match=r"got [-\dn]"):
        wrong()
