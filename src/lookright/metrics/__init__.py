"""Measures as pure functions of batched tensors, each in the same file as its declaration.

`MEASURES` are all measures declared in this folder, ordered by the question they answer.
"""

from importlib import import_module
from pkgutil import iter_modules

from lookright.distances import degenerate
from lookright.metrics.baselines import BASELINES, baselines
from lookright.metrics.classification import (
    balanced,
    correct,
    correct_under_all,
    macro_auc,
)
from lookright.metrics.deletion import (
    deletion,
    deletion_curve,
    insertion,
    insertion_curve,
)
from lookright.metrics.faithfulness import (
    SHARES,
    Faithfulness,
    RemovalCurves,
    faithfulness,
    removal_curves,
)
from lookright.metrics.fills import FILLS, Fill, fill_named
from lookright.metrics.infidelity import (
    GaussianNoise,
    PixelPerturbation,
    Squares,
    infidelity,
)
from lookright.metrics.localisation import (
    localisation_iou,
    localisation_mass,
    localisation_soft_iou,
    mask_area,
    pointing_game,
)
from lookright.metrics.manipulation import (
    MANIPULATED,
    manipulated_centre,
    manipulated_kept,
    manipulated_target,
    manipulated_topk,
)
from lookright.metrics.masks import mask_iou, mask_mass, mask_soft_iou
from lookright.metrics.measure import Measure, collected, in_order
from lookright.metrics.metric import MapMetric, declared_in, metric
from lookright.metrics.randomisation import (
    cascade,
    randomisation_spearman,
    randomised,
)
from lookright.metrics.scorecard import Scorecard
from lookright.metrics.sensitivity import max_sensitivity
from lookright.metrics.stability import (
    stability_cosine,
    stability_others,
    stability_spearman,
    stability_topk,
)
from lookright.statistics.intervals import Estimate, mean, rate
from lookright.statistics.paired import Paired, paired

_MODULES = [import_module(found.name) for found in iter_modules(__path__, f"{__name__}.")]
MEASURES: tuple[Measure, ...] = tuple(
    in_order({one.key: one for module in _MODULES for one in collected(vars(module))})
)

METRICS: tuple[MapMetric, ...] = tuple(
    one for module in _MODULES for one in declared_in(vars(module))
)
"""The metrics of saliency maps declared in this folder."""

__all__ = [
    "BASELINES",
    "FILLS",
    "MANIPULATED",
    "MEASURES",
    "METRICS",
    "SHARES",
    "Estimate",
    "Faithfulness",
    "Fill",
    "GaussianNoise",
    "MapMetric",
    "Measure",
    "Paired",
    "PixelPerturbation",
    "RemovalCurves",
    "Scorecard",
    "Squares",
    "balanced",
    "baselines",
    "cascade",
    "correct",
    "correct_under_all",
    "degenerate",
    "deletion",
    "deletion_curve",
    "faithfulness",
    "fill_named",
    "infidelity",
    "insertion",
    "insertion_curve",
    "localisation_iou",
    "localisation_mass",
    "localisation_soft_iou",
    "macro_auc",
    "manipulated_centre",
    "manipulated_kept",
    "manipulated_target",
    "manipulated_topk",
    "mask_area",
    "mask_iou",
    "mask_mass",
    "mask_soft_iou",
    "max_sensitivity",
    "mean",
    "metric",
    "paired",
    "pointing_game",
    "randomisation_spearman",
    "randomised",
    "rate",
    "removal_curves",
    "stability_cosine",
    "stability_others",
    "stability_spearman",
    "stability_topk",
]
