"""Columns: the values measured for each image, each declared once as an object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from lookright.metrics import BASELINES, Measure


@dataclass(frozen=True)
class Column:
    """One value for each image of a batch, (B,), or several, (B, ...).

    key: its name in the table of per-image values. measure: the measure that the mean over the
    images gives; None where the mean is not reported. baseline: the name of a baseline; empty for
    the model itself. masked: only images with an object mask have a row. kept: whether the values
    are kept for the whole domain; otherwise only the stages that need them see them, batch by
    batch.
    """

    key: str
    measure: Measure | None = None
    baseline: str = ""
    masked: bool = False
    kept: bool = True

    @property
    def name(self) -> str:
        """The key, followed by @ and the baseline's name if there is one."""
        return f"{self.key}@{self.baseline}" if self.baseline else self.key

    def by(self, baseline: str) -> "Column":
        """The same column for a baseline."""
        return replace(self, baseline=baseline)

    @property
    def beside_baselines(self) -> "tuple[Column, ...]":
        """This column and the same column for each baseline."""
        return (self, *(self.by(name) for name in BASELINES))


Columns = Mapping[Column, Tensor]


def measuring(measure: Measure, masked: bool = False) -> Column:
    """The column whose mean is that measure."""
    return Column(measure.key, measure, masked=masked)


LABEL = Column("label")
PREDICTED = Column("predicted")
HAS_MASK = Column("has_mask")
EVERY = (LABEL, PREDICTED, HAS_MASK)
"""The columns of every image, whatever the stages."""
