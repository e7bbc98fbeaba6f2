"""Estimates: the published intervals, their coverage, and what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookright.errors import UserError
from lookright.metrics import Estimate, mean, rate


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_rate_is_wilson(counts):
    k, n = counts
    z, p = stats.norm.ppf(0.975), k / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    estimate = rate(counts)
    assert estimate.value == p
    assert estimate.n == n
    assert estimate.low == pytest.approx(centre - half, abs=1e-12)
    assert estimate.high == pytest.approx(centre + half, abs=1e-12)
    assert 0 <= estimate.low <= p <= estimate.high <= 1


def test_rate_of_eight_in_ten_as_tabulated():
    estimate = rate(torch.tensor([True] * 8 + [False] * 2))
    assert (estimate.value, estimate.n) == (0.8, 10)
    assert estimate.low == pytest.approx(0.4902, abs=1e-4)
    assert estimate.high == pytest.approx(0.9433, abs=1e-4)


def test_rate_agrees_between_a_tensor_and_its_counts():
    successes = torch.rand(3, 40) < 0.3
    assert rate(successes) == rate((int(successes.sum()), 120))


def test_mean_has_the_t_interval():
    values = torch.rand(23)
    estimate = mean(values)
    interval = stats.ttest_1samp(values.double().numpy(), 0).confidence_interval(0.95)
    assert estimate.value == pytest.approx(values.double().mean().item())
    assert (estimate.low, estimate.high) == pytest.approx((interval.low, interval.high))
    assert estimate.n == 23


def test_mean_counts_the_finite_values_only():
    assert mean(torch.tensor([1.0, torch.nan, 3.0, torch.inf])) == mean(torch.tensor([1.0, 3.0]))
    assert mean(torch.tensor([0.25])) == Estimate(0.25, 0.25, 0.25, 1)


def test_mean_covers_the_truth_as_often_as_it_says():
    draws = torch.randn(2000, 8, generator=torch.Generator().manual_seed(1))
    covered = sum(e.low <= 0 <= e.high for e in map(mean, draws))
    assert 0.935 < covered / 2000 < 0.965


@pytest.mark.parametrize("counts", [(0, 0), (3, 2), (-1, 2), torch.zeros(0, dtype=torch.bool)])
def test_rate_refuses_what_is_no_share(counts):
    with pytest.raises(UserError, match="0 <= k <= n"):
        rate(counts)


def test_rate_refuses_scores_and_mean_refuses_nothing_finite():
    with pytest.raises(UserError, match="bool"):
        rate(torch.tensor([0.2, 0.9]))
    with pytest.raises(UserError, match="finite"):
        mean(torch.tensor([torch.nan]))
