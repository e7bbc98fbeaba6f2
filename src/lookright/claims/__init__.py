"""Claims: lower bounds for a whole distribution, with their probability, from a draw of n
images."""

from lookright.claims.claim import Claims, claim, claims_from
from lookright.claims.evaluated import Evaluated
from lookright.claims.file import sentences
from lookright.claims.lemmas import (
    Inequality,
    Outputs,
    change,
    compare_lemma,
    measure_lemmas,
)
from lookright.claims.plan import Plan, Similarity, draw
from lookright.claims.statement import Claim, DifferenceClaim, Property
from lookright.claims.values import PROPERTIES, claim_values, compare_values

__all__ = [
    "PROPERTIES",
    "Claim",
    "Claims",
    "DifferenceClaim",
    "Evaluated",
    "Inequality",
    "Outputs",
    "Plan",
    "Property",
    "Similarity",
    "change",
    "claim",
    "claim_values",
    "claims_from",
    "compare_lemma",
    "compare_values",
    "draw",
    "measure_lemmas",
    "sentences",
]
