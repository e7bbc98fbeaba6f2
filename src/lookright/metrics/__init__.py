"""Measures as pure functions of tensors, batched on the device, each beside its description."""

from importlib import import_module
from pkgutil import iter_modules

from lookright.distances import degenerate
from lookright.metrics.baselines import BASELINES, baselines
from lookright.metrics.classification import (
    ACCURACY,
    ACCURACY_ADVERSARIAL,
    ACCURACY_CORRUPTED,
    ACCURACY_FGSM,
    ACCURACY_PGD,
    ACCURACY_UNDER,
    AUC,
    correct,
    correct_under_all,
    macro_auc,
)
from lookright.metrics.deletion import (
    DELETION,
    INSERTION,
    deletion,
    deletion_curve,
    insertion,
    insertion_curve,
)
from lookright.metrics.faithfulness import (
    COMPREHENSIVENESS,
    SHARES,
    SUFFICIENCY,
    Faithfulness,
    RemovalCurves,
    faithfulness,
    removal_curves,
)
from lookright.metrics.fills import FILLS, Fill, fill_named
from lookright.metrics.infidelity import (
    INFIDELITY,
    GaussianNoise,
    PixelPerturbation,
    Squares,
    infidelity,
)
from lookright.metrics.localisation import (
    DEGENERATE_MAPS,
    LOCALISATION_IOU,
    LOCALISATION_MASS,
    MASK_AREA,
    POINTING_GAME,
    localisation_iou,
    localisation_mass,
    mask_area,
    pointing_game,
)
from lookright.metrics.manipulation import (
    MANIPULATED,
    MANIPULATED_KEPT,
    manipulated_centre,
    manipulated_kept,
    manipulated_target,
    manipulated_topk,
)
from lookright.metrics.masks import MASK_COVERAGE, MASK_IOU, MASK_MASS, mask_iou, mask_mass
from lookright.metrics.measure import Measure
from lookright.metrics.metric import MapMetric, declared_in, metric
from lookright.metrics.randomisation import (
    RANDOMISATION_SPEARMAN,
    cascade,
    randomisation_spearman,
    randomised,
)
from lookright.metrics.scorecard import Scorecard
from lookright.metrics.sensitivity import MAX_SENSITIVITY, max_sensitivity
from lookright.metrics.stability import (
    STABILITY_CORRUPTED,
    STABILITY_COSINE,
    STABILITY_DOMAIN,
    STABILITY_SPEARMAN,
    STABILITY_TOPK,
    stability_cosine,
    stability_spearman,
    stability_topk,
)
from lookright.statistics.intervals import Estimate, mean, rate
from lookright.statistics.paired import Paired, paired

MEASURES: tuple[Measure, ...] = (
    ACCURACY,
    AUC,
    ACCURACY_FGSM,
    ACCURACY_PGD,
    *ACCURACY_UNDER.values(),
    ACCURACY_ADVERSARIAL,
    ACCURACY_CORRUPTED,
    *SUFFICIENCY.values(),
    *COMPREHENSIVENESS.values(),
    *DELETION.values(),
    *INSERTION.values(),
    *INFIDELITY.values(),
    MAX_SENSITIVITY,
    RANDOMISATION_SPEARMAN,
    LOCALISATION_MASS,
    LOCALISATION_IOU,
    POINTING_GAME,
    MASK_AREA,
    MASK_MASS,
    MASK_IOU,
    MASK_COVERAGE,
    STABILITY_COSINE,
    STABILITY_SPEARMAN,
    STABILITY_TOPK,
    STABILITY_DOMAIN,
    STABILITY_CORRUPTED,
    *MANIPULATED.values(),
    MANIPULATED_KEPT,
    DEGENERATE_MAPS,
)

_MODULES = [import_module(found.name) for found in iter_modules(__path__, f"{__name__}.")]
METRICS: tuple[MapMetric, ...] = tuple(
    one for module in _MODULES for one in declared_in(vars(module))
)
"""The metrics of maps that any module of this folder declares."""

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
    "macro_auc",
    "manipulated_centre",
    "manipulated_kept",
    "manipulated_target",
    "manipulated_topk",
    "mask_area",
    "mask_iou",
    "mask_mass",
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
    "stability_spearman",
    "stability_topk",
]
