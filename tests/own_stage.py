"""A stage of one's own, as a user writes it: this file and the template beside it."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from lookright.evaluation.column import Column, measuring
from lookright.evaluation.stages.answers import RIGHT, Answers
from lookright.evaluation.stages.stage import Stage
from lookright.metrics import Measure, correct

MIRRORED = Measure(
    "accuracy_mirrored", "Mirrored accuracy", True, "rate", "Share right when mirrored."
)
_RIGHT, _SAME = measuring(MIRRORED), Column("same_when_mirrored")


@dataclass(frozen=True)
class Mirrored(Stage):
    """Is the answer right when the image is mirrored?

    upright: mirror up and down too.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Answers,)

    upright: bool = False

    def columns(self, protocol):
        return _RIGHT, _SAME

    def see(self, view):
        with torch.no_grad():
            logits = view.model(self._mirrored(view))
        right = correct(logits, view.batch.labels)
        return {_RIGHT: right, _SAME: right == view[RIGHT]}

    def show(self, view):
        return {"mirrored": (255 * self._mirrored(view)).byte()}

    def summary(self, joined):
        return {"same": float(joined[_SAME].float().mean())}

    @classmethod
    def section(cls, results):
        told = [
            (run.name, domain, here.stages[cls.name]["same"])
            for run in results.runs
            for domain, here in run.domains.items()
            if cls.name in here.stages
        ]
        return {"told": told} if told else None

    def _mirrored(self, view):
        return view.batch.images.flip((2, 3) if self.upright else 3)
