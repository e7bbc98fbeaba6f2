"""The stage of corruptions: is the answer right, and the explanation the same, when corrupted."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lookright import metrics
from lookright.corruptions import CORRUPTIONS, Corrupts, corruption_of
from lookright.corruptions.corruption import check_severity
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.answers import Answers
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics.classification import ACCURACY_CORRUPTED
from lookright.metrics.stability import STABILITY_CORRUPTED

_RIGHT, _STAYS = measuring(ACCURACY_CORRUPTED), measuring(STABILITY_CORRUPTED)


@dataclass(frozen=True)
class Corrupted:
    """Under one corruption: accuracy, and the explanation's similarity to the clean one."""

    family: str
    severity: int
    accuracy: metrics.Estimate
    stability: metrics.Estimate


@dataclass(frozen=True)
class Corruptions(Stage):
    """Every corruption at every severity, and the mean over them for each image.

    Args:
        names: of corruptions, as ImageNet-C has them, or corruptions of your own: functions of
            images (B, 3, H, W) in [0, 1] and a severity.
        severities: from 1 to 5.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Answers,)
    standard: ClassVar[bool] = False

    names: tuple[str | Corrupts, ...] = tuple(CORRUPTIONS)
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)

    def check(self, protocol: Protocol) -> None:
        if not self.names or not self.severities:
            raise UserError("Corruptions needs a name and a severity at least, such as fog and 3.")
        for name in self.names:
            corruption_of(name)
        for severity in self.severities:
            check_severity(severity)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        each = (column for _, _, *both in self._each() for column in both)
        return (*each, _RIGHT, *_STAYS.beside_baselines)

    def see(self, view: View) -> Columns:
        found: dict[Column, Tensor] = {}
        right, stable = [], []
        for name, severity, is_right, stays in self._each():
            images = corruption_of(name)(view.batch.images, severity)
            logits, saliency = view.explain(images)
            right.append(metrics.correct(logits, view.batch.labels))
            stable.append(view.compared(_STAYS, metrics.stability_cosine, images, saliency))
            found |= {is_right: right[-1], stays: stable[-1][_STAYS]}
        found[_RIGHT] = torch.stack(right).float().mean(0)
        for column in _STAYS.beside_baselines:
            found[column] = torch.stack([each[column] for each in stable]).mean(0)
        return found

    def summary(self, joined: Joined) -> list[Corrupted]:
        return [
            Corrupted(
                corruption_of(name).name,
                severity,
                metrics.rate(joined[is_right]),
                metrics.mean(joined[stays]),
            )
            for name, severity, is_right, stays in self._each()
        ]

    @classmethod
    def of(cls, here: DomainResult) -> tuple[Corrupted, ...]:
        """What was told of a domain; nothing where it was not corrupted."""
        return read_as(tuple[Corrupted, ...], here.stages.get(cls.name, []))

    def _each(self) -> list[tuple[str | Corrupts, int, Column, Column]]:
        """Every corruption, severity, and its columns: is it right, and does the map stay."""
        return [
            (name, severity, Column(f"right_{called}"), Column(f"stability_{called}"))
            for name in self.names
            for severity in self.severities
            if (called := f"{corruption_of(name).name}_{severity}")
        ]
