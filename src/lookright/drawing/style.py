"""The style of a method in all figures of a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MARKERS = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z",
    "M-4 -4H4V4H-4Z",
    "M0 -5.6L5.6 0L0 5.6L-5.6 0Z",
    "M0 -5.4L5.2 4H-5.2Z",
    "M0 5.4L5.2 -4H-5.2Z",
    "M-1.6 -5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5V-1.6H-1.6Z",
    "M-5 -4.5L5 4.5V-4.5L-5 4.5Z",
)
STAR = "M0 -8L1.9 -2.6L7.6 -2.5L3 1L4.7 6.5L0 3.2L-4.7 6.5L-3 1L-7.6 -2.5L-1.9 -2.6Z"
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4")
COLOURS = 8


@dataclass(frozen=True)
class Style:
    """Colour (its number in the page's style sheet), marker and dash; not by colour alone."""

    colour: int
    marker: str
    dash: str

    @classmethod
    def of(cls, index: int) -> "Style":
        """The style of the method at that position."""
        return cls(index % COLOURS, MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])


@contextmanager
def default_style() -> Iterator[None]:
    """Matplotlib as it comes, whatever a `matplotlibrc` in the working folder says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield
