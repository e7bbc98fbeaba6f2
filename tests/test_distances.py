"""Distances: golden values, gradients to second order, and the laws every member keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance as scipy_distance

from lookright.distances import (
    BCE,
    KL,
    L1,
    MSE,
    Contrast,
    Correlation,
    Cosine,
    RawL1,
    SoftIoU,
    degenerate,
    minmax,
    resize,
    unit_mass,
)
from lookright.errors import UserError

DISTANCES = [L1(), MSE(), BCE(), SoftIoU(), KL(), Cosine(), Correlation(), Contrast(), RawL1()]
MASK_DISTANCES = [L1(mask_target=True), MSE(mask_target=True), BCE(mask_target=True),
                  SoftIoU(mask_target=True)]  # fmt: skip
ZERO_AT_EQUAL = [L1(), MSE(), SoftIoU(), KL(), Cosine(), Correlation(), RawL1()]
SYMMETRIC = [L1(), MSE(), SoftIoU(), Cosine(), Correlation(), RawL1()]
SIGNED = [distance for distance in DISTANCES if distance.signed]
every_distance = pytest.mark.parametrize("distance", DISTANCES + MASK_DISTANCES, ids=repr)

A = torch.tensor([[[0.0, 2.0], [4.0, 8.0]]])
B = torch.tensor([[[3.0, 1.0], [1.0, 1.0]]])
MIN_MAX_A = np.array([0.0, 0.25, 0.5, 1.0])
MIN_MAX_B = np.array([1.0, 0.0, 0.0, 0.0])


def maps(count=3, h=4, w=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, h, w, generator=generator, dtype=dtype)


def independent_bce():
    chance = 1e-3 + (1 - 2e-3) * MIN_MAX_A
    return -np.mean(MIN_MAX_B * np.log(chance) + (1 - MIN_MAX_B) * np.log(1 - chance))


def independent_kl():
    target = 0.99 * np.array([3, 1, 1, 1]) / 6 + 0.01 / 4
    saliency = 0.99 * np.array([0, 2, 4, 8]) / 14 + 0.01 / 4
    return stats.entropy(target, saliency)


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (L1(), np.abs(MIN_MAX_A - MIN_MAX_B).mean()),
        (MSE(), ((MIN_MAX_A - MIN_MAX_B) ** 2).mean()),
        (SoftIoU(), 1 - 0 / (1 + 0.25 + 0.5 + 1)),
        (BCE(), independent_bce()),
        (KL(), independent_kl()),
        (Cosine(), scipy_distance.cosine([0, 2, 4, 8], [3, 1, 1, 1])),
        (Correlation(), 1 - stats.pearsonr([0, 2, 4, 8], [3, 1, 1, 1]).statistic),
        (Contrast(), scipy_distance.cosine([0, 2, 4, 8], [1.5, -0.5, -0.5, -0.5])),
        (RawL1(), (3 + 1 + 3 + 7) / 4),
    ],
    ids=repr,
)
def test_planted_maps_have_their_known_distance(distance, expected):
    assert distance(A, B).item() == pytest.approx(expected, rel=1e-5)


def test_soft_iou_is_intersection_over_union_on_binary_masks():
    one = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    other = torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
    assert SoftIoU()(one, other).item() == pytest.approx(1 - 1 / 3)


def test_a_mask_target_is_taken_as_it_is():
    saliency, soft = A, torch.tensor([[[0.2, 0.4], [0.6, 0.4]]])
    assert L1(mask_target=True)(saliency, soft).item() == pytest.approx(
        np.abs(MIN_MAX_A - np.array([0.2, 0.4, 0.6, 0.4])).mean()
    )
    whole = torch.ones_like(A)
    assert L1(mask_target=True)(saliency, whole).item() == pytest.approx(1 - MIN_MAX_A.mean())


def test_normalisations():
    assert torch.equal(minmax(A)[0].flatten(), torch.tensor(MIN_MAX_A).float())
    assert torch.allclose(unit_mass(A), A / 14)
    constant = torch.full((1, 2, 2), 3.0)
    assert torch.equal(minmax(constant), torch.zeros(1, 2, 2))
    assert torch.equal(unit_mass(torch.zeros(1, 2, 2)), torch.full((1, 2, 2), 0.25))


def test_tiny_maps_are_normalised_like_large_ones():
    assert torch.allclose(minmax(A * 1e-20), minmax(A))
    assert torch.allclose(minmax(A * 1e20), minmax(A))


def test_degenerate_maps_are_the_ones_without_information():
    flags = degenerate(
        torch.stack(
            [
                torch.zeros(2, 2),
                torch.full((2, 2), 7.0),
                torch.tensor([[1.0, 1.0], [1.0, torch.nan]]),
                torch.tensor([[1.0, 1.0], [1.0, torch.inf]]),
                torch.full((2, 2), 1.0) + torch.tensor([[0, 1e-7], [0, 0]]),
                torch.tensor([[0.0, 0.0], [0.0, 1e-30]]),
                A[0],
            ]
        )
    )
    assert flags.tolist() == [True, True, True, True, True, False, False]


@every_distance
def test_gradients_agree_with_differences_to_second_order(distance):
    saliency, target = maps(2, 2, 2).requires_grad_(), maps(2, 3, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(distance, (saliency, target))
    assert torch.autograd.gradgradcheck(distance, (saliency, target), fast_mode=True)


@every_distance
def test_gradients_through_a_coarser_target(distance):
    saliency, target = maps(2, 4, 5).requires_grad_(), maps(2, 2, 3, seed=1)
    assert torch.autograd.gradcheck(lambda s: distance(s, target), (saliency,))
    assert torch.autograd.gradgradcheck(lambda s: distance(s, target), (saliency,), fast_mode=True)


@every_distance
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-10])
@pytest.mark.parametrize("which", ["saliency", "target", "both"])
def test_maps_that_say_nothing_stay_finite_to_second_order(distance, scale, which):
    nothing = torch.full((2, 3, 3), scale)
    saliency = (maps(2, 3, 3, torch.float32) if which == "target" else nothing).requires_grad_()
    target = maps(2, 3, 3, torch.float32, seed=1) if which == "saliency" else nothing
    value = distance(saliency, target)
    (first,) = torch.autograd.grad(value.sum(), saliency, create_graph=True)
    assert value.isfinite().all()
    assert first.isfinite().all()
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.square().sum(), saliency, allow_unused=True)
        assert second is None or second.isfinite().all()


@every_distance
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_broken_map_is_not_hidden(distance, broken):
    saliency = maps()
    saliency[0, 0, 0] = broken
    value = distance(saliency, maps(seed=1))
    assert not value[0].isfinite()
    assert value[1:].isfinite().all()


@pytest.mark.parametrize(
    "distance", [each for each in DISTANCES + MASK_DISTANCES if each != RawL1()], ids=repr
)
def test_scale_of_the_saliency_does_not_matter(distance):
    saliency, target = maps(), maps(seed=1)
    scales = torch.tensor([1e-9, 3.0, 1e9], dtype=torch.float64)[:, None, None]
    assert torch.allclose(distance(saliency * scales, target), distance(saliency, target))


@pytest.mark.parametrize("distance", SIGNED, ids=repr)
def test_signed_maps_are_compared_to_second_order(distance):
    saliency, target = maps(2, 3, 3) - 0.5, maps(2, 3, 3, seed=1) - 0.5
    assert (saliency.min() < 0) & (saliency.max() > 0)
    assert (distance(saliency, target) > 0).all()
    inputs = saliency.requires_grad_(), target.requires_grad_()
    assert torch.autograd.gradcheck(distance, inputs)
    assert torch.autograd.gradgradcheck(distance, inputs, fast_mode=True)


def test_correlation_is_pearsons_of_signed_maps():
    a, b = maps(5) - 0.7, maps(5, seed=1) - 0.2
    expected = [
        1 - stats.pearsonr(one.flatten(), other.flatten()).statistic
        for one, other in zip(a, b, strict=True)
    ]
    torch.testing.assert_close(Correlation()(a, b), torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(Correlation()(3 * a - 7, b), Correlation()(a, b))
    torch.testing.assert_close(Correlation()(-a, b), 2 - Correlation()(a, b))


def test_contrast_is_least_for_evidence_on_the_mask_and_against_it_elsewhere():
    mask = torch.zeros(1, 4, 4, dtype=torch.float64)
    mask[:, :2, :2] = 1
    assert Contrast()(5 * (mask - 0.25), mask).item() == pytest.approx(0, abs=1e-12)
    assert Contrast()(mask, mask).item() == pytest.approx(1 - 0.75**0.5)
    assert Contrast()(mask + 1, mask) > Contrast()(mask, mask)
    flat = torch.full_like(mask, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(Contrast()(flat, mask).sum(), flat)
    assert (gradient[mask > 0] < 0).all()
    assert (gradient[mask == 0] > 0).all()


@every_distance
def test_each_sample_is_its_own(distance):
    saliency, target = maps(), maps(3, 6, 7, seed=1)
    single = [distance(saliency[i : i + 1], target[i : i + 1]) for i in range(3)]
    value = distance(saliency, target)
    assert torch.allclose(torch.cat(single), value)
    order = torch.tensor([2, 0, 1])
    assert torch.allclose(distance(saliency[order], target[order]), value[order])
    assert value.unique().numel() == 3


@every_distance
def test_everything_stays_on_the_device_without_waiting_for_it(distance):
    assert distance(maps().to("meta"), maps(3, 6, 7).to("meta")).device.type == "meta"


@every_distance
def test_half_precision_is_computed_in_float32(distance):
    saliency, target = maps(dtype=torch.float32), maps(seed=1, dtype=torch.float32)
    half = distance(saliency.bfloat16(), target.bfloat16())
    assert half.dtype == torch.float32
    reference = distance(saliency.bfloat16().double(), target.bfloat16().double())
    assert torch.allclose(half.double(), reference, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(distance(saliency, target), distance(saliency, target), atol=0)
        assert distance(saliency, target).dtype == torch.float32


@every_distance
def test_descending_the_distance_brings_the_saliency_to_its_target(distance):
    target = minmax(maps(2, 4, 4, seed=1))
    saliency = maps(2, 4, 4).requires_grad_()
    before = distance(saliency, target).sum()
    optimiser = torch.optim.Adam([saliency], lr=0.04)
    for _ in range(30):
        optimiser.zero_grad()
        distance(saliency, target).sum().backward()
        optimiser.step()
        saliency.data.clamp_(min=0)
    least = distance(target, target).sum()
    assert distance(saliency, target).sum() - least < 0.35 * (before - least)


@pytest.mark.parametrize("shape", [(2, 3, 3), (3, 1, 3, 3), (3, 3)])
@every_distance
def test_shapes_that_do_not_fit_are_named(distance, shape):
    with pytest.raises(UserError, match="batches of maps"):
        distance(maps(), torch.zeros(shape))


def test_resize_keeps_the_mean_of_a_shrunk_map_and_the_values_of_its_own_size():
    saliency = maps(2, 8, 8)
    assert resize(saliency, (8, 8)) is saliency
    assert torch.allclose(resize(saliency, (1, 1))[:, 0, 0], saliency.mean((1, 2)), atol=0.05)
    impulse = torch.zeros(1, 8, 8)
    impulse[0, 3, 3] = 1
    assert resize(impulse, (2, 2)).sum() > 0


nonnegative = hnp.arrays(np.float64, (2, 3, 4), elements=st.floats(0, 1e6, width=32))


@settings(max_examples=40)
@given(nonnegative, nonnegative)
def test_laws_on_any_maps(first, second):
    a, b = torch.from_numpy(first), torch.from_numpy(second)
    for distance in DISTANCES:
        value = distance(a, b)
        assert value.isfinite().all(), distance
        assert (value >= 0).all(), distance
    for distance in (L1(), MSE(), SoftIoU(), Cosine()):
        assert (distance(a, b) <= 1 + 1e-9).all(), distance
    for distance in SYMMETRIC:
        assert torch.allclose(distance(a, b), distance(b, a)), distance
    said = ~degenerate(a)
    assert (Correlation()(a, b)[~said] == 1).all()
    for distance in ZERO_AT_EQUAL:
        assert (distance(a, a)[said] < 1e-9).all(), distance
    normal = minmax(a)
    assert ((normal >= 0) & (normal <= 1)).all()
    assert torch.equal(normal.amax((1, 2)) == 1, said)
    assert torch.allclose(unit_mass(a).sum((1, 2)), torch.ones(2, dtype=torch.float64))
