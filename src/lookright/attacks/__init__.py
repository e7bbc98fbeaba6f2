"""Attacks: `attack(model, x, y) -> x'`, in the eps-ball and [0, 1]; the model is not changed."""

from lookright.attacks.apgd import APGD
from lookright.attacks.autoattack import AutoAttack
from lookright.attacks.ball import Ball
from lookright.attacks.by_mask import ByMask
from lookright.attacks.carlini_wagner import CarliniWagner
from lookright.attacks.explanation import ExplanationAttack
from lookright.attacks.goals import GOALS, Goal, MassCentre, TargetMap, TopK
from lookright.attacks.gradient import FGSM, PGD, Attack
from lookright.attacks.norms import L2, LInf, Norm
from lookright.attacks.objectives import (
    CrossEntropy,
    CrossEntropyAndExplanation,
    ExplanationChange,
    KLDivergence,
    Margin,
    Objective,
)
from lookright.attacks.square import Square
from lookright.attacks.worst_case import WorstCase

__all__ = [
    "APGD",
    "FGSM",
    "GOALS",
    "L2",
    "PGD",
    "Attack",
    "AutoAttack",
    "Ball",
    "ByMask",
    "CarliniWagner",
    "CrossEntropy",
    "CrossEntropyAndExplanation",
    "ExplanationAttack",
    "ExplanationChange",
    "Goal",
    "KLDivergence",
    "LInf",
    "Margin",
    "MassCentre",
    "Norm",
    "Objective",
    "Square",
    "TargetMap",
    "TopK",
    "WorstCase",
]
