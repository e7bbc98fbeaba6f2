"""The columns of a benchmark's tables: measures, in distribution and out of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lookright.metrics import Measure
from lookright.metrics.classification import (
    ACCURACY,
    ACCURACY_ADVERSARIAL,
    AUC,
    BALANCED_ACCURACY,
    BALANCED_ACCURACY_ADVERSARIAL,
)
from lookright.metrics.faithfulness import SUFFICIENCY
from lookright.metrics.localisation import DEGENERATE_MAPS
from lookright.metrics.measure import in_order
from lookright.metrics.questions import RIGHT
from lookright.metrics.stability import STABILITY_OTHERS

Where = Literal["in distribution", "out of distribution"]
INSIDE: Where = "in distribution"
OUTSIDE: Where = "out of distribution"

TRAINING_TIME = Measure(
    "training_seconds",
    "Training time",
    False,
    "seconds",
    "Seconds of all epochs of a training with their validations, mean over the training domains; "
    "comparable only between trainings alone on machines of one kind.",
)

BY_PAIR = (
    *(ACCURACY, BALANCED_ACCURACY),
    *(ACCURACY_ADVERSARIAL, BALANCED_ACCURACY_ADVERSARIAL),
)
"""The measures of which every domain pair is printed, where the results show them."""

_BESIDES = (
    *(BALANCED_ACCURACY, BALANCED_ACCURACY_ADVERSARIAL, AUC),
    *(SUFFICIENCY["mean"], DEGENERATE_MAPS, STABILITY_OTHERS),
)
"""Columns besides those that a terminal shows."""


@dataclass(frozen=True)
class Column:
    """A measure, averaged over the domain pairs of one kind; where: None for all of a training.

    sheet: the table that it stands in; group: what stands above it there.
    """

    sheet: str
    group: str
    measure: Measure
    where: Where | None

    @property
    def title(self) -> str:
        """The measure's, with where it was measured if nothing above says so."""
        above = f"{self.sheet} {self.group}".lower()
        told = self.where is None or self.where in above
        return self.measure.title if told else f"{self.measure.title}, {self.where}"


def columns(measures: Mapping[str, Measure]) -> tuple[Column, ...]:
    """The columns for these measures, by key."""
    besides = {one.key for one in _BESIDES}
    main = [
        one
        for one in in_order(measures)
        if one.key in besides or (one.terminal == "column" and one.higher_is_better is not None)
    ]
    right = [one for one in main if one.question == RIGHT]
    robust = [one for one in main if one.question.robust]
    others = [one for one in main if one not in right and one not in robust]
    both = (INSIDE, OUTSIDE)
    return (
        *(Column(_AVERAGES, where.capitalize(), one, where) for where in both for one in right),
        *(Column(_AVERAGES, "Under attack", one, where) for one in robust for where in both),
        Column(_AVERAGES, "Training", TRAINING_TIME, None),
        *(Column(f"Explanation, {where}", "", one, where) for where in both for one in others),
    )


_AVERAGES = "Averages over domain pairs"
