"""Methods: `method(batch)` gives named, weighted loss terms; one file per published method."""

from lookright.methods.align import ALIGN
from lookright.methods.at import AT
from lookright.methods.awp import AWP
from lookright.methods.coral import CORAL
from lookright.methods.dre import DRE
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.fast_at import FastAT
from lookright.methods.free_at import FreeAT
from lookright.methods.gradient_penalty import GradientPenalty
from lookright.methods.groupdro import GroupDRO
from lookright.methods.irm import IRM
from lookright.methods.mart import MART
from lookright.methods.mask_alignment import MaskAlignment
from lookright.methods.method import Method
from lookright.methods.mixup import Mixup
from lookright.methods.rrr import RRR
from lookright.methods.rsc import RSC
from lookright.methods.sgt import SGT
from lookright.methods.trades import TRADES
from lookright.methods.vrex import VREx

__all__ = [
    "ALIGN",
    "AT",
    "AWP",
    "CORAL",
    "DRE",
    "EGAT",
    "ERM",
    "IRM",
    "MART",
    "RRR",
    "RSC",
    "SGT",
    "TRADES",
    "FastAT",
    "FreeAT",
    "GradientPenalty",
    "GroupDRO",
    "MaskAlignment",
    "Method",
    "Mixup",
    "VREx",
]
