"""Stability: agreement with scipy and an independent count, and maps without information."""

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
from lookright.metrics import stability_cosine, stability_spearman, stability_topk

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
def test_maps_that_say_nothing_are_not_stable(measure, nothing):
    silent, ramp = torch.full((1, 4, 5), nothing), torch.arange(20.0).view(1, 4, 5)
    for before, after in [(silent, ramp), (ramp, silent), (silent, silent)]:
        assert measure(before, after).item() == 0


@every_measure
def test_maps_of_other_shapes_are_refused(measure):
    with pytest.raises(UserError, match="the same shape"):
        measure(torch.rand(1, 4, 4), torch.rand(1, 4, 5))
    with pytest.raises(UserError, match="the same shape"):
        measure(torch.rand(4, 4), torch.rand(4, 4))


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(UserError, match=r"\(0, 1\]"):
        stability_topk(torch.rand(1, 4, 4), torch.rand(1, 4, 4), share=10)
