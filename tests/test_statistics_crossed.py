"""Tests over seeds and images at once."""

from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from lookright.errors import UserError
from lookright.statistics.crossed import Block, crossed
from lookright.statistics.flips import flipped


def block(differences, domain="a", images=None):
    table = np.asarray(differences, dtype=np.float64)
    numbers = np.arange(table.shape[1]) if images is None else np.asarray(images)
    return Block(domain, numbers, table)


def drawn(seeds=3, images=50, gap=0.0, over_seeds=0.1, over_images=1.0, key=0):
    draw = np.random.default_rng(key)
    by_seed = over_seeds * draw.normal(size=(seeds, 1))
    by_image = over_images * draw.normal(size=(1, images))
    return gap + by_seed + by_image + 0.1 * draw.normal(size=(seeds, images))


def test_the_figures_by_hand():
    table = np.array([[1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 2.0, 2.0]])
    found = crossed([block(table)])
    seeds, images = table.mean(1), table.mean(0)
    over_seeds, over_images = seeds.var(ddof=1) / 3, images.var(ddof=1) / 4
    error = (over_seeds + over_images) ** 0.5
    freedom = error**4 / (over_seeds**2 / 2 + over_images**2 / 3)
    assert found.value == pytest.approx(1.0)
    assert (found.seeds, found.n, found.more, found.less) == (3, 4, 3, 0)
    tests = [(freedom, error), (2, over_seeds**0.5)]
    half = max(stats.t.ppf(0.975, df) * of for df, of in tests)
    assert (found.low, found.high) == pytest.approx((1 - half, 1 + half))
    assert found.p == pytest.approx(
        max(2 * 0.5**3, *(2 * stats.t.sf(1 / of, df) for df, of in tests))
    )


def test_three_seeds_that_lie_far_apart_show_nothing_on_any_number_of_images():
    seeds = np.array([0.02, 0.10, 0.25])
    found = crossed([block(np.repeat(seeds[:, None], 9000, 1) + 1e-6 * drawn(3, 9000))])
    assert found.p == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue, rel=1e-3)


def test_without_differences_between_images_it_is_the_test_over_seeds():
    seeds = np.array([0.11, 0.12, 0.10, 0.13])
    found = crossed([block(np.repeat(seeds[:, None], 400, 1))])
    assert found.p == pytest.approx(stats.ttest_1samp(seeds, 0).pvalue)


