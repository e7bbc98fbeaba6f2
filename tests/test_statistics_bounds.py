"""Bounds: each covers the truth as often as it says, wherever the truth lies, and not for free."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookright.errors import UserError
from lookright.statistics.bounds import (
    difference_at_least,
    share_at_least,
    share_at_most,
    sign_test,
)

SHARES = (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 1.0)
SIZES = (1, 5, 20, 60, 200)
DELTAS = (0.05, 0.01)
DRAWS = 4000
DISCORDANT = ((0.0, 0.0), (0.3, 0.05), (0.1, 0.1), (0.05, 0.4), (0.02, 0.0), (0.5, 0.5))
"""Probabilities that only the first, and only the second, of two models keeps an image."""

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
deltas = st.floats(0.001, 0.5)


def wald(k, n, delta):
    """The textbook's approximation, which is no bound: the checks must refuse it."""
    return k / n - stats.norm.ppf(1 - delta) * np.sqrt(k / n * (1 - k / n) / n)


def wald_difference(wins, losses, n, delta):
    gap = (wins - losses) / n
    return gap - stats.norm.ppf(1 - delta) * np.sqrt(((wins + losses) / n - gap**2) / n)


def failures(bound, p, n, delta):
    """How often, of DRAWS simulated draws of n images, the bound lies above the truth."""
    table = np.array([bound(k, n, delta) for k in range(n + 1)])
    seen = np.random.default_rng([n, round(p * 1000)]).binomial(n, p, DRAWS)
    return (table[seen] > p).mean()


def failures_of_difference(bound, first, second, n, delta):
    random = np.random.default_rng([n, round(first * 1000), round(second * 1000)])
    seen, times = np.unique(
        random.multinomial(n, [first, second, 1 - first - second], DRAWS),
        axis=0,
        return_counts=True,
    )
    failed = [bound(int(w), int(lost), n, delta) > first - second for w, lost, _ in seen]
    return (np.array(failed) * times).sum() / DRAWS


def tolerated(delta):
    """delta and three standard errors of a simulated share of DRAWS."""
    return delta + 3 * np.sqrt(delta * (1 - delta) / DRAWS)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("p", SHARES)
def test_a_share_is_covered_as_often_as_it_says(p, n, delta):
    assert failures(share_at_least, p, n, delta) <= tolerated(delta)
    table = [share_at_most(k, n, delta) for k in range(n + 1)]
    seen = np.random.default_rng(n).binomial(n, p, DRAWS)
    assert np.mean([table[k] < p for k in seen]) <= tolerated(delta)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("n", [1, 7, 60, 200])
def test_the_exact_probability_of_failure_never_exceeds_delta(n, delta):
    """Summed over all outcomes, so without Monte-Carlo error, on a fine grid of truths."""
    table = np.array([share_at_least(k, n, delta) for k in range(n + 1)])
    for p in np.linspace(0.001, 0.999, 333):
        failed = stats.binom.pmf(np.arange(n + 1), n, p)[table > p].sum()
        assert failed <= delta + 1e-12


@pytest.mark.parametrize("n", [30, 200])
@pytest.mark.parametrize(("first", "second"), DISCORDANT)
def test_a_difference_is_covered_as_often_as_it_says(first, second, n):
    failed = failures_of_difference(difference_at_least, first, second, n, 0.05)
    assert failed <= tolerated(0.05)


def test_the_checks_refuse_the_textbook_approximation():
    assert failures(wald, 0.95, 60, 0.05) > tolerated(0.05)
    assert failures(wald, 0.99, 200, 0.05) > tolerated(0.05)
    assert failures_of_difference(wald_difference, 0.0, 0.02, 30, 0.05) > tolerated(0.05)


def test_the_bound_of_a_share_gives_little_away():
    """Failing far less often than allowed would be a bound that claims too little."""
    failed = [failures(share_at_least, p, 200, 0.05) for p in np.linspace(0.05, 0.95, 19)]
    assert 0.03 < np.mean(failed) <= 0.05
    assert share_at_least(152, 200, 0.05) == pytest.approx(wald(152, 200, 0.05), abs=0.006)


