"""A model and data into a result."""

from lookright.evaluation.evaluate import evaluate
from lookright.evaluation.protocol import Protocol

__all__ = ["Protocol", "evaluate"]
