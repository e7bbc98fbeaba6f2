"""Claims: what may be said of a distribution from a draw of n images, and how surely."""

from lookright.claims.claim import Claim, DifferenceClaim, Property
from lookright.claims.lemmas import (
    Inequality,
    Outputs,
    change,
    compare_lemma,
    measure_lemmas,
)
from lookright.claims.models import Claims, claim_models
from lookright.claims.plan import Plan, Similarity, draw
from lookright.claims.record import sentences
from lookright.claims.values import PROPERTIES, claim_values, compare_values

__all__ = [
    "PROPERTIES",
    "Claim",
    "Claims",
    "DifferenceClaim",
    "Inequality",
    "Outputs",
    "Plan",
    "Property",
    "Similarity",
    "change",
    "claim_models",
    "claim_values",
    "compare_lemma",
    "compare_values",
    "draw",
    "measure_lemmas",
    "sentences",
]
