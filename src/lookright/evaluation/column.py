"""What is kept of each image: columns, each declared once as an object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from lookright.metrics import BASELINES, Measure


@dataclass(frozen=True)
class Column:
    """One value for each image of a batch, (B,), or several, (B, ...).

    key: its name in the table of per-image values. measure: its mean over the images is a figure of
    the domain, called by this measure; None where it is none. baseline: empty for the model itself,
    else the name of a baseline. masked: only the images with an object mask have a row. kept: for
    the whole domain; otherwise it is handed to the stages that need it, and dropped with the batch.
    """

    key: str
    measure: Measure | None = None
    baseline: str = ""
    masked: bool = False
    kept: bool = True

    @property
    def name(self) -> str:
        """The key, and the baseline behind an @."""
        return f"{self.key}@{self.baseline}" if self.baseline else self.key

    def by(self, baseline: str) -> "Column":
        """The same of a baseline."""
        return replace(self, baseline=baseline)

    @property
    def beside_baselines(self) -> "tuple[Column, ...]":
        """This column and the same of each baseline."""
        return (self, *(self.by(name) for name in BASELINES))


Columns = Mapping[Column, Tensor]


def measuring(measure: Measure, masked: bool = False) -> Column:
    """The column whose mean is that measure."""
    return Column(measure.key, measure, masked=masked)


LABEL = Column("label")
PREDICTED = Column("predicted")
HAS_MASK = Column("has_mask")
EVERY = (LABEL, PREDICTED, HAS_MASK)
"""Known of every image, whatever the stages."""
