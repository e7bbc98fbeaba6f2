"""Guides: what an explanation should match, one file for each source of it."""

from lookright.guides.clean import CleanExplanation
from lookright.guides.guide import Guide, Target
from lookright.guides.human import HumanMask
from lookright.guides.learned import LearnedMask
from lookright.guides.masker import ConvMasker
from lookright.guides.mixed import MixedExplanation

__all__ = [
    "CleanExplanation",
    "ConvMasker",
    "Guide",
    "HumanMask",
    "LearnedMask",
    "MixedExplanation",
    "Target",
]
