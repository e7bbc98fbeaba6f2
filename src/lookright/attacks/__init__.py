"""Attacks: `attack(model, x, y) -> x'`, inside the eps-ball and [0, 1], the model untouched."""

from lookright.attacks.gradient import FGSM, PGD, Attack
from lookright.attacks.norms import L2, LInf, Norm
from lookright.attacks.objectives import (
    KL,
    CrossEntropy,
    ExplanationChange,
    Margin,
    Objective,
)

__all__ = [
    "FGSM",
    "KL",
    "L2",
    "PGD",
    "Attack",
    "CrossEntropy",
    "ExplanationChange",
    "LInf",
    "Margin",
    "Norm",
    "Objective",
]