def test_without_differences_between_seeds_it_is_the_test_over_images():
    images = np.random.default_rng(0).normal(1, 1, 60)
    found = crossed([block(np.tile(images, (3, 1)))])
    low, high = stats.ttest_1samp(images, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


@given(st.integers(0, 1000), st.integers(3, 5), st.integers(2, 30))
def test_exchanging_the_methods_turns_the_sign(key, seeds, images):
    table = drawn(seeds, images, gap=0.5, key=key)
    one, two = crossed([block(table)]), crossed([block(-table)])
    assert one.value == pytest.approx(-two.value)
    assert (one.low, one.high) == pytest.approx((-two.high, -two.low))
    assert one.p == pytest.approx(two.p)
    assert (one.more, one.less) == (two.less, two.more)
    assert one.turned.turned == one
    assert (one.turned.value, one.turned.low) == pytest.approx((two.value, two.low))
    assert (one.turned.high, one.turned.more) == (pytest.approx(two.high), two.more)


@pytest.mark.parametrize("seeds", [1, 2])
def test_of_fewer_than_three_seeds_nothing_is_concluded(seeds):
    assert crossed([block(np.ones((seeds, 500)) + 0.01 * drawn(seeds, 500))]).p == 1


def test_the_same_images_twice_are_not_more_images():
    table = drawn(over_seeds=0.0)
    once = crossed([block(table)])
    again = crossed([block(table), block(table)])
    others = crossed([block(table), block(table, "b")])
    assert (again.low, again.high, again.n) == pytest.approx((once.low, once.high, once.n))
    assert others.n == 2 * once.n
    assert others.high - others.low < 0.8 * (once.high - once.low)


def test_blocks_count_alike_whatever_their_number_of_images():
    found = crossed([block(np.ones((3, 10))), block(np.zeros((3, 90)), "b")])
    assert found.value == pytest.approx(0.5)


def test_a_few_images_are_not_enough_however_regular():
    """Five images of 5000 that differ in one direction: Student's p is 0.03, a coin's is 0.06."""
    table = np.zeros((3, 5000))
    table[:, :5] = 1
    images = table.mean(0)
    assert stats.ttest_1samp(images, 0).pvalue < 0.05
    assert crossed([block(table)]).p == pytest.approx(2 * 0.5**5)


def test_images_count_by_what_they_add_to_the_mean():
    """As in a balanced accuracy: twenty images of a rare class, higher by much, against 100 others
    that are lower by little."""
    table = np.tile(np.where(np.arange(120) < 20, 3.0, -0.1), (3, 1))
    table[:, 40:] *= np.arange(80) % 2
    found = crossed([block(table)])
    assert (found.more, found.less) == (20, 60)
    assert found.low > 0
    assert found.p < 0.01


@pytest.mark.parametrize(
    ("more", "n"), [(1, 1), (5, 5), (9, 10), (30, 40), (130, 200), (1600, 3000)]
)
def test_flips_of_differences_of_one_size_are_the_exact_sign_test(more, n):
    differences = np.where(np.arange(n) < more, 0.37, -0.37)
    expected = stats.binomtest(more, n).pvalue
    assert flipped(differences) == pytest.approx(expected, rel=1e-6)
    assert flipped(np.append(differences, np.zeros(50))) == pytest.approx(expected, rel=1e-6)


@given(
    st.integers(0, 10**6),
    st.integers(1, 10),
    st.floats(1e-6, 1e6),
    st.sampled_from([1.0, 0.1, 1e-3, 1e-5]),
)
@example(5, 4, 1.0, 1e-3)
@example(6, 3, 1.0, 1e-3)
def test_flips_are_all_ways_to_set_the_signs(key, n, scale, shrunk):
    differences = scale * np.random.default_rng(key).normal(0.4, 1, n)
    differences[-1] *= shrunk
    sizes = np.abs(differences)
    spread = np.sqrt(np.square(sizes).sum())
    sums = np.abs(np.array(list(product([1, -1], repeat=n))) @ sizes)
    slack = 0.003 * n * spread  # what rounding moves
    least, most = (
        (sums >= abs(differences.sum()) + sign * slack - 1e-9 * spread).mean() for sign in (1, -1)
    )
    assert least - 1e-8 <= flipped(differences) <= most + 1e-8
    assert flipped(-differences) == pytest.approx(flipped(differences))


@pytest.mark.parametrize(
    ("differences", "exact"),
    [
        ([-1e-6, 0.5043, 0.3644, 0.0357, 0.782], 4 / 32),
        ([-1e-6, 0.6172, 0.4264, 0.5049, 0.0405, 0.1522, 0.3149, 0.2414], 4 / 256),
    ],
)
def test_two_small_differences_are_no_bell(differences, exact):
    assert flipped(np.array(differences)) == pytest.approx(exact)


@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([3, 5, 7]), st.booleans())
@example(3, 11, 3, True)
def test_flips_of_shares_of_seeds_count_sums_that_tie(key, n, seeds, lattice):
    """Against the distribution by convolution; off the lattice every second share is slightly
    larger, as of a smaller domain, and sums that nearly tie may count."""
    random = np.random.default_rng(key)
    shares = random.integers(1, seeds + 1, n) * random.choice([1, -1], n, p=[0.7, 0.3])
    chances = np.zeros(2 * np.abs(shares).sum() + 1)
    chances[len(chances) // 2] = 1
    for each in shares:
        chances = (np.roll(chances, each) + np.roll(chances, -each)) / 2
    far = np.abs(np.arange(len(chances)) - len(chances) // 2) >= abs(shares.sum())
    exact = chances[far].sum()
    if lattice:
        assert flipped(shares / seeds) == pytest.approx(max(exact, 1e-12), rel=1e-6, abs=1e-14)
    else:
        nearly = shares / seeds * np.where(np.arange(n) % 2, 1, 1 + 1e-5)
        assert flipped(nearly) >= 0.97 * exact


def by_normal(differences):
    return 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt(np.square(differences).sum()))


@pytest.mark.parametrize(
    "parts",
    [
        [(1000, -4.0), (100, 100.0), (100, -100.0)],
        [(19000, 0.0005), (500, 0.3), (500, -0.3)],
        [(1500, 0.01), (20, 1.0), (20, -1.0)],
        [(300, 1 / 3), (150, -1 / 3), (200, 2 / 3), (180, -2 / 3), (90, 1.0), (80, -1.0)],
        [(86000, 1.0), (85000, -1.0), (10, 2.0)],
    ],
)
def test_flips_of_many_small_differences_beside_few_large_ones(parts):
    differences = np.concatenate([np.full(n, of) for n, of in parts])
    assert flipped(differences) == pytest.approx(by_normal(differences), rel=0.15)


def test_a_balanced_accuracy_is_tested_by_its_many_small_weights_too():
    """Of 40,000 images of the common class a tenth is better, of the rare class none on balance."""
    common, rare = np.zeros(40000), np.zeros(400)
    common[:4000], rare[:20], rare[20:40] = 1, 1, -1
    weighted = np.concatenate([common * 40400 / 80000, rare * 40400 / 800])
    found = crossed([block(np.tile(weighted, (3, 1)))])
    assert found.value == pytest.approx(0.05)
    assert found.p < 1e-6


def test_flips_of_nothing_and_of_much():
    assert flipped(np.zeros(9)) == 1
    assert flipped(np.array([])) == 1
    assert flipped(np.ones(5000)) == pytest.approx(1e-12)


def test_no_difference_at_all():
    found = crossed([block(np.zeros((3, 20)))])
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


@pytest.mark.parametrize("over_seeds", [0.0, 0.03, 0.1, 0.4])
def test_false_positives_are_rare_however_much_seeds_vary(over_seeds):
    """The test over the images of one seed finds a difference in most draws where they do."""
    tries, found, naive = 500, 0, 0
    for key in range(tries):
        table = drawn(3, 200, over_seeds=over_seeds, over_images=0.5, key=key)
        found += crossed([block(table)]).p <= 0.05
        naive += stats.ttest_1samp(table[0], 0).pvalue <= 0.05
    assert 0.02 * tries <= found <= 0.07 * tries
    assert over_seeds < 0.1 or naive > 0.4 * tries


def test_a_real_difference_is_found():
    assert crossed([block(drawn(3, 300, gap=0.5, over_seeds=0.05, over_images=0.5))]).p < 0.05


@pytest.mark.parametrize(
    "blocks",
    [[], [block(np.ones((3, 0)))], [block(np.ones((3, 4))), block(np.ones((2, 4)), "b")]],
    ids=["none", "no image", "other seeds"],
)
def test_what_cannot_be_compared(blocks):
    with pytest.raises(UserError, match="the same seeds and one image or more"):
        crossed(blocks)
