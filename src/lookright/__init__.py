"""Train image classifiers that look at the right thing and keep looking there."""

import builtins
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lookright.attacks import PGD, Ball
    from lookright.batch import Batch
    from lookright.claims.claim import claim
    from lookright.data import load_data
    from lookright.evaluation import Protocol
    from lookright.evaluation.evaluate import evaluate
    from lookright.explainers import GradCAM
    from lookright.methods import ALIGN, AT, EGAT, ERM
    from lookright.models import Classifier, build_model
    from lookright.report import write_page
    from lookright.training import Run, fit

__version__ = "0.1.0"

__all__ = [
    "ALIGN",
    "AT",
    "EGAT",
    "ERM",
    "PGD",
    "Ball",
    "Batch",
    "Classifier",
    "GradCAM",
    "Protocol",
    "Run",
    "build_model",
    "claim",
    "evaluate",
    "fit",
    "list",
    "load_data",
    "write_page",
]

_HOMES = {
    "ALIGN": "methods",
    "AT": "methods",
    "EGAT": "methods",
    "ERM": "methods",
    "PGD": "attacks",
    "Ball": "attacks",
    "Batch": "batch",
    "Classifier": "models",
    "GradCAM": "explainers",
    "Protocol": "evaluation",
    "Run": "training",
    "build_model": "models",
    "claim": "claims",
    "evaluate": "evaluation",
    "fit": "training",
    "load_data": "data",
    "write_page": "report",
}
"""The module of each name, which is imported when the name is first used (PEP 562)."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lookright' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(f"lookright.{_HOMES[name]}"), name)
    return found


def __dir__() -> builtins.list[str]:
    return sorted({*globals(), *__all__})


def list(kind: str) -> builtins.list[str]:
    """The names of a kind's members: `lookright.list("method")` gives ALIGN, AT, ...

    kind: attack, corruption, data, distance, explainer, goal, guide, masker, method, norm,
    objective, perturbation or stage.

    Raises:
        UserError: no such kind (the nearest is suggested).
    """
    from lookright.registry import names

    return names(kind)
