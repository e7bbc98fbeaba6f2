"""What a measure is called, which way it points and what it counts."""

from dataclasses import dataclass
from typing import Literal

from lookright.metrics.baselines import BASELINES


@dataclass(frozen=True)
class Measure:
    """The description that stands beside a metric and travels into tables.

    key: its name in a result; higher_is_better: None for a neutral one, reported for comparison
    only; unit: "rate" is a share of successes in [0, 1] with a Wilson interval, "score" any other
    number with the interval of its estimator, "square" one that is squared and so often near 0;
    beats: the baselines that a good explanation does better than. Where staying is good, none beats
    the middle of the image, which never moves.
    """

    key: str
    title: str
    higher_is_better: bool | None
    unit: Literal["rate", "score", "square"]
    description: str
    beats: tuple[str, ...] = BASELINES
