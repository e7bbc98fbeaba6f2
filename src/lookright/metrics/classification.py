"""Measures of classification: on clean, attacked and corrupted images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import torch
from scipy import special
from torch import Tensor

from lookright.errors import UserError
from lookright.metrics.findings import AcrossDomains, Kept
from lookright.metrics.measure import Measure
from lookright.metrics.questions import RIGHT, RIGHT_UNDER_ATTACK, RIGHT_WHEN_CORRUPTED
from lookright.metrics.ranking import average_ranks
from lookright.statistics.intervals import Estimate, Z, mean_of_rates

IMBALANCED = 1.5
"""Classes are imbalanced where the largest has more than this many times the images of the
smallest."""

ACCURACY = Measure(
    "accuracy",
    "Accuracy",
    True,
    "rate",
    "Share of images classified correctly.",
    question=RIGHT,
    order=10,
    terminal="column",
    counted="is right on",
    finding=AcrossDomains("When the domain changes"),
)
BALANCED_ACCURACY = Measure(
    "balanced_accuracy",
    "Balanced accuracy",
    True,
    "rate",
    "Mean over the classes of the share of their images classified correctly; shown where the "
    f"largest class of a domain has more than {IMBALANCED} times the images of the smallest.",
    question=RIGHT,
    order=15,
    balances=ACCURACY,
    terminal="label",
)
AUC = Measure(
    "auc",
    "AUC",
    True,
    "score",
    "Macro average over classes of the one-vs-rest area under the ROC curve; chance is 0.5.",
    question=RIGHT,
    order=20,
)


def accuracy_under(attack: str, order: int = 50) -> Measure:
    """The accuracy under one attack, named by its class."""
    return Measure(
        f"accuracy_{attack.lower()}",
        f"{attack} accuracy",
        True,
        "rate",
        f"Share still classified correctly under {attack}.",
        question=RIGHT_UNDER_ATTACK,
        order=order,
    )


ACCURACY_FGSM = accuracy_under("FGSM", 10)
ACCURACY_PGD = replace(
    accuracy_under("PGD", 20),
    description="Share still classified correctly under PGD, with the worst of its restarts for "
    "each image.",
)
ACCURACY_UNDER = {
    attack: accuracy_under(attack, order)
    for attack, order in (("APGD", 30), ("Square", 31), ("CarliniWagner", 32), ("AutoAttack", 40))
}
ACCURACY_ADVERSARIAL = Measure(
    "accuracy_adversarial",
    "Adversarial accuracy",
    True,
    "rate",
    "Share still classified correctly under the worst of all attacks and restarts for each image.",
    question=RIGHT_UNDER_ATTACK,
    order=90,
    terminal="column",
    counted="is right under attack on",
    finding=Kept("Under attack", of=ACCURACY, praise="is right most often under attack"),
)
BALANCED_ACCURACY_ADVERSARIAL = Measure(
    "balanced_accuracy_adversarial",
    "Balanced adversarial accuracy",
    True,
    "rate",
    "Adversarial accuracy as the mean over the classes; shown where balanced accuracy is.",
    question=RIGHT_UNDER_ATTACK,
    order=95,
    balances=ACCURACY_ADVERSARIAL,
    terminal="label",
)
ACCURACY_CORRUPTED = Measure(
    "accuracy_corrupted",
    "Corrupted accuracy",
    True,
    "score",
    "Share classified correctly when corrupted, mean over the corruptions and their severities.",
    question=RIGHT_WHEN_CORRUPTED,
)


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (B, K), labels (B,) to (B,) bool: the largest logit is the label's, none is NaN."""
    return (logits.argmax(1) == labels) & ~logits.isnan().any(1)


def correct_under_all(each: Sequence[Tensor]) -> Tensor:
    """(B,) bool for each attack or restart to (B,) bool: correct under all of them."""
    return torch.stack(list(each)).all(0)


def imbalance(labels: Sequence[int]) -> float:
    """How many times the images of the smallest class the largest has, of those with any image."""
    counts = Counter(labels).values()
    return max(counts) / min(counts)


