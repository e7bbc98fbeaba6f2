"""Paired differences: published intervals, SciPy's tests, an own Holm, and their laws."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookright.errors import UserError
from lookright.statistics.pairwise import holm, rate_difference, score_difference

counts = st.tuples(*[st.integers(0, 60)] * 4).filter(sum)
scores = st.lists(
    st.tuples(*[st.integers(-1000, 1000).map(lambda k: k / 8)] * 2), min_size=2, max_size=40
).map(lambda rows: np.array(rows, dtype=float).T)
probabilities = st.lists(st.floats(0, 1), max_size=12)


def outcomes(both, first, second, neither):
    """Images of which both are right, only the first, only the second, and neither."""
    times = (both, first, second, neither)
    return np.repeat([1.0, 1, 0, 0], times), np.repeat([1.0, 0, 1, 0], times)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        # Newcombe (Statistics in Medicine 1998), table III, method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        # By hand: phi is (216 - 84 - 25) / 599.5 = 0.1785.
        ((18, 14, 6, 12), -0.0153, 0.3210),
        # By hand: Wilson's intervals of 50/50 and 36/50 are (0.9287, 1) and (0.5833, 0.8253).
        ((36, 14, 0, 0), 0.1528, 0.4167),
    ],
)
def test_the_interval_of_rates_is_newcombe_s(table, low, high):
    found = rate_difference(*outcomes(*table))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.value == (table[1] - table[2]) / sum(table)


@given(counts)
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_images(table):
    found = rate_difference(*outcomes(*table))
    _, more, less, _ = table
    expected = stats.binomtest(more, more + less).pvalue if more + less else 1
    assert found.p == pytest.approx(expected)
    assert (found.more, found.less, found.n) == (more, less, sum(table))


@given(scores)
def test_scores_have_the_sign_test_and_student_s_interval(values):
    first, second = values
    found = score_difference(first, second)
    more, less = int((first > second).sum()), int((first < second).sum())
    expected = stats.binomtest(more, more + less).pvalue if more + less else 1
    assert found.p == pytest.approx(expected)
    gain = first - second
    if np.ptp(gain):
        interval = stats.ttest_rel(first, second).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx(tuple(interval))
    else:
        assert found.low == found.high == gain[0]


def swapped(found):
    return (-found.value, -found.high, -found.low, found.less, found.more, found.p)


def laws(difference, first, second):
    found, other = difference(first, second), difference(second, first)
    assert 0 <= found.p <= 1
    assert found.low <= found.value <= found.high
    assert swapped(found) == pytest.approx(
        (other.value, other.low, other.high, other.more, other.less, other.p)
    )
    alike = difference(first, first)
    assert (alike.value, alike.more, alike.less, alike.p) == (0, 0, 0, 1)


@given(counts)
def test_rates_keep_the_laws_of_a_difference(table):
    laws(rate_difference, *outcomes(*table))
    found = rate_difference(*outcomes(*table))
    assert -1 <= found.low <= found.high <= 1


@given(scores)
def test_scores_keep_the_laws_of_a_difference(values):
    laws(score_difference, *values)


def test_scores_that_rounding_tells_apart_are_alike():
    found = score_difference(np.array([0.4, 0.7]), np.array([0.4 + 1e-7, 0.2]))
    assert (found.more, found.less) == (1, 0)


def test_one_pair_bounds_nothing():
    found = score_difference(np.array([0.5]), np.array([0.25]))
    assert (found.value, found.low, found.high) == (0.25, -np.inf, np.inf)


@pytest.mark.parametrize("probabilities", [(0.9, 0.85), (0.5, 0.5), (0.98, 0.2)])
def test_the_interval_of_rates_covers_the_difference(probabilities):
    """Of correlated outcomes: the second model errs on the images that are hard for the first."""
    random, trials = np.random.default_rng(4), 600
    covered = 0
    for _ in range(trials):
        hard = random.random(120)
        noise = random.random((2, 120)) < 0.3
        one, two = (np.where(noise[i], random.random(120), hard) < p
                    for i, p in enumerate(probabilities))  # fmt: skip
        found = rate_difference(one.astype(float), two.astype(float))
        covered += found.low <= probabilities[0] - probabilities[1] <= found.high
    assert 0.93 <= covered / trials <= 0.995


@pytest.mark.parametrize("difference", [rate_difference, score_difference])
@pytest.mark.parametrize("shapes", [((0,), (0,)), ((2,), (3,)), ((2, 2), (2, 2))])
def test_what_is_not_paired_is_refused(difference, shapes):
    with pytest.raises(UserError, match="two values for each"):
        difference(*map(np.zeros, shapes))


def test_values_of_another_kind_are_refused():
    with pytest.raises(UserError, match="0 or 1"):
        rate_difference(np.array([0.5]), np.array([1.0]))
    with pytest.raises(UserError, match="finite"):
        score_difference(np.array([0.5]), np.array([np.nan]))


def own_holm(p):
    """By closed testing with Bonferroni tests, over every set of hypotheses that has the one."""
    found = []
    for i in range(len(p)):
        sets = [s for s in range(1, 2 ** len(p)) if s >> i & 1]
        tests = [
            min(1, bin(s).count("1") * min(p[j] for j in range(len(p)) if s >> j & 1)) for s in sets
        ]
        found.append(max(tests))
    return found


@given(st.lists(st.floats(0, 1), max_size=7))
def test_holm_is_the_closure_of_bonferroni(p):
    assert holm(p) == pytest.approx(own_holm(p))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(probabilities)
def test_holm_keeps_the_order_and_never_lowers_a_probability(p):
    corrected = holm(p)
    ranked = [corrected[i] for i in sorted(range(len(p)), key=lambda i: p[i])]
    assert all(one <= two for one, two in pairwise(ranked))
    assert all(one <= two <= 1 for one, two in zip(p, corrected, strict=True))
