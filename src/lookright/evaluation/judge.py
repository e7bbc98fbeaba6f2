"""One domain: its batches through the stages of the protocol, and what was found as figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lookright import metrics
from lookright.batch import Batch
from lookright.evaluation.explanations import elsewhere, explained, learned
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.records import Record, joined
from lookright.evaluation.robustness import under_attack
from lookright.evaluation.seen import Seen
from lookright.result import CurvePoint, DomainResult, Examples
from lookright.seeds import derived_seed

Told = Callable[[float, str], None]
"""Called with the images that are done, and what is being done."""


@dataclass(frozen=True)
class Judge:
    """Judges batches of one domain, each by itself."""

    model: nn.Module
    protocol: Protocol
    domain: str
    masker: nn.Module | None = None

    @property
    def stages(self) -> dict[str, Callable[[Seen], None]]:
        """What the protocol asks for, by name, in the order in which it is done."""
        found: dict[str, Callable[[Seen], None]] = {
            "attacks": under_attack,
            "explanations": explained,
            "other domain": elsewhere,
        }
        return found | ({} if self.masker is None else {"learned masks": learned})

    def see(self, batch: Batch, start: int, twin: Batch | None, told: Told) -> Record:
        """What is found of a batch whose first image is number `start` of the domain."""

        def generator(purpose: str) -> torch.Generator:
            seed = derived_seed(self.protocol.seed, self.domain, start, purpose)
            return torch.Generator(batch.images.device).manual_seed(seed)

        torch.manual_seed(derived_seed(self.protocol.seed, self.domain, start))
        seen = Seen(self.model, self.protocol, batch, generator, twin, self.masker)
        for number, (name, stage) in enumerate(self.stages.items()):
            told(start + number / len(self.stages) * len(batch), name)
            stage(seen)
        values = seen.values | {"logits": seen.logits, "labels": batch.labels}
        return Record(
            {name: value.detach().cpu() for name, value in values.items()},
            {name: value[: self.protocol.examples].cpu() for name, value in seen.shown.items()},
        )


def figures(records: Sequence[Record], protocol: Protocol, in_distribution: bool) -> DomainResult:
    """The figures of a domain from what was found of its batches."""
    values = joined(records)
    measures = {
        measure.key: (metrics.rate if measure.unit == "rate" else metrics.mean)(values[key])
        for measure in metrics.MEASURES
        if (key := measure.key) in values
    }
    auc = metrics.macro_auc(values["logits"], values["labels"])
    if auc is not None:
        measures["auc"] = auc
    return DomainResult(
        n=len(values["labels"]),
        in_distribution=in_distribution,
        measures=measures,
        curve=tuple(
            CurvePoint(eps, metrics.rate(values[f"curve {eps}"])) for eps in protocol.radii
        ),
        warnings=tuple(_suspicions(values, protocol)),
    )


def examples(records: Sequence[Record], protocol: Protocol) -> Examples:
    """The first images of a domain, to be shown."""
    shown = {
        name: torch.cat([record.shown[name] for record in records])[: protocol.examples].numpy()
        for name in records[0].shown
        if all(name in record.shown for record in records)
    }
    fields: dict[str, Any] = shown
    return Examples(**fields)


def _suspicions(joined: Mapping[str, Tensor], protocol: Protocol) -> Iterator[str]:
    """Signs of gradient masking: robust figures that a working attack would not give."""
    share = {name: float(values.double().mean()) for name, values in joined.items()}
    n = len(joined["accuracy"])
    noise = 2 * (0.25 / n) ** 0.5
    if share["accuracy_pgd"] > share["accuracy_fgsm"] + noise:
        yield (
            f"suspect: accuracy under PGD ({share['accuracy_pgd']:.1%}) is above that under "
            f"FGSM ({share['accuracy_fgsm']:.1%}); the gradients may be masked."
        )
    if protocol.eps > 0 and share["unmoved"] > 0.1:
        yield (
            f"suspect: the gradient is exactly zero at {share['unmoved']:.0%} of the images, "
            "so that attacks by gradient fail there."
        )
    raw = [share[f"raw {eps}"] for eps in protocol.radii]
    if any(later > earlier + noise for earlier, later in pairwise(raw)):
        yield "suspect: accuracy rises with eps; the gradients may be masked."
    if share["degenerate_maps"] > 0.1:
        yield f"{share['degenerate_maps']:.0%} of the explanations are empty or constant."
