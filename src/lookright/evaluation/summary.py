"""Turns the values of a domain's images into the figures of its result and into its table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lookright import metrics
from lookright.evaluation.cache import BatchResult, joined
from lookright.evaluation.column import HAS_MASK, LABEL, PREDICTED, Column
from lookright.evaluation.evaluator import Evaluator
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import DomainResult, Examples
from lookright.evaluation.stages.stage import Joined, measured
from lookright.evaluation.table import Rows
from lookright.evaluation.typed import as_json
from lookright.metrics import Measure


@dataclass(frozen=True)
class Summary:
    """The records of all batches of a domain that have judged images, one at least.

    unanswered: the number of images left out because the model gave NaN or infinity for them.
    """

    evaluator: Evaluator
    records: Sequence[BatchResult]
    unanswered: int = 0

    @property
    def protocol(self) -> Protocol:
        return self.evaluator.protocol

    def result(self, **about: Any) -> DomainResult:
        """The figures of the domain; about: the other fields of `DomainResult`."""
        evaluator, values = self.evaluator, joined(self.records)
        whole = Joined(
            *(values, self.protocol, evaluator.model, evaluator.domain, evaluator.total),
            self.unanswered,
        )
        measures: dict[str, metrics.Estimate] = {}
        baselines: dict[str, dict[str, metrics.Estimate]] = {}
        paired: dict[str, dict[str, metrics.Paired]] = {}
        stages: dict[str, Any] = {}
        warnings: list[str] = []
        for stage in self.protocol.chosen:
            mine, columns = whole.read_by(stage), stage.columns(self.protocol)
            measures |= stage.figures(mine)
            for name in metrics.BASELINES:
                baselines.setdefault(name, {}).update(measured(mine, columns, name))
                paired.setdefault(name, {}).update(_paired(mine, columns, name))
            warnings += stage.warnings(mine)
            if (told := stage.summary(mine)) is not None:
                stages[stage.name] = json.loads(json.dumps(as_json(told)))
        return DomainResult(
            n=len(values[LABEL.name]),
            measures=measures,
            baselines=baselines,
            paired=paired,
            stages=stages,
            warnings=tuple(warnings),
            judged_classes=len(values[LABEL.name].unique()),
            **about,
        )

    def declared(self, measures: Mapping[str, metrics.Estimate]) -> dict[str, Measure]:
        """Those of the measures that are not the library's own."""
        known = {measure.key for measure in metrics.MEASURES}
        columns = (each for stage in self.protocol.chosen for each in stage.columns(self.protocol))
        return {
            each.key: each.measure
            for each in columns
            if each.measure is not None and each.key in measures.keys() - known
        }

    def rows(self, keys: Sequence[str]) -> Rows:
        """The table, with a row for each image; keys: those of the images."""
        values = joined(self.records)
        stages = self.protocol.chosen
        columns = [each for stage in stages for each in stage.columns(self.protocol)]
        rows: dict[str, NDArray[Any]] = {"image": np.array(keys, dtype=np.str_)}
        for column in (LABEL, PREDICTED, *columns):
            if column.name in values and values[column.name].ndim == 1:
                rows[column.name] = _whole(column, values).numpy()
        return rows

    def examples(self) -> Examples:
        """The first images, for the page."""
        records, limit = self.records, self.protocol.examples
        whole = {
            name: torch.cat([record.shown[name] for record in records])[:limit].numpy()
            for name in records[0].shown
            if all(name in record.shown for record in records)
        }
        return Examples.of(whole)


def _paired(joined: Joined, columns: Sequence[Column], baseline: str) -> dict[str, metrics.Paired]:
    """The explanation against a baseline on the same images, in measures where it should win."""
    return {
        column.key: metrics.paired(
            joined[column], joined[column.by(baseline)], column.measure.higher_is_better
        )
        for column in columns
        if column.measure is not None
        and not column.baseline
        and baseline in column.measure.beats
        and column.measure.higher_is_better is not None
        and column.by(baseline) in joined
    }


def _whole(column: Column, values: Mapping[str, Tensor]) -> Tensor:
    """(n,): with NaN for the images that have no row."""
    found = values[column.name]
    if not column.masked:
        return found
    whole = torch.full(values[HAS_MASK.name].shape, torch.nan, dtype=torch.float64)
    whole[values[HAS_MASK.name]] = found.double()
    return whole
