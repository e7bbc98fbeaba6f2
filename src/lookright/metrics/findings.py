"""Sentences that a report makes of a measure's figures, as data; the report words them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookright.metrics.measure import Measure


@dataclass(frozen=True)
class Levels:
    """Each method's figure in the training domain, and the method that is clear of the others.

    heading: stands above; says: what the figures are, up to the colon; praise: what is said of the
    best method; percent: whether figures are printed in per cent; scale: how to read a figure;
    baseline: the map whose figures are named with the scale; beside: a second measure told of each
    method, and the words round its figure, such as "covers {} of the image".
    """

    heading: str
    says: str
    praise: str
    percent: bool = True
    scale: str = ""
    baseline: str | None = None
    beside: "tuple[Measure, str] | None" = None


@dataclass(frozen=True)
class Kept:
    """How much is left of another measure, `of`: a method breaks where half or less of it is."""

    heading: str
    of: "Measure"
    praise: str


@dataclass(frozen=True)
class AcrossDomains:
    """How far a measure falls between the training domain and the one where it is worst."""

    heading: str


@dataclass(frozen=True)
class AgainstBaselines:
    """Whether an explanation beats maps that know nothing of the model, image by image.

    Measures that declare the same one are judged together: an explanation has to win in each.
    """

    heading: str


Finding = Levels | Kept | AcrossDomains | AgainstBaselines
