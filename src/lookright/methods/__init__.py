"""Methods: `method(batch)` gives named, weighted loss terms; one file for each published method."""

from lookright.methods.align import ALIGN
from lookright.methods.at import AT
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.method import Method
from lookright.methods.trades import TRADES

__all__ = ["ALIGN", "AT", "EGAT", "ERM", "TRADES", "Method"]