def balanced(correct: Tensor, labels: Tensor) -> Estimate:
    """The balanced accuracy, the mean over the classes of their recall, with its interval.

    correct: (N,) bool; labels: (N,). A class without images is left out. n counts the images. The
    interval takes the images as drawn class by class (`mean_of_rates`). Raises UserError if there
    is no image, or one without a label.
    """
    if not len(labels) or correct.shape != labels.shape:
        raise UserError(
            "Balanced accuracy needs one bool and one label for each of one image or more, but got "
            f"shapes {tuple(correct.shape)} and {tuple(labels.shape)}."
        )
    _, at, counts = labels.unique(return_inverse=True, return_counts=True)
    return mean_of_rates(correct[at.argsort()].split(counts.tolist()))


def macro_auc(logits: Tensor, labels: Tensor) -> Estimate | None:
    """Macro one-vs-rest ROC-AUC of the softmax of logits (N, K) for labels (N,), with its interval.

    A class with no samples, or with all samples, has no ROC curve and is left out; None if no class
    has a curve, as when `labels` holds a single class. Ties count half.

    The interval is DeLong's (DeLong, DeLong and Clarke-Pearson, Biometrics 1988): the influence of
    a sample on an area is its placement among the samples of the other class. Influences are
    averaged over the classes for each sample, which takes the correlation of the curves into
    account. The interval is computed on the logit scale, so it stays within [0, 1]. At an area of
    exactly 0 or 1, where that variance is 0, it ends where Newcombe's does, on average over the
    classes (method 5, Statistics in Medicine 2006). Otherwise a class with a single image, or with
    all but one, has no variance estimate, and the interval is [0, 1]. Raises UserError on logits
    that are not finite.
    """
    if not logits.isfinite().all():
        raise UserError(
            "AUC needs finite logits, but the model gave NaN or infinity: its weights or its "
            "inputs are broken. Train it again with a lower learning rate, or check the images."
        )
    scores = logits.detach().cpu().double().log_softmax(1).T
    positive = labels.cpu() == torch.arange(len(scores))[:, None]
    has_curve = positive.any(1) & ~positive.all(1)
    if not has_curve.any():
        return None
    scores, positive = scores[has_curve], positive[has_curve]

    infinity = torch.full_like(scores, torch.inf)
    rank_among_own = torch.where(
        positive,
        average_ranks(torch.where(positive, scores, infinity)),
        average_ranks(torch.where(positive, infinity, scores)),
    )
    own = torch.where(positive, positive.sum(1, keepdim=True), (~positive).sum(1, keepdim=True))
    n = len(labels)
    others_below = (average_ranks(scores) - rank_among_own) / (n - own)
    placement = torch.where(positive, others_below, 1 - others_below)
    area = (placement * positive).sum(1, keepdim=True) / positive.sum(1, keepdim=True)
    influence = ((placement - area) / (own * (own - 1)).double().sqrt()).mean(0)

    value = float(area.mean())
    if not 0 < value < 1:
        far = fmean(_furthest_area(int(k), n - int(k)) for k in positive.sum(1))
        return Estimate(value, min(value, 1 - far), max(value, far), n)
    if (own == 1).any():
        return Estimate(value, 0.0, 1.0, n)
    error = float(influence.square().sum().sqrt()) / (value * (1 - value))
    low, high = (float(special.expit(special.logit(value) + s * Z * error)) for s in (-1, 1))
    return Estimate(value, low, high, n)


def _furthest_area(positives: int, negatives: int) -> float:
    """The largest area under the ROC curve that an observed area of 0 does not rule out.

    Newcombe's method 5: the area of which 0 is Z standard errors away, by Hanley and McNeil's
    variance (Radiology 1982) with both numbers replaced by their mean.
    """
    from scipy import optimize

    others = (positives + negatives) / 2 - 1

    def excess(area: float) -> float:
        shape = 1 + others * (area / (1 + area) + (1 - area) / (2 - area))
        return area - Z**2 * (1 - area) * shape / (positives * negatives)

    return float(optimize.brentq(excess, 0, 1))
