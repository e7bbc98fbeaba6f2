"""Checks for gradient masking: signs that a robust accuracy is due to a failing attack."""

from lookright.diagnostics.diagnosis import Diagnosis
from lookright.diagnostics.diagnostic import Diagnostic

__all__ = ["Diagnosis", "Diagnostic"]
