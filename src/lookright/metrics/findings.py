"""Declares which sentence a report writes about a measure; the report writes it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lookright.metrics.measure import Measure


@dataclass(frozen=True)
class Levels:
    """Lists each method's figure in the training domain, and names the best if it is clearly so.

    heading: the heading above the sentence; says: what the figures are, up to the colon; praise:
    what the sentence says of the best method; percent: whether figures are printed as percentages;
    scale: how to read a figure; baseline: the baseline whose figures are given with the scale;
    beside: a second measure reported for each method, and the words around its figure, such as
    "covers {} of the image".
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
    """Reports how much of another measure, `of`, is left: a method breaks if it is half or less."""

    heading: str
    of: "Measure"
    praise: str


@dataclass(frozen=True)
class AcrossDomains:
    """Reports how far a measure falls from the training domain to the domain where it is worst."""

    heading: str


@dataclass(frozen=True)
class AgainstBaselines:
    """Reports whether an explanation beats the baselines, image by image.

    Measures that declare the same finding are combined: an explanation has to win in each of them.
    """

    heading: str


Finding = Levels | Kept | AcrossDomains | AgainstBaselines
