"""Evaluates a model on data and gives a result."""

from lookright.evaluation.evaluate import evaluate
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.stages.answers import Answers
from lookright.evaluation.stages.attacks import Attacks
from lookright.evaluation.stages.claims import Claims
from lookright.evaluation.stages.corruptions import Corruptions
from lookright.evaluation.stages.diagnostics import Diagnostics
from lookright.evaluation.stages.explanation_attacks import ExplanationAttacks
from lookright.evaluation.stages.explanations import Explanations
from lookright.evaluation.stages.learned_masks import LearnedMasks
from lookright.evaluation.stages.other_domain import OtherDomain
from lookright.evaluation.stages.stage import Stage

__all__ = [
    "Answers",
    "Attacks",
    "Claims",
    "Corruptions",
    "Diagnostics",
    "ExplanationAttacks",
    "Explanations",
    "LearnedMasks",
    "OtherDomain",
    "Protocol",
    "Stage",
    "evaluate",
]