def test_the_bound_of_a_difference_gives_little_away():
    exact, rough = difference_at_least(60, 10, 200, 0.05), wald_difference(60, 10, 200, 0.05)
    assert 0 < rough - exact < 0.05
    exact, rough = difference_at_least(600, 100, 2000, 0.05), wald_difference(600, 100, 2000, 0.05)
    assert 0 < rough - exact < 0.02


@given(counts, deltas)
def test_a_share_is_bounded_as_scipy_says(count, delta):
    k, n = count
    low = stats.binomtest(k, n, alternative="greater").proportion_ci(1 - delta, method="exact").low
    high = stats.binomtest(k, n, alternative="less").proportion_ci(1 - delta, method="exact").high
    assert share_at_least(k, n, delta) == pytest.approx(low, abs=1e-9)
    assert share_at_most(k, n, delta) == pytest.approx(high, abs=1e-9)


@given(counts, deltas)
def test_a_share_bound_lies_no_further_below_than_hoeffdings(count, delta):
    k, n = count
    assert share_at_least(k, n, delta) >= k / n - np.sqrt(np.log(1 / delta) / (2 * n)) - 1e-9


@given(counts, st.data(), deltas)
def test_a_difference_is_bounded_by_two_shares_at_half_of_delta(count, data, delta):
    wins, n = count
    losses = data.draw(st.integers(0, n - wins))
    low = stats.binomtest(wins, n).proportion_ci(1 - delta, method="exact").low
    high = stats.binomtest(losses, n).proportion_ci(1 - delta, method="exact").high
    assert difference_at_least(wins, losses, n, delta) == pytest.approx(low - high, abs=1e-9)


@given(counts, deltas)
def test_a_share_bound_follows_k_n_and_delta(count, delta):
    k, n = count
    bound = share_at_least(k, n, delta)
    assert 0 <= bound <= k / n
    assert share_at_least(k, n, delta / 2) <= bound
    assert share_at_least(2 * k, 2 * n, delta) >= bound - 1e-12
    if k < n:
        assert share_at_least(k + 1, n, delta) > bound
        assert share_at_least(k, n + 1, delta) <= bound
    assert share_at_least(k + 1, n + 1, delta) >= bound


@given(counts, st.data(), deltas)
def test_a_difference_bound_follows_its_counts(count, data, delta):
    wins, n = count
    losses = data.draw(st.integers(0, n - wins))
    bound = difference_at_least(wins, losses, n, delta)
    assert -1 <= bound <= (wins - losses) / n
    assert difference_at_least(wins, losses, n, delta / 2) <= bound
    assert difference_at_least(losses, wins, n, delta) <= (losses - wins) / n
    if wins + losses < n:
        assert difference_at_least(wins + 1, losses, n, delta) > bound
        assert difference_at_least(wins, losses + 1, n, delta) < bound


@pytest.mark.parametrize(
    ("k", "n", "delta", "bound"),
    [(200, 200, 0.05, 0.05 ** (1 / 200)), (0, 9, 0.05, 0.0), (1, 9, 0.05, 1 - 0.95 ** (1 / 9))],
)
def test_bounds_known_in_closed_form(k, n, delta, bound):
    assert share_at_least(k, n, delta) == pytest.approx(bound, abs=1e-12)
    assert share_at_most(n - k, n, delta) == pytest.approx(1 - bound, abs=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_the_exact_binomial_one(wins, losses):
    expected = 1.0
    if wins + losses:
        expected = stats.binomtest(wins, wins + losses, alternative="greater").pvalue
    assert sign_test(wins, losses) == pytest.approx(expected)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_counts_that_are_none_are_refused(k, n):
    for bound in (share_at_least, share_at_most):
        with pytest.raises(UserError, match="0 <= k <= n and n > 0"):
            bound(k, n, 0.05)


@pytest.mark.parametrize("delta", [0, 1, -0.1, 5, float("nan")])
def test_a_delta_that_is_no_probability_is_refused(delta):
    with pytest.raises(UserError, match="between 0 and 1"):
        share_at_least(3, 5, delta)
    with pytest.raises(UserError):
        difference_at_least(1, 1, 5, delta)


def test_more_discordant_images_than_there_are_is_refused():
    with pytest.raises(UserError, match="k = 7 of n = 6"):
        difference_at_least(3, 4, 6, 0.05)
