"""The stage of explanations: is the map faithful, is it on the object, does it beat baselines?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lookright import metrics
from lookright.attacks.parts import check_parts
from lookright.errors import UserError
from lookright.evaluation.column import Column, Columns, measuring
from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult
from lookright.evaluation.stages.stage import Joined, Stage
from lookright.evaluation.typed import read_as
from lookright.evaluation.view import View
from lookright.metrics import Fill, Scorecard
from lookright.metrics.fills import fill_name
from lookright.metrics.localisation import DEGENERATE_MAPS
from lookright.metrics.metric import MapMetric, asked, measure_of
from lookright.metrics.scorecard import FAMILIES, Family, curve_name
from lookright.metrics.stability import ANSWER_COSINE, UNLIKE, answer_cosine

EXPLANATION = "explanation"
_DEGENERATE = measuring(DEGENERATE_MAPS)
_ANSWER = measuring(ANSWER_COSINE)
_MANY = 0.1


@dataclass(frozen=True)
class RemovalCurve:
    """Mean probability of the explained class as pixels are filled in the order of a map.

    map: "explanation", or a baseline's name; kind: the most salient pixels are removed first
    (deletion) or added first (insertion); shares: of the pixels changed so far, from 0 to 1, each
    with its mean probability and 95% interval.
    """

    map: str
    kind: Literal["deletion", "insertion"]
    fill: str
    shares: tuple[float, ...]
    probabilities: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(each) for each in (self.shares, self.probabilities, self.low, self.high)}
        if len(lengths - {0}) > 1:
            raise ValueError("its points are not of one number")


@dataclass(frozen=True)
class Explanations(Stage):
    """Every metric of the explanation, and of two baselines that do not depend on the model.

    These are the metrics of the scorecard, and each function of `lookright.metrics` and of the
    protocol that is declared as a metric of maps. Metrics that take masks are computed on images
    with a mask only.

    Args:
        fills: what takes the place of removed pixels, each in turn: blur, mean, black, or a
            function of images of your own. The fill decides these figures (a blur keeps colours,
            black makes edges), so there are two.
        removal_steps: points of the deletion and insertion curves after the first.
        measures: those of the scorecard that are computed. All of them take about 190 passes of an
            image with one fill, and the first two alone 31.
    """

    place: ClassVar[int] = 40

    fills: tuple[str | Fill, ...] = ("blur", "mean")
    removal_steps: int = 16
    measures: tuple[Family, ...] = FAMILIES

    def check(self, protocol: Protocol) -> None:
        check_parts("fills", self.fills, "'blur'")
        self._scorecard(protocol)
        for metric in protocol.metrics:
            asked(metric)

    def columns(self, protocol: Protocol) -> tuple[Column, ...]:
        return (
            _DEGENERATE,
            *([_ANSWER] if protocol.explainer.of_answer else []),
            *(
                each
                for measure in self._scorecard(protocol).measures
                for each in measuring(measure).beside_baselines
            ),
            *(each for _, curve in self._curves() for each in curve.beside_baselines),
            *(each for metric in _metrics(protocol) for each in _columns_of(metric)),
        )

    def see(self, view: View) -> Columns:
        batch, protocol = view.batch, view.protocol
        declared = {column.name: column for column in self.columns(protocol)}
        torch.manual_seed(view.noise)
        scores = self._scorecard(protocol)(
            view.model,
            batch.images,
            view.saliency,
            view.predicted,
            max_images=len(batch),
        )
        found = {declared[name]: score for name, score in scores.items()}
        found[_DEGENERATE] = metrics.degenerate(view.saliency)
        if of_answer := protocol.explainer.of_answer:
            torch.manual_seed(view.noise)
            with torch.no_grad():
                _, answer = of_answer(view.model, batch.images, view.predicted)
            found[_ANSWER] = answer_cosine(view.saliency, answer)
        for metric in _metrics(protocol):
            found |= _measured(metric, view)
        return found

    def warnings(self, joined: Joined) -> Iterator[str]:
        degenerate = float(joined[_DEGENERATE].float().mean())
        if degenerate > _MANY:
            yield f"{degenerate:.0%} of the explanations are empty or constant."
        if _ANSWER in joined and (alike := float(joined[_ANSWER].nanmean())) < UNLIKE:
            yield (
                f"The explanations have a mean cosine of {alike:.2f} with those of the logit less "
                "the mean of all logits: much of them is what all logits share, which changes no "
                f"answer. Explain by {joined.protocol.explainer.of_answer}."
            )
        for column in self.columns(joined.protocol):
            if column == _ANSWER and degenerate == 1:
                continue
            if column.measure and column.name in joined.values and column not in joined:
                of = f" of the baseline {column.baseline}" if column.baseline else ""
                yield f"{column.measure.title}{of} is left out: it is finite for no image."

    def summary(self, joined: Joined) -> list[RemovalCurve]:
        shares = self._scorecard(joined.protocol).curve_shares
        found = []
        for (kind, fill), curve in self._curves():
            for column in curve.beside_baselines:
                values = joined[column]
                if not values.isfinite().any(0).all():
                    continue
                points = [metrics.mean(each) for each in values.T]
                found.append(
                    RemovalCurve(
                        column.baseline or EXPLANATION,
                        kind,
                        fill,
                        shares,
                        tuple(point.value for point in points),
                        tuple(point.low for point in points),
                        tuple(point.high for point in points),
                    )
                )
        return found

    @classmethod
    def of(cls, here: DomainResult) -> tuple[RemovalCurve, ...]:
        """The curves of a domain."""
        return read_as(tuple[RemovalCurve, ...], here.stages.get(cls.name, []))

    @classmethod
    def section(cls, results: ResultSet) -> Mapping[str, Any] | None:
        """The curves of the domains that have any."""
        from lookright.evaluation.stages.explanations_section import section

        return section(results)

    def _scorecard(self, protocol: Protocol) -> Scorecard:
        return Scorecard(protocol.explainer, self.fills, self.removal_steps, families=self.measures)

    def _curves(self) -> Iterator[tuple[tuple[Literal["deletion", "insertion"], str], Column]]:
        kinds: tuple[Literal["deletion", "insertion"], ...] = ("deletion", "insertion")
        for fill in map(fill_name, self.fills):
            for kind in kinds:
                if kind in self.measures:
                    yield (kind, fill), Column(curve_name(kind, fill))


def _metrics(protocol: Protocol) -> tuple[MapMetric, ...]:
    """The library's metrics, and those of the protocol."""
    return (*metrics.METRICS, *protocol.metrics)


