"""What a stage of an evaluation sees of a batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Generator, Tensor, nn

from lookright import metrics
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.evaluation.column import Column
from lookright.evaluation.protocol import Protocol


@dataclass
class View:
    """A batch, the model's outputs for it, and the columns of the stages that this one needs.

    logits (B, K), predicted (B,) and saliency (B, h, w) are the model's on the clean images; the
    class explained is the predicted one, everywhere. has_mask (B,): which images have an object
    mask. `view[column]` is a column of this stage or of one that it needs.

    generator: gives each purpose its own random numbers, so that a new purpose changes no other;
    they depend only on the image (`lookright.chance.ImageGenerator`). noise: the seed of an
    explainer that draws noise; it is the same for all explanations, so that chance does not count
    as a change. total: images of the whole domain. twin: the same samples in the training domain,
    where they exist.
    """

    model: nn.Module
    protocol: Protocol
    batch: Batch
    generator: Callable[[str], Generator]
    noise: int
    total: int
    twin: Batch | None = None
    masker: nn.Module | None = None
    found: dict[Column, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        images, labels = self.batch.images, self.batch.labels
        self.logits, self.saliency = self._explained(images, None)
        if self.logits.shape[1] <= int(labels.max()):
            raise UserError(
                f"The model has {self.logits.shape[1]} classes, the data a label "
                f"{int(labels.max())}: evaluate it on data of its own classes."
            )
        self.predicted = self.logits.argmax(1)

    def __getitem__(self, column: Column) -> Tensor:
        if column not in self.found:
            raise KeyError(f"No stage that this one needs has found '{column.name}': see `needs`.")
        return self.found[column]

    @property
    def has_mask(self) -> Tensor:
        batch = self.batch
        if batch.masks is None:
            return torch.zeros_like(batch.labels, dtype=torch.bool)
        has = torch.ones_like(batch.labels, dtype=torch.bool)
        if batch.ignored is not None:
            has = batch.masks.masked_fill(batch.ignored, 0).flatten(1).any(1)
        return has & (True if batch.has_mask is None else batch.has_mask)

    def right(self, images: Tensor) -> Tensor:
        """(B,) bool: whether each of these images is classified correctly."""
        with torch.no_grad():
            return metrics.correct(self.model(images), self.batch.labels)

    def explain(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the saliency of the class predicted on the clean images."""
        return self._explained(images, self.predicted)

    def _explained(self, images: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        torch.manual_seed(self.noise)
        with torch.no_grad():
            return self.protocol.explainer(self.model, images, target)

    @cached_property
    def baselines(self) -> dict[str, Tensor]:
        """The baselines' maps of the clean images, at the explanation's resolution."""
        return self._baselines_of(self.batch.images)

    def _baselines_of(self, images: Tensor) -> dict[str, Tensor]:
        return metrics.baselines(images, (self.saliency.shape[-2], self.saliency.shape[-1]))

    def compared(
        self,
        column: Column,
        measure: Callable[[Tensor, Tensor], Tensor],
        images: Tensor,
        saliency: Tensor,
    ) -> dict[Column, Tensor]:
        """`measure` between the clean saliency and that of the changed `images`, and likewise
        between each baseline's maps of the two."""
        here, there = self.baselines, self._baselines_of(images)
        return {column: measure(self.saliency, saliency)} | {
            column.by(name): measure(here[name], there[name]) for name in metrics.BASELINES
        }
