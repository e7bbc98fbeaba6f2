"""A fresh draw of images, what models keep of it, and the certificates that follow."""

from lookright.trials.certified import Certified, certify_models
from lookright.trials.plan import Plan, Similarity
from lookright.trials.record import sentences

__all__ = ["Certified", "Plan", "Similarity", "certify_models", "sentences"]
