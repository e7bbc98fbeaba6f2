"""Certificates: what may be claimed of a distribution from a draw of n images, and how surely."""

from lookright.certificates.certificate import Certificate, Claim

__all__ = ["Certificate", "Claim"]
