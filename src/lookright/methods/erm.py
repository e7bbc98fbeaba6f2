"""Empirical risk minimisation: standard training, the baseline of all other methods."""

from torch import Tensor

from lookright.batch import Batch
from lookright.methods.method import Method


class ERM(Method):
    """L = CE(f(x), y) (Vapnik, 1998)."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"clean": self.cross_entropy(self.model(batch.images), batch.labels)}
