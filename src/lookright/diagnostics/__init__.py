"""Signs that a robust figure is not what a working attack would give."""

from lookright.diagnostics.diagnosis import Diagnosis
from lookright.diagnostics.diagnostic import Diagnostic

__all__ = ["Diagnosis", "Diagnostic"]
