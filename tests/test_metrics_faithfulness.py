"""Faithfulness on models whose probabilities are known, and the cost and care of its passes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookright.errors import UserError
from lookright.metrics import FILLS, SHARES, faithfulness, fill_named, removal_curves
from lookright.metrics.fills import black, blur, mean_colour
from lookright.metrics.ranking import pixels

SIZE = 10


class Logistic(nn.Module):
    """p_1(x) = sigmoid(sum(weights * x)): removing pixels changes it by a known amount."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(weights)
        self.largest_batch = 0
        self.seen = []

    def forward(self, images):
        self.largest_batch = max(self.largest_batch, len(images))
        self.seen.append(images)
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], 1)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def planted(count=3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(count, 3, SIZE, SIZE, generator=generator, dtype=dtype)
    saliency = torch.rand(count, SIZE, SIZE, generator=generator, dtype=dtype)
    weights = 0.1 * torch.randn(3, SIZE, SIZE, generator=generator, dtype=dtype)
    return Logistic(weights), images, saliency


def independent(weights, image, saliency, share):
    """Pixel by pixel, in plain Python: p(clean), p(without the top), p(only the top), fill 0."""
    places = [(r, c) for r in range(SIZE) for c in range(SIZE)]
    places.sort(key=lambda place: -saliency[place].item())
    top = set(places[: max(1, round(share * SIZE * SIZE))])
    contribution = (weights * image).sum(0)
    total = {True: 0.0, False: 0.0}
    for place in places:
        total[place in top] += contribution[place].item()
    sign = 1 if total[True] + total[False] > 0 else -1
    return [sigmoid(sign * z) for z in (total[True] + total[False], total[False], total[True])]


def test_scores_are_exact_on_a_logistic_model():
    model, images, saliency = planted(6)
    scores = faithfulness(model, images, saliency, fill=black)
    assert len({*model(images).argmax(1).tolist()}) == 2, "both classes must be met"
    for i in range(6):
        points = [independent(model.weights, images[i], saliency[i], share) for share in SHARES]
        comprehensiveness = sum(clean - without for clean, without, _ in points) / len(points)
        sufficiency = sum(clean - only for clean, _, only in points) / len(points)
        assert scores.comprehensiveness[i].item() == pytest.approx(comprehensiveness, abs=1e-10)
        assert scores.sufficiency[i].item() == pytest.approx(sufficiency, abs=1e-10)


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_curves_end_at_the_fill_and_at_the_image(fill):
    model, images, saliency = planted()
    curves = removal_curves(model, images, saliency, fill, shares=[0.3, 1.0])
    filled = model(fill(images)).softmax(1)[torch.arange(3), curves.target]
    assert torch.allclose(curves.removed[:, 1], filled)
    assert torch.allclose(curves.kept[:, 1], curves.clean)
    assert not torch.allclose(curves.removed[:, 0], filled)


def test_exactly_the_share_of_pixels_goes_in_all_channels_at_once():
    model, _, saliency = planted(2)
    images = torch.ones(2, 3, SIZE, SIZE, dtype=torch.float64)
    model.seen.clear()
    removal_curves(model, images, saliency, black, shares=[0.001, 0.12, 0.5], max_images=1)
    variants = torch.cat(model.seen[2:])
    assert torch.equal(variants.amin(1), variants.amax(1))
    removed = (variants[:, 0] == 0).sum((1, 2)).tolist()
    assert removed == 2 * [1, 12, 50, 99, 88, 50]


def test_the_most_salient_pixels_go_first():
    model, images, _ = planted()
    needed = (model.weights * images).sum(1).detach()
    needed = torch.where((model(images).argmax(1) == 1)[:, None, None], needed, -needed)
    right = faithfulness(model, images, needed - needed.amin(), black)
    wrong = faithfulness(model, images, needed.amax() - needed, black)
    assert (right.comprehensiveness > 0.1).all()
    assert (right.comprehensiveness > wrong.comprehensiveness + 0.1).all()
    assert (right.sufficiency < wrong.sufficiency - 0.1).all()


def test_the_class_is_the_clean_prediction_and_stays():
    weights = torch.zeros(3, SIZE, SIZE, dtype=torch.float64)
    weights[:, 0, 0], weights[:, 1, 1] = 10.0, -5.0
    images = torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)
    saliency = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    saliency[0, 0, 0] = 1
    curves = removal_curves(Logistic(weights), images, saliency, black, shares=[0.01])
    assert curves.target.tolist() == [1]
    assert curves.removed.item() == pytest.approx(sigmoid(-15))
    assert curves.kept.item() == pytest.approx(sigmoid(30))
    other = torch.tensor([0])
    curves = removal_curves(Logistic(weights), images, saliency, black, [0.01], target=other)
    assert curves.removed.item() == pytest.approx(sigmoid(15))


