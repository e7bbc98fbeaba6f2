"""ALIGN's lemmas (arXiv 2511.06944): both sides of each, measured on images and shifted images.

An image is an object and a background; f gives class probabilities. A change of f is measured in
total variation, half the sum of the changes of all classes, from 0 to 1. The source s holds the
images as they are, the target t the same images shifted, and each image with its background swapped
several times, and nothing else changed, gives the model's sensitivity to the background, eps.

Where a lemma is false as published, a true version stands beside it: see `docs/theory.md`. Lemma 4
compares two trainings, not the outputs of one model, so it is not here.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lookright.errors import UserError


@dataclass(frozen=True)
class Inequality:
    """left <= right, as measured on n images.

    always: whether it is a theorem about any model and any n images, which only rounding can break;
    otherwise it may hold or not.
    """

    lemma: str
    statement: str
    left: float
    right: float
    n: int
    always: bool = False

    @property
    def held(self) -> bool:
        return self.left <= self.right + 1e-6

    @property
    def sentence(self) -> str:
        """Both sides, and whether it held."""
        verdict = "held" if self.held else "did not hold"
        return (
            f"{self.lemma}: {self.statement}: {self.left:.4f} <= {self.right:.4f} {verdict} "
            f"on {self.n} images{' (always true)' if self.always else ''}."
        )


@dataclass(frozen=True)
class Outputs:
    """Logits of one model: source and target (B, K), swapped (S, B, K), with labels (B,).

    Raises:
        UserError: shapes that do not fit together; no swap.
    """

    source: Tensor
    target: Tensor
    swapped: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        expected = self.source.shape
        if (
            self.target.shape != expected
            or self.swapped.shape[1:] != expected
            or len(self.swapped) == 0
            or self.labels.shape != expected[:1]
        ):
            raise UserError(
                "Lemmas need logits (B, K) of source and target, (S, B, K) of S >= 1 swaps and "
                f"labels (B,), but got {tuple(expected)}, {tuple(self.target.shape)}, "
                f"{tuple(self.swapped.shape)} and {tuple(self.labels.shape)}."
            )

    @property
    def sensitivity(self) -> Tensor:
        """(S, B) how far each image's output moves when only its background changes."""
        return change(self.source, self.swapped)


def change(before: Tensor, after: Tensor) -> Tensor:
    """(..., K) and (..., K) logits to (...) the total variation of their probabilities."""
    moved = after.double().softmax(-1) - before.double().softmax(-1)
    return moved.abs().sum(-1) / 2


def measure_lemmas(outputs: Outputs) -> tuple[Inequality, ...]:
    """Lemmas 1 to 3 of one model.

    Lemma 1: a shift of the domain moves the output by at most eps, the largest change over all
    swaps. Lemma 2: MSE is the squared distance of the probabilities from the label's; its constant
    4 belongs to the total variation of the *same* images, `E|f(x_t) - f(x_s)|`, and not to that of
    the mean outputs. Lemma 3: its C is not given; on probabilities C is 1 / (the smallest
    probability of a label), which no model bounds beforehand, and on logits, whose change is that
    of the largest, C = 2.
    """
    source, target = outputs.source.double(), outputs.target.double()
    shift, eps = change(source, target), outputs.sensitivity
    square = (_squared_error(target, outputs) - _squared_error(source, outputs)).abs()
    means = (target.softmax(1).mean(0) - source.softmax(1).mean(0)).abs().sum() / 2
    entropy = _entropy(target, outputs.labels) - _entropy(source, outputs.labels)
    gap, moved = entropy.mean().abs(), (target - source).abs().amax(1).mean()
    moved_by_swap = (outputs.swapped.double() - source).abs().amax(2).max()
    seen = torch.stack([source, target])
    smallest = seen.log_softmax(2).gather(2, outputs.labels.expand(2, -1)[:, :, None]).min().exp()
    n = len(source)

    def row(lemma: str, statement: str, left: Tensor, right: Tensor, always: bool) -> Inequality:
        return Inequality(lemma, statement, float(left), float(right), n, always)

    return (
        row("Lemma 1", "mean change of f by the shift <= eps (largest swap)", shift.mean(),
            eps.max(), False),
        row("Lemma 2", "|MSE_t - MSE_s| <= 4 |E_t f - E_s f|", square, 4 * means, False),
        row("Lemma 2, paired", "|MSE_t - MSE_s| <= 4 E|f(x_t) - f(x_s)|", square,
            4 * shift.mean(), True),
        row("Lemma 3", "|CE_t - CE_s| <= C eps (largest swap), C = 1 / smallest p_y", gap,
            eps.max() / smallest, False),
        row("Lemma 3, logits", "|CE_t - CE_s| <= 2 eps (largest swap)", gap, 2 * moved_by_swap,
            False),
        row("Lemma 3, paired", "|CE_t - CE_s| <= 2 E|z(x_t) - z(x_s)|", gap, 2 * moved, True),
    )  # fmt: skip


def compare_lemma(first: Outputs, second: Outputs, names: tuple[str, str]) -> Inequality:
    """Lemma 1 of two models: the one with the smaller mean eps is moved less by the shift."""
    ours, theirs = (
        (name, float(each.sensitivity.mean()), float(change(each.source, each.target).mean()))
        for name, each in zip(names, (first, second), strict=True)
    )
    less, more = sorted((ours, theirs), key=lambda each: each[1])
    statement = (
        f"{less[0]} is less sensitive to the background than {more[0]} "
        f"({less[1]:.4f} < {more[1]:.4f}), so the shift moves it less"
    )
    return Inequality("Lemma 1, two models", statement, less[2], more[2], len(first.source))


def _squared_error(logits: Tensor, outputs: Outputs) -> Tensor:
    """The mean over images of the squared distance to the label's unit vector."""
    truth = F.one_hot(outputs.labels, logits.shape[1])
    return (logits.softmax(1) - truth).square().sum(1).mean()


def _entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) the cross-entropy of each image."""
    return F.cross_entropy(logits, labels, reduction="none")
