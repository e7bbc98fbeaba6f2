"""Guides: the target maps that explanations are trained to match, one file per kind of guide."""

from lookright.guides.centre import CentrePrior
from lookright.guides.clean import CleanExplanation
from lookright.guides.degraded import Dilated, Part, Shifted, Swapped
from lookright.guides.grey import GreyLevel
from lookright.guides.guide import Guide, Target
from lookright.guides.human import HumanMask
from lookright.guides.learned import LearnedMask
from lookright.guides.masker import ConvMasker, PyramidMasker
from lookright.guides.mean_teacher import MeanTeacher
from lookright.guides.mixup import MixedExplanation
from lookright.guides.noise import RandomMask
from lookright.guides.precomputed import PrecomputedMask

__all__ = [
    "CentrePrior",
    "CleanExplanation",
    "ConvMasker",
    "Dilated",
    "GreyLevel",
    "Guide",
    "HumanMask",
    "LearnedMask",
    "MeanTeacher",
    "MixedExplanation",
    "Part",
    "PrecomputedMask",
    "PyramidMasker",
    "RandomMask",
    "Shifted",
    "Swapped",
    "Target",
]