def _columns_of(metric: MapMetric) -> tuple[Column, ...]:
    column = measuring(measure_of(metric), masked="masks" in asked(metric))
    return column.beside_baselines if "saliency" in asked(metric) else (column,)


def _measured(metric: MapMetric, view: View) -> Columns:
    """The metric of the explanation and, if it is one of maps, of the baselines."""
    names = asked(metric)
    where = view.has_mask if "masks" in names else torch.ones_like(view.has_mask)
    if not where.any():
        return {}
    maps = {"": view.saliency} | view.baselines
    there: dict[str, Any] = {
        "images": view.batch.images,
        "masks": view.batch.masks,
        "ignored": view.batch.ignored,
        "labels": view.batch.labels,
        "logits": view.logits,
        "target": view.predicted,
    }
    found = {}
    for column in _columns_of(metric):
        each = there | {"saliency": maps[column.baseline]}
        given = {name: view.model if name == "model" else _of(each[name], where) for name in names}
        with torch.no_grad():
            found[column] = values = metric(**given)
        if values.shape != (int(where.sum()),):
            raise UserError(
                f"The metric {column.measure.key if column.measure else column.name} gave a tensor "
                f"of shape {tuple(values.shape)} for {int(where.sum())} images: return one number "
                "for each image, (B,)."
            )
    return found


def _of(values: Tensor | None, where: Tensor) -> Tensor | None:
    return None if values is None else values[where]
