"""Stability: agreement with scipy and an independent count, and maps without information."""

from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance

from lookright.distances import degenerate
from lookright.errors import UserError
from lookright.metrics import (
    mean,
    stability_cosine,
    stability_others,
    stability_spearman,
    stability_topk,
)

MEASURES = [stability_cosine, stability_spearman, stability_topk]
every_measure = pytest.mark.parametrize("measure", MEASURES)

nonnegative = hnp.arrays(np.float64, (2, 4, 5), elements=st.floats(0, 1e3, width=16))


@settings(max_examples=60)
@given(nonnegative, nonnegative)
def test_agreement_with_scipy_ties_included(first, second):
    before, after = torch.from_numpy(first), torch.from_numpy(second)
    cosine, spearman = stability_cosine(before, after), stability_spearman(before, after)
    silent = degenerate(before) | degenerate(after)
    for i in range(2):
        if silent[i]:
            assert cosine[i] == spearman[i] == 0
            continue
        a, b = first[i].ravel(), second[i].ravel()
        assert cosine[i].item() == pytest.approx(1 - distance.cosine(a, b), abs=1e-9)
        assert spearman[i].item() == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-9)


def test_spearman_agrees_with_scipy_in_single_precision_on_a_large_map():
    before, after = torch.rand(2, 64, 64), torch.rand(2, 64, 64)
    after = after + before
    expected = [
        stats.spearmanr(a.flatten(), b.flatten()).statistic
        for a, b in zip(before, after, strict=True)
    ]
    assert stability_spearman(before, after).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_topk_agrees_with_a_count_of_shared_places(share):
    before, after = torch.rand(3, 6, 7), torch.rand(3, 6, 7)
    k = max(1, round(share * 42))
    for i, value in enumerate(stability_topk(before, after, share).tolist()):
        tops = [set(np.argsort(-m[i].numpy().ravel())[:k]) for m in (before, after)]
        assert value == pytest.approx(len(tops[0] & tops[1]) / k)


def test_known_pairs():
    ramp = torch.arange(20.0).view(1, 4, 5)
    opposite = 19 - ramp
    assert stability_spearman(ramp, opposite).item() == pytest.approx(-1)
    assert stability_topk(ramp, opposite).item() == 0
    half = torch.zeros(1, 4, 5)
    half[:, :2] = 1
    assert stability_cosine(half, 1 - half).item() == pytest.approx(0, abs=1e-6)
    for measure in MEASURES:
        assert measure(ramp, ramp).item() == pytest.approx(1)
    assert stability_spearman(ramp, ramp.exp()).item() == pytest.approx(1)


@every_measure
@pytest.mark.parametrize("nothing", [0.0, 2.0, torch.nan, torch.inf])
@pytest.mark.parametrize("shape", [(1, 4, 5), (1, 100, 100), (1, 299, 299)])
def test_maps_that_say_nothing_are_not_stable(measure, nothing, shape):
    silent, ramp = torch.full(shape, nothing), torch.arange(float(prod(shape))).view(shape)
    for before, after in [(silent, ramp), (ramp, silent), (silent, silent)]:
        assert measure(before, after).item() == 0


@given(st.integers(2, 7), st.integers(0, 99), st.sampled_from([1e-300, 1.0, 1e200]))
def test_the_cosine_with_other_images_is_that_of_every_pair_of_two(n, seed, scale):
    chance = torch.Generator().manual_seed(seed)
    before, after = scale * torch.rand(2, n, 3, 4, generator=chance, dtype=torch.float64)
    before[0] = 7.0  # degenerate, as in the other measures of stability
    pairs = [
        float(stability_cosine(before[i, None] / scale, after[j, None] / scale))
        for i in range(n)
        for j in range(n)
        if i != j
    ]
    values = stability_others(before, after)
    assert values.shape == (n,)
    assert float(values.mean()) == pytest.approx(sum(pairs) / len(pairs))


def test_its_interval_covers_the_mean_of_all_images_though_every_image_is_in_many_pairs():
    """Half of the maps have the first of 16 places, 9 times as salient as the others, the other
    half any other: two of one place have the cosine 1, others 32 / 96."""
    alike = 0.5**2 + 15 * (0.5 / 15) ** 2
    truth = alike + (1 - alike) / 3
    covered = 0
    for seed in range(400):
        chance = torch.Generator().manual_seed(seed)
        weights = torch.tensor([15.0] + [1.0] * 15)
        places = torch.multinomial(weights, 60, replacement=True, generator=chance)
        maps = torch.ones(60, 16).scatter(1, places[:, None], 9.0).view(60, 4, 4)
        found = mean(stability_others(maps, maps))
        covered += found.low < truth < found.high
    assert 0.92 < covered / 400 < 0.98


@pytest.mark.parametrize("shape", [(6, 4, 4), (6, 3, 5)])
def test_maps_that_are_the_same_for_all_images_are_as_like_others_as_themselves(shape):
    same = torch.rand(shape[1:]).expand(shape)
    assert stability_others(same, same).tolist() == pytest.approx([1.0] * 6)
    apart = torch.eye(6).view(6, 2, 3)
    assert stability_others(apart, apart).tolist() == pytest.approx([0.0] * 6, abs=1e-12)
    assert stability_others(same[:1], same[:1]).isnan().all()


@pytest.mark.parametrize("measure", [*MEASURES, stability_others])
def test_maps_of_other_shapes_are_refused(measure):
    with pytest.raises(UserError, match="the same shape"):
        measure(torch.rand(1, 4, 4), torch.rand(1, 4, 5))
    with pytest.raises(UserError, match="the same shape"):
        measure(torch.rand(4, 4), torch.rand(4, 4))


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(UserError, match=r"\(0, 1\]"):
        stability_topk(torch.rand(1, 4, 4), torch.rand(1, 4, 4), share=10)
