"""The stage of corruptions: accuracy and stability of the explanation on corrupted images."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from lookright import metrics
from lookright.attacks.parts import check_parts
from lookright.corruptions import CORRUPTIONS, EXTRA_CORRUPTIONS, Corrupts, corruption_of
from lookright.corruptions.corruption import check_severity
from lookright.drawing import Style
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.grouping import Cell, MethodResults, ResultSet
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.answers import Answers
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics.classification import ACCURACY_CORRUPTED
from lookright.metrics.stability import STABILITY_CORRUPTED
from lookright.named import refuse_same

_RIGHT, _STAYS = measuring(ACCURACY_CORRUPTED), measuring(STABILITY_CORRUPTED)


TITLES = {"accuracy": "Accuracy", "stability": "Stability of the explanation"}
_KINDS = {name: each.family for name, each in (CORRUPTIONS | EXTRA_CORRUPTIONS).items()}
_KIND_ORDER = (*dict.fromkeys(_KINDS.values()), "other")


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
        names: ImageNet-C's names of corruptions, or corruptions of your own: functions of images
            (B, 3, H, W) in [0, 1] and a severity.
        severities: from 1 to 5.
    """

    needs: ClassVar[tuple[type[Stage], ...]] = (Answers,)
    standard: ClassVar[bool] = False
    place: ClassVar[int] = 30

    names: tuple[str | Corrupts, ...] = tuple(CORRUPTIONS)
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)

    def check(self, protocol: Protocol) -> None:
        check_parts("names", self.names, "'fog'")
        check_parts("severities", self.severities, "3")
        if not self.names or not self.severities:
            raise UserError("Corruptions needs a name and a severity at least, such as fog and 3.")
        refuse_same((corruption_of(name).name for name in self.names), "corruptions")
        for severity in self.severities:
            check_severity(severity)
        refuse_same(map(str, self.severities), "severities")

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
        """The summary of a domain; empty where it was not corrupted."""
        return read_as(tuple[Corrupted, ...], here.stages.get(cls.name, []))

    @classmethod
    def section(cls, results: ResultSet) -> Mapping[str, Any] | None:
        """The heat maps of the domains that were corrupted."""
        heat = heat_maps(results)
        return {"heat": heat, "titles": TITLES} if heat else None

    def _each(self) -> list[tuple[str | Corrupts, int, Column, Column]]:
        """Every corruption and severity, with its columns of accuracy and of stability."""
        return [
            (name, severity, Column(f"right_{called}"), Column(f"stability_{called}"))
            for name in self.names
            for severity in self.severities
            if (called := f"{corruption_of(name).name}_{severity}")
        ]


@dataclass(frozen=True)
class Square:
    """A figure as printed, its shade from 0 (a value of 0) to 10 (of 1), and a hover text."""

    printed: str
    shade: int
    text: str


@dataclass(frozen=True)
class HeatRow:
    """A family at each severity; None where it was not measured."""

    family: str
    squares: tuple[Square | None, ...]


@dataclass(frozen=True)
class HeatMap:
    """One measure of one method; `kinds` are noise, blur, weather and digital with their rows.

    overall: the mean of all squares; beside: the figure to compare it with, which is the clean
    accuracy or a random map's stability, and '' where that is not known.
    """

    method: str
    style: Style
    measure: str
    kinds: tuple[tuple[str, tuple[HeatRow, ...]], ...]
    mean: HeatRow
    overall: str
    beside: str


@dataclass(frozen=True)
class DomainHeatMaps:
    """A domain's maps by measure, all with the same severities."""

    domain: str
    in_distribution: bool
    severities: tuple[int, ...]
    maps: dict[str, tuple[HeatMap, ...]]


def heat_maps(results: ResultSet) -> list[DomainHeatMaps]:
    """The heat maps of every domain that has been corrupted."""
    found = []
    for domain in results.domains:
        corrupted = [
            (method, Style.of(index), cells)
            for index, method in enumerate(results.methods)
            if (cells := _cells(method, domain))
        ]
        if corrupted:
            severities = sorted({severity for *_, of in corrupted for _, severity, _ in of})
            maps = {
                measure: tuple(
                    _heat_map(method, style, domain, measure, severities, of)
                    for method, style, of in corrupted
                )
                for measure in TITLES
            }
            found.append(
                DomainHeatMaps(domain, results.in_distribution(domain), tuple(severities), maps)
            )
    return found


_Cells = dict[tuple[str, int, str], Cell]


def _cells(method: MethodResults, domain: str) -> _Cells:
    """By family, severity and measure, over the seeds."""
    by_place: dict[tuple[str, int], list[Corrupted]] = {}
    for _, here in method.within(domain):
        for each in Corruptions.of(here):
            by_place.setdefault((each.family, each.severity), []).append(each)
    return {
        (*place, measure): Cell.of([getattr(each, measure) for each in of])
        for place, of in by_place.items()
        for measure in TITLES
    }


def _heat_map(
    method: MethodResults,
    style: Style,
    domain: str,
    measure: str,
    severities: Sequence[int],
    cells: _Cells,
) -> HeatMap:
    families = dict.fromkeys(family for family, *_ in cells)
    kinds = []
    for kind in _KIND_ORDER:
        rows = tuple(
            HeatRow(
                _words(family),
                tuple(
                    _square(measure, cell) if (cell := cells.get((family, s, measure))) else None
                    for s in severities
                ),
            )
            for family in families
            if _KINDS.get(family, "other") == kind
        )
        if rows:
            kinds.append((kind, rows))
    means = {
        s: statistics.fmean(
            cell.value for (_, at, of), cell in cells.items() if (at, of) == (s, measure)
        )
        for s in {severity for _, severity, _ in cells}
    }
    overall = statistics.fmean(cell.value for (*_, of), cell in cells.items() if of == measure)
    if measure == "accuracy":
        what, beside = "clean", method.cell(domain, measure)
    else:
        what, beside = "a random map", method.baseline(domain, "random", "stability_corrupted")
    return HeatMap(
        method.name,
        style,
        measure,
        tuple(kinds),
        HeatRow(
            "mean",
            tuple(
                Square(_show(measure, means[s]), _shade(means[s]), "") if s in means else None
                for s in severities
            ),
        ),
        _whole(measure, overall),
        f"{what} {_whole(measure, beside.value)}" if beside else "",
    )


def _square(measure: str, cell: Cell) -> Square:
    low, high = _show(measure, max(cell.low, 0)), _show(measure, min(cell.high, 1))
    return Square(_show(measure, cell.value), _shade(cell.value), f"{low}\N{EN DASH}{high}")


def _show(measure: str, value: float) -> str:
    """Whole per cent of an accuracy, two decimals of a similarity."""
    return f"{100 * value:.0f}" if measure == "accuracy" else f"{value:.2f}"


def _words(family: str) -> str:
    return family.replace("_", " ").replace("jpeg", "JPEG").replace("gaussian", "Gaussian")


def _whole(measure: str, value: float) -> str:
    return _show(measure, value) + "%" * (measure == "accuracy")


def _shade(value: float) -> int:
    return round(10 * min(max(value, 0.0), 1.0))
