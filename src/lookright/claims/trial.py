"""Tries a model on the images drawn: what claims count, and the outputs behind the lemmas."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from lookright import metrics
from lookright.chance import ImageGenerator
from lookright.claims.lemmas import Outputs
from lookright.claims.plan import SIMILARITIES, Draw, Plan
from lookright.data import ImageData
from lookright.memory import BatchSize
from lookright.modes import frozen, full_precision
from lookright.perturbations import Drawn, SwappedBackground
from lookright.seeds import derived_seed, own_noise

SWAPS = 8
"""The number of backgrounds on which each image is tried to measure its sensitivity to them."""


@dataclass
class Trial:
    """What a model kept, image by image, in the order of the draw."""

    kept: list[bool] = field(default_factory=list)
    similarity: list[float] = field(default_factory=list)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """(n,) bool and (n,) float64."""
        similarity = torch.tensor(self.similarity, dtype=torch.float64)
        return torch.tensor(self.kept, dtype=torch.bool), similarity

    def describe(self) -> dict[str, Any]:
        return asdict(self)


def try_batches(
    model: nn.Module, data: ImageData, plan: Plan, drawn: Draw, trial: Trial, batch_size: int
) -> Iterator[int]:
    """Try the images that `trial` has not yet; yields how many are done after each batch."""
    device, size = _device(model), BatchSize(batch_size)
    similar = SIMILARITIES[plan.similarity]

    def tried(count: int) -> tuple[Tensor, Tensor]:
        start = len(trial.kept)
        chunk = _batch(data, drawn, slice(start, start + count), device)
        generator = _generator(plan, drawn, start, device)

        def explain(images: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
            # The same noise for both, so that a random explainer does not count as a change.
            torch.manual_seed(derived_seed(plan.seed, "noise", drawn.domain))
            with torch.no_grad():
                return plan.explainer(model, images, y)

        with frozen(model), full_precision(device), own_noise(device):
            clean, before = explain(chunk.batch.images)
            predicted = clean.argmax(1)
            changed = plan.perturbation(model, chunk, predicted, generator)
            logits, after = explain(changed, predicted)
        kept = metrics.correct(clean, predicted) & metrics.correct(logits, predicted)
        return kept, similar(before, after)

    while (left := plan.n - len(trial.kept)) > 0:
        kept, similarity = size.fit(tried, left)
        trial.kept += kept.tolist()
        trial.similarity += similarity.tolist()
        yield len(trial.kept)


def lemma_outputs(
    model: nn.Module, data: ImageData, plan: Plan, drawn: Draw, batch_size: int
) -> Outputs:
    """Logits of the images drawn, of the perturbed ones, and of each on SWAPS other backgrounds."""
    device, size = _device(model), BatchSize(batch_size)
    swaps = [SwappedBackground(derived_seed(plan.seed, "swap", at)) for at in range(SWAPS)]
    start, found = 0, list[Outputs]()

    def seen(count: int) -> Outputs:
        chunk = _batch(data, drawn, slice(start, start + count), device)
        with frozen(model), full_precision(device), torch.no_grad():
            source = model(chunk.batch.images)
            y = source.argmax(1)
            shifted = plan.perturbation(model, chunk, y, _generator(plan, drawn, start, device))
            target = model(shifted)
            swapped = torch.stack([model(swap(model, chunk, y)) for swap in swaps])
        return Outputs(source.cpu(), target.cpu(), swapped.cpu(), chunk.batch.labels.cpu())

    while start < plan.n:
        found.append(size.fit(seen, plan.n - start))
        start += len(found[-1].labels)
    return Outputs(
        torch.cat([each.source for each in found]),
        torch.cat([each.target for each in found]),
        torch.cat([each.swapped for each in found], 1),
        torch.cat([each.labels for each in found]),
    )


def _batch(data: ImageData, drawn: Draw, chosen: slice, device: torch.device) -> Drawn:
    where = drawn.where[chosen]
    batch = data.samples(drawn.domain, where).to(device)
    return Drawn(data, drawn.domain, where, drawn.others, batch)


def _generator(plan: Plan, drawn: Draw, start: int, device: torch.device) -> Generator:
    named = (plan.seed, "perturbation", drawn.domain)
    return ImageGenerator(derived_seed(*named), device, derived_seed(*named, start))


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device
