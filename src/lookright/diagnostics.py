"""Signs that a robust figure is not what a working attack would give."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Diagnostic:
    """One check beside a robust figure: its name, one word, and the reason with its numbers."""

    name: str
    verdict: Literal["fine", "suspect"]
    reason: str
