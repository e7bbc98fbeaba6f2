"""Average ranks, Friedman's test and Nemenyi's critical difference."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from lookright.errors import UserError
from lookright.statistics.ranks import Ranks, critical_difference, mean_ranks, ranks

# Demsar (JMLR 2006), table 5a: the critical values of Nemenyi's test at 0.05, by number of methods.
DEMSAR = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}

TABLES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 8), st.integers(3, 6)),
    elements=st.integers(0, 5).map(float),
)


@pytest.mark.parametrize("k", DEMSAR)
def test_the_critical_difference_is_demsars(k):
    n = 14
    published = DEMSAR[k] * (k * (k + 1) / (6 * n)) ** 0.5
    assert critical_difference(k, n) == pytest.approx(published, abs=0.001)


def test_the_critical_difference_of_demsars_example():
    """Four variants of C4.5 on 14 data sets; he prints 1.25, and finds no two of them apart."""
    critical = critical_difference(4, 14)
    assert critical == pytest.approx(1.25, abs=0.005)
    assert Ranks((3.143, 2.000, 2.893, 1.964), 14, 0.026, critical).alike() == [(3, 1, 2, 0)]


@given(TABLES)
def test_ranks_are_scipys(table):
    assert np.array_equal(mean_ranks(table), stats.rankdata(table, axis=1))


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(2, 3)),
        elements=st.integers(0, 3).map(float),
    )
)
def test_friedmans_p_counts_the_orders_that_are_as_clear(table):
    each = stats.rankdata(table, axis=1)
    orders = itertools.product(*(list(itertools.permutations(row)) for row in each))
    sums = [(np.array(order).sum(0) ** 2).sum() for order in orders]
    as_clear = np.mean(np.array(sums) >= (each.sum(0) ** 2).sum())
    assert ranks(table.tolist(), True).p == pytest.approx(as_clear)


def test_two_methods_over_four_data_sets_are_not_told_apart():
    assert ranks([[0.9, 0.8]] * 4, True).p == 0.125


def test_over_many_data_sets_friedmans_p_is_scipys_chi_square():
    tables = np.random.default_rng(0).random((5, 40, 5)) + 0.08 * np.arange(5)
    for table in tables:
        expected = stats.friedmanchisquare(*table.T).pvalue
        assert ranks(table.tolist(), True).p == pytest.approx(expected, abs=0.02)


@given(TABLES)
def test_turning_the_values_turns_the_ranks(table):
    up, down = (ranks(table.tolist(), higher).average for higher in (True, False))
    k = table.shape[1]
    assert np.allclose(np.add(up, down), k + 1)
    assert sum(up) == pytest.approx(k * (k + 1) / 2)


def test_ranks_by_hand():
    found = ranks([[0.9, 0.8, 0.7], [0.9, 0.9, 0.5], [0.6, 0.8, 0.7]], higher_is_better=True)
    assert found.average == pytest.approx(((1 + 1.5 + 3) / 3, (2 + 1.5 + 1) / 3, (3 + 3 + 2) / 3))
    assert found.n == 3


def test_equal_means_of_other_sums_are_ties():
    assert ranks([[0.1 + 0.2, 0.3]], True).average == (1.5, 1.5)


@pytest.mark.parametrize(
    ("average", "p", "groups"),
    [
        ((1.0, 2.0, 3.0, 4.0), 0.001, [(0, 1), (1, 2), (2, 3)]),
        ((1.0, 1.5, 1.9, 4.0), 0.001, [(0, 1, 2)]),
        ((4.0, 1.0, 2.5), 0.001, []),
        ((3.0, 1.0, 2.0), 0.2, [(1, 2, 0)]),
    ],
)
def test_groups_that_are_not_told_apart(average, p, groups):
    assert Ranks(average, 10, p, 1.0).alike() == groups


@pytest.mark.parametrize("values", [[], [[1.0]], [[1.0], [2.0]]])
def test_too_little_to_rank(values):
    with pytest.raises(UserError, match="two methods or more"):
        ranks(values, True)
