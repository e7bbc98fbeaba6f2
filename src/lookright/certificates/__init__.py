"""Certificates: what may be claimed of a distribution from a draw of n images, and how surely."""

from lookright.certificates.bounds import (
    difference_at_least,
    share_at_least,
    share_at_most,
    sign_test,
)
from lookright.certificates.certificate import Certificate, Claim, Comparison
from lookright.certificates.certify import CLAIMS, certify_values, compare_values

__all__ = [
    "CLAIMS",
    "Certificate",
    "Claim",
    "Comparison",
    "certify_values",
    "compare_values",
    "difference_at_least",
    "share_at_least",
    "share_at_most",
    "sign_test",
]
