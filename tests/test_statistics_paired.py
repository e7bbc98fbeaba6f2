"""The sign test against a baseline: counts by hand, SciPy's p, and how often it errs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lookright.metrics import BASELINES, MEASURES, Paired, paired


def test_counts_by_hand_in_the_direction_of_the_measure():
    own = torch.tensor([0.5, 0.2, 0.3, 0.4, 0.7])
    other = torch.tensor([0.1, 0.3, 0.3, 0.4 + 1e-7, 0.2])
    assert paired(own, other, higher_is_better=True) == Paired(2, 1, 5)
    small = paired(1e-9 * own, 1e-9 * other, higher_is_better=True)
    assert small == Paired(2, 1, 5)
    assert paired(own, other, higher_is_better=False) == Paired(1, 2, 5)
    hit, missed = torch.tensor([True, True, False]), torch.tensor([False, True, True])
    assert paired(hit, missed, higher_is_better=True) == Paired(1, 1, 3)


@given(st.integers(0, 60), st.integers(0, 60))
def test_p_is_that_of_the_exact_two_sided_test(better, worse):
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1
    assert Paired(better, worse, 200).p == pytest.approx(expected)


@pytest.mark.parametrize(
    ("better", "worse", "verdict"),
    [
        (6, 0, "better than"),  # 2 / 64
        (5, 0, "not told apart from"),  # 2 / 32
        (0, 6, "worse than"),
        (0, 0, "not told apart from"),
        (60, 40, "not told apart from"),
        (61, 39, "better than"),
    ],
)
def test_what_is_said(better, worse, verdict):
    assert Paired(better, worse, 100).verdict == verdict


def test_maps_that_are_equally_good_are_told_apart_no_more_often_than_said():
    own, other = torch.rand(2, 1000, 40, generator=torch.Generator().manual_seed(2))
    said = [paired(a, b, True).verdict for a, b in zip(own, other, strict=True)]
    assert 0.01 < 1 - said.count("not told apart from") / 1000 <= 0.05


def test_a_map_that_never_moves_cannot_be_beaten_where_staying_is_good():
    beats = {measure.key: measure.beats for measure in MEASURES}
    assert beats["deletion_blur"] == beats["localisation_mass"] == BASELINES
    steady = [key for key in beats if key.startswith(("stability", "max_sens"))]
    steady.remove("stability_others")  # has no direction
    assert len(steady) == 6
    assert all(beats[key] == ("random",) for key in steady)
    assert not any("centre" in beats[key] for key in beats if key.startswith("manipulated"))


def test_an_image_without_a_score_does_not_count():
    own, other = torch.tensor([3.0, 2.0, torch.nan, 1.0]), torch.tensor([1.0, 1.0, 1.0, torch.nan])
    assert paired(own, other, higher_is_better=True) == Paired(2, 0, 2)
    assert paired(own, own * torch.nan, higher_is_better=True) == Paired(0, 0, 0)