@pytest.mark.parametrize("max_images", [1, 4, 7, 1000])
def test_memory_is_bounded_and_changes_nothing(max_images):
    model, images, saliency = planted(5)
    reference = faithfulness(model, images, saliency)
    model.largest_batch = 0
    bounded = faithfulness(model, images, saliency, max_images=max_images)
    assert model.largest_batch <= max_images
    assert torch.allclose(torch.stack(reference), torch.stack(bounded))


def test_a_coarse_map_is_ranked_after_bilinear_enlargement():
    model, images, _ = planted()
    coarse = torch.rand(3, 3, 4, dtype=torch.float64)
    fine = nn.functional.interpolate(coarse[:, None], (SIZE, SIZE), mode="bilinear")[:, 0]
    assert torch.equal(
        torch.stack(faithfulness(model, images, coarse)),
        torch.stack(faithfulness(model, images, fine)),
    )


def test_a_map_that_says_nothing_removes_scattered_pixels_the_same_each_time():
    model, _, _ = planted()
    images = torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)
    scores = []
    zero = torch.zeros(1, SIZE, SIZE, dtype=torch.float64)
    broken = torch.rand_like(zero)
    broken[0, 2, 3] = torch.nan
    coarse = torch.full((1, 3, 4), 0.3, dtype=torch.float64)
    for saliency in (zero, zero + 5, broken, coarse, zero + 0.3 + 1e-9 * broken.nan_to_num()):
        model.seen.clear()
        scores.append(torch.stack(faithfulness(model, images, saliency, black, shares=[0.5])))
        rows = model.seen[1][0, 0].sum(1)
        assert rows.max() < SIZE
        assert rows.min() > 0
    assert scores[0].isfinite().all()
    assert all(torch.equal(scores[0], other) for other in scores[1:])


def test_the_model_runs_in_evaluation_mode_and_comes_back_as_it_was():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(2)
    )
    images, saliency = torch.rand(3, 3, SIZE, SIZE), torch.rand(3, SIZE, SIZE)
    model(images)
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = (faithfulness(model, images, saliency) for _ in range(2))
    assert torch.equal(torch.stack(first), torch.stack(second))
    assert not first.comprehensiveness.requires_grad
    assert [m.training for m in model] == [True, True, False, True, True]
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_what_cannot_be_ranked_is_refused():
    model, images, saliency = planted()
    with pytest.raises(UserError, match="one saliency map"):
        faithfulness(model, images, saliency[:2])
    with pytest.raises(UserError, match="one saliency map"):
        faithfulness(model, images, saliency[:, None])
    for shares in ([0.0], [1.5], [10], []):
        with pytest.raises(UserError, match=r"\(0, 1\]"):
            faithfulness(model, images, saliency, shares=shares)


def test_fills_stay_in_range_and_are_what_they_say():
    images = torch.rand(2, 3, 12, 16)
    for fill in FILLS.values():
        filled = fill(images)
        assert filled.shape == images.shape
        assert filled.min() >= 0
        assert filled.max() <= 1
        grey = torch.full((1, 3, 12, 16), 0.25)
        if fill is not black:
            assert torch.allclose(fill(grey), grey)
    assert torch.equal(mean_colour(images)[1, 2], images[1, 2].mean().expand(12, 16))
    assert black(images).count_nonzero() == 0
    assert blur(images).var() < 0.2 * images.var()


def test_blur_is_a_gaussian_of_a_tenth_of_the_image():
    impulse = torch.zeros(1, 1, 100, 60, dtype=torch.float64)
    impulse[0, 0, 50, 30] = 1
    column = blur(impulse)[0, 0, :, 30]
    assert (column[60] / column[50]).item() == pytest.approx(math.exp(-0.5), rel=1e-3)
    row = blur(impulse)[0, 0, 50]
    assert (row[36] / row[30]).item() == pytest.approx(math.exp(-0.5), rel=1e-3)


def test_fills_are_found_by_name_and_misspellings_mended():
    assert fill_named("mean") is mean_colour
    with pytest.raises(UserError, match="Did you mean 'blur'"):
        fill_named("blurr")


@settings(max_examples=25)
@given(st.floats(0.001, 1), st.integers(1, 10_000))
def test_shares_are_rounded_to_pixels(share, total):
    assert 1 <= pixels(share, total) <= total
    assert pixels(share, total) == 1 or abs(pixels(share, total) - share * total) <= 0.5
