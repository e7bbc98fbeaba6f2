"""One domain: its batches through the stages of the protocol, and what was found as figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from lookright.batch import Batch
from lookright.chance import ImageGenerator
from lookright.evaluation.cache import BatchResult
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.result import Examples
from lookright.evaluation.stages.attacks import diagnosed, under_attack
from lookright.evaluation.stages.corruptions import corrupted
from lookright.evaluation.stages.explanation_attacks import manipulated
from lookright.evaluation.stages.explanations import elsewhere, explained, learned
from lookright.evaluation.view import View
from lookright.seeds import derived_seed

Told = Callable[[float, str], None]
"""Called with the images that are done, and what is being done."""


@dataclass(frozen=True)
class Evaluator:
    """Judges batches of one domain, each by itself; `total` images in all."""

    model: nn.Module
    protocol: Protocol
    domain: str
    total: int
    masker: nn.Module | None = None

    @property
    def stages(self) -> dict[str, Callable[[View], None]]:
        """What the protocol asks for, by name, in the order in which it is done."""
        found: dict[str, Callable[[View], None]] = {
            "attacks": under_attack,
            "diagnostics": diagnosed,
            "explanations": explained,
            "other domain": elsewhere,
        }
        if self.protocol.corruptions:
            found["corruptions"] = corrupted
        if self.protocol.goals:
            found["attacks on the explanation"] = manipulated
        if self.masker is not None:
            found["learned masks"] = learned
        return found

    def see(self, batch: Batch, start: int, twin: Batch | None, told: Told) -> BatchResult:
        """What is found of a batch whose first image is number `start` of the domain."""

        def generator(purpose: str) -> torch.Generator:
            seed = self.protocol.seed
            return ImageGenerator(
                derived_seed(seed, self.domain, purpose),
                batch.images.device,
                derived_seed(seed, self.domain, start, purpose),
            )

        noise = derived_seed(self.protocol.seed, self.domain, start)
        view = View(
            self.model, self.protocol, batch, generator, noise, self.total, twin, self.masker
        )
        for number, (name, stage) in enumerate(self.stages.items()):
            told(start + number / len(self.stages) * len(batch), name)
            stage(view)
        values = view.values | {"logits": view.logits, "labels": batch.labels}
        return BatchResult(
            {name: value.detach().cpu() for name, value in values.items()},
            {name: value[: self.protocol.examples].cpu() for name, value in view.shown.items()},
        )


def examples(records: Sequence[BatchResult], protocol: Protocol) -> Examples:
    """The first images of a domain, to be shown."""
    goals = {"goals": np.array(protocol.goals)} if protocol.goals else {}
    shown = {
        name: torch.cat([record.shown[name] for record in records])[: protocol.examples].numpy()
        for name in records[0].shown
        if all(name in record.shown for record in records)
    }
    fields: dict[str, Any] = shown | goals
    return Examples(**fields)
