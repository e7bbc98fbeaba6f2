"""Accuracy, balanced or not, and AUC: agreement with scikit-learn and scipy; honest intervals."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lookright.errors import UserError
from lookright.metrics import balanced, correct, correct_under_all, macro_auc, rate
from lookright.metrics.classification import imbalance
from lookright.metrics.ranking import average_ranks


def planted(n=120, classes=4, signal=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=generator)
    logits = torch.randn(n, classes, generator=generator)
    return logits + signal * torch.nn.functional.one_hot(labels, classes), labels


def test_correct_is_the_largest_logit_and_never_a_nan():
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [torch.nan, 0.0], [0.0, torch.nan]])
    assert correct(logits, torch.tensor([0, 0, 0, 1])).tolist() == [True, False, False, False]


def test_the_worst_attack_counts_sample_by_sample():
    fgsm, pgd = torch.tensor([True, False, True]), torch.tensor([False, True, True])
    assert correct_under_all([fgsm, pgd]).tolist() == [False, False, True]


def grouped(*counts):
    """correct (N,) and labels (N,), mixed, from (right, images) of each class."""
    right = torch.cat([torch.arange(n) < k for k, n in counts])
    labels = torch.repeat_interleave(
        torch.arange(len(counts)), torch.tensor([n for _, n in counts])
    )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    return right[order], labels[order]


@pytest.mark.parametrize("counts", [
    ((81, 81), (0, 19)), ((3, 4), (1, 1)), ((9, 40), (7, 11), (2, 3), (0, 1)), ((5, 8),),
    ((5, 8), (0, 0), (2, 3)),
], ids=["majority alone", "two", "four", "one", "one absent"])  # fmt: skip
def test_balanced_accuracy_agrees_with_sklearn(counts):
    right, labels = grouped(*counts)
    predicted = torch.where(right, labels, (labels + 1) % len(counts) if len(counts) > 1 else 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of predicted classes without images
        reference = balanced_accuracy_score(labels, predicted)
    estimate = balanced(right, labels)
    assert estimate.value == pytest.approx(reference, abs=1e-12)
    assert estimate.n == len(labels)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_the_interval_of_balanced_accuracy_of_two_classes_is_agrestis_and_caffos():
    """Theirs is of a difference of rates, p1 - p2; of p1 + p2 it is that of p1 - (1 - p2)."""
    estimate = balanced(*grouped((70, 80), (5, 20)))
    z = stats.norm.ppf(0.975)
    n1, n2 = 80 + z**2 / 2, 20 + z**2 / 2
    p1, p2 = (70 + z**2 / 4) / n1, (5 + z**2 / 4) / n2
    half = z * np.sqrt(p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) / 2
    assert estimate.low == pytest.approx((p1 + p2) / 2 - half)
    assert estimate.high == pytest.approx((p1 + p2) / 2 + half)
    assert balanced(*grouped((5, 20))) == rate((5, 20))


@pytest.mark.parametrize(("sizes", "recalls"), [
    ((81, 19), (0.9, 0.5)), ((200, 12), (0.97, 0.8)), ((60, 25, 8), (0.8, 0.6, 0.3)),
    ((40,) * 10, (0.95,) * 10), ((8,) * 20, (0.9,) * 20), ((30,) * 5, (0.98,) * 5),
    ((1,) * 100, (0.5,) * 100), ((1,) * 30, (0.9,) * 30), ((2,) * 50, (0.4,) * 50),
    ((1,) * 20 + (40,), (0.5,) * 21),
])  # fmt: skip
def test_balanced_accuracy_is_covered_as_often_as_it_says(sizes, recalls):
    draw = np.random.default_rng(0)
    drawn = draw.binomial(sizes, recalls, (2000, len(sizes)))
    drawn, times = np.unique(
        np.sort(drawn, 1) if len(set(sizes)) == 1 else drawn, axis=0, return_counts=True
    )
    found = [balanced(*grouped(*zip(of, sizes, strict=True))) for of in drawn.tolist()]
    covered = [each.low <= np.mean(recalls) <= each.high for each in found]
    assert 0.935 < np.average(covered, weights=times) < 0.985


@pytest.mark.parametrize(("right", "labels", "said"), [
    (torch.zeros(0, dtype=torch.bool), torch.zeros(0), "one image or more"),
    (torch.tensor([True, False]), torch.tensor([1]), "one label for each"),
    (torch.tensor([0.5, 0.2]), torch.tensor([0, 1]), "bool"),
], ids=["none", "other shape", "scores"])  # fmt: skip
def test_balanced_accuracy_refuses_what_has_none(right, labels, said):
    with pytest.raises(UserError, match=said):
        balanced(right, labels)


@pytest.mark.parametrize(("labels", "found"), [
    ([0, 1, 2, 2, 1, 0], 1.0), ([3, 3, 3, 0], 3.0), ([5], 1.0), ([1, 0, 0, 1, 0], 1.5),
])  # fmt: skip
def test_imbalance_is_that_of_the_classes_with_images(labels, found):
    assert imbalance(labels) == found


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("signal", [0.0, 1.0, 2.0])
def test_auc_agrees_with_sklearn(classes, signal):
    logits, labels = planted(classes=classes, signal=signal)
    probabilities = logits.double().softmax(1).numpy()
    reference = (
        roc_auc_score(labels, probabilities[:, 1])
        if classes == 2
        else roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    estimate = macro_auc(logits, labels)
    assert estimate.value == pytest.approx(reference, abs=1e-12)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n == 120


def test_auc_counts_ties_half_as_sklearn_does():
    logits, labels = planted(classes=2)
    logits = torch.stack([torch.zeros(120), logits[:, 1].round()], 1)
    assert macro_auc(logits, labels).value == pytest.approx(roc_auc_score(labels, logits[:, 1]))
    assert macro_auc(torch.zeros(120, 2), labels).value == 0.5


def test_auc_leaves_absent_classes_out():
    logits, labels = planted(classes=4)
    present = labels != 2
    logits, labels = logits[present], labels[present]
    probabilities = logits.double().softmax(1).numpy()
    each = [roc_auc_score(labels == k, probabilities[:, k]) for k in (0, 1, 3)]
    assert macro_auc(logits, labels).value == pytest.approx(np.mean(each), abs=1e-12)


def test_auc_of_a_single_class_is_none():
    assert macro_auc(torch.randn(5, 3), torch.full((5,), 1)) is None


def test_auc_sees_confident_probabilities_that_round_to_one():
    logits = torch.tensor([[22.0, 0.0], [26.0, 0.0], [24.0, 0.0], [28.0, 0.0]])
    assert macro_auc(logits, torch.tensor([1, 0, 1, 0])).value == 1.0


@pytest.mark.parametrize(("positives", "negatives"), [(2, 2), (8, 8), (5, 60), (1, 30)])
def test_a_perfect_and_an_inverted_auc_end_where_newcombes_interval_does(positives, negatives):
    labels = torch.tensor([1] * positives + [0] * negatives)
    logits = torch.eye(2)[labels]
    perfect, inverted = macro_auc(logits, labels), macro_auc(-logits, labels)
    assert (perfect.value, perfect.high) == (1, 1)
    assert (inverted.value, inverted.low) == (0, 0)
    assert inverted.high == pytest.approx(1 - perfect.low)
    area, others = perfect.low, (positives + negatives) / 2 - 1
    shape = 1 + others * ((1 - area) / (2 - area) + area / (1 + area))
    variance = area * (1 - area) * shape / (positives * negatives)
    assert 1 - area == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))


def test_an_auc_near_one_of_few_images_is_covered_as_often_as_it_says():
    draw, labels = np.random.default_rng(0), torch.tensor([1] * 8 + [0] * 8)
    area, covered = 0.97, 0
    apart = np.sqrt(2) * stats.norm.ppf(area)
    for _ in range(500):
        scores = torch.from_numpy(draw.standard_normal(16)) + apart * labels
        estimate = macro_auc(torch.stack([-scores, scores], 1), labels)
        covered += estimate.low <= area <= estimate.high
    assert covered / 500 > 0.92


def test_auc_interval_is_delongs():
    logits, labels = planted(n=400, classes=2)
    difference = (logits[:, 1] - logits[:, 0]).double().numpy()
    positives, negatives = difference[labels == 1], difference[labels == 0]
    wins = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    area = wins.mean()
    variance = wins.mean(1).var(ddof=1) / len(positives) + wins.mean(0).var(ddof=1) / len(negatives)
    half = stats.norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    estimate = macro_auc(logits, labels)
    assert estimate.low == pytest.approx(1 / (1 + np.exp(half - logit)), abs=1e-9)
    assert estimate.high == pytest.approx(1 / (1 + np.exp(-half - logit)), abs=1e-9)


def test_auc_interval_is_delongs_where_a_class_has_few_images():
    scores = torch.tensor([0.1, 0.9, 0.2, *torch.linspace(0, 1, 50)]).double()
    labels = torch.tensor([1] * 3 + [0] * 50)
    estimate = macro_auc(torch.stack([-scores, scores], 1), labels)
    wins = (scores[:3, None] > scores[3:]) + 0.5 * (scores[:3, None] == scores[3:])
    variance = wins.mean(1).var() / 3 + wins.mean(0).var() / 50
    area = float(wins.mean())
    half = stats.norm.ppf(0.975) * float(variance.sqrt()) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    assert estimate.value == pytest.approx(area)
    assert estimate.low == pytest.approx(1 / (1 + np.exp(half - logit)))
    assert estimate.high == pytest.approx(1 / (1 + np.exp(-half - logit)))


@pytest.mark.parametrize("alone", [0, 1])
def test_a_class_of_one_image_leaves_the_auc_unknown(alone):
    labels = torch.tensor([alone] + [1 - alone] * 20)
    estimate = macro_auc(torch.randn(21, 2, generator=torch.Generator().manual_seed(2)), labels)
    assert 0 < estimate.value < 1
    assert (estimate.low, estimate.high) == (0, 1)


def test_macro_interval_has_the_width_of_the_bootstrap():
    logits, labels = planted(n=150, classes=3)
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(150, (100, 150), generator=generator)
    areas = [macro_auc(logits[draw], labels[draw]).value for draw in draws]
    low, high = np.quantile(areas, [0.025, 0.975])
    estimate = macro_auc(logits, labels)
    assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.25)


def test_auc_refuses_broken_logits():
    logits, labels = planted()
    logits[3, 1] = torch.nan
    with pytest.raises(UserError, match="finite"):
        macro_auc(logits, labels)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, (3, 7), elements=st.integers(-3, 3).map(float)))
def test_average_ranks_are_scipys(values):
    expected = stats.rankdata(values, axis=1)
    assert np.array_equal(average_ranks(torch.from_numpy(values)).numpy(), expected)
