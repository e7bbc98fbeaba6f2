"""Methods: `method(batch)` gives named, weighted loss terms; one file for each published method."""

from lookright.methods.align import ALIGN
from lookright.methods.at import AT
from lookright.methods.awp import AWP
from lookright.methods.dre import DRE
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.fast_at import FastAT
from lookright.methods.free_at import FreeAT
from lookright.methods.mart import MART
from lookright.methods.mask_alignment import MaskAlignment
from lookright.methods.method import Method
from lookright.methods.rrr import RRR
from lookright.methods.sgt import SGT
from lookright.methods.trades import TRADES

__all__ = [
    "ALIGN",
    "AT",
    "AWP",
    "DRE",
    "EGAT",
    "ERM",
    "MART",
    "RRR",
    "SGT",
    "TRADES",
    "FastAT",
    "FreeAT",
    "MaskAlignment",
    "Method",
]
