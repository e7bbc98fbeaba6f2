"""Attacks: `attack(model, x, y) -> x'`, inside the eps-ball and [0, 1], the model untouched."""

from lookright.attacks.explanation import ExplanationAttack
from lookright.attacks.goals import GOALS, Goal, MassCentre, TargetMap, TopK
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
    "GOALS",
    "KL",
    "L2",
    "PGD",
    "Attack",
    "CrossEntropy",
    "ExplanationAttack",
    "ExplanationChange",
    "Goal",
    "LInf",
    "Margin",
    "MassCentre",
    "Norm",
    "Objective",
    "TargetMap",
    "TopK",
]
