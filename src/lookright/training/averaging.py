"""The moving average of a network's weights over the steps of a training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from lookright.models.average import average_in, tensors_of


class Averaging(L.Callback):
    """After each step, average <- d average + (1 - d) weights: an exponential moving average (EMA).

    d = min(decay, (1 + t) / (10 + t)) after t steps, so that the first weights soon count for
    little. The statistics of BatchNorm are averaged in the same way; buffers of whole numbers are
    copied. The average is what is validated and what `averaged` gives to be saved; at the end of
    the training the network keeps it. Steps, and the attacks in them, use the network's own
    weights. Part of the checkpoint, so that a resumed training goes on with it.

    Args:
        network: what is averaged; its weights change in place.
        decay: in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = network
        self.decay = decay
        self.average: dict[str, Tensor] = {}

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.average = {
            name: self.average.get(name, own).to(own, copy=True)
            for name, own in tensors_of(self.network).items()
        }

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: Any
    ) -> None:
        average_in(self.average, tensors_of(self.network), self.decay, trainer.global_step)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._exchange()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._exchange()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._exchange()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the network has the averaged weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, own in tensors_of(self.network).items():
            former = own.clone()
            own.copy_(self.average[name])
            self.average[name] = former

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.average = dict(state_dict["average"])
