"""Certificates: what may be claimed of a distribution from a draw of n images, and how surely."""

from lookright.certificates.bounds import (
    difference_at_least,
    share_at_least,
    share_at_most,
    sign_test,
)
from lookright.certificates.certificate import Certificate, Claim, Comparison
from lookright.certificates.certify import CLAIMS, certify_values, compare_values
from lookright.certificates.lemmas import (
    Inequality,
    Outputs,
    change,
    compare_lemma,
    measure_lemmas,
)

__all__ = [
    "CLAIMS",
    "Certificate",
    "Claim",
    "Comparison",
    "Inequality",
    "Outputs",
    "certify_values",
    "change",
    "compare_lemma",
    "compare_values",
    "difference_at_least",
    "measure_lemmas",
    "share_at_least",
    "share_at_most",
    "sign_test",
]
