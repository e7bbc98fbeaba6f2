"""Runs the stages of the protocol on the batches of one domain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.batch import Batch
from lookright.chance import ImageGenerator
from lookright.errors import UserError
from lookright.evaluation.cache import BatchResult
from lookright.evaluation.column import HAS_MASK, LABEL, PREDICTED, Columns
from lookright.evaluation.previews import grey, heat, pixels
from lookright.evaluation.protocol import Protocol
from lookright.evaluation.stages import Stage
from lookright.evaluation.view import View
from lookright.seeds import derived_seed

Told = Callable[[float, str], None]
"""Called with the number of images done and the name of the current stage."""


@dataclass(frozen=True)
class Evaluator:
    """Evaluates batches of one domain, each by itself; `total` images in all."""

    model: nn.Module
    protocol: Protocol
    domain: str
    total: int
    masker: nn.Module | None = None

    def see(self, batch: Batch, start: int, twin: Batch | None, told: Told) -> BatchResult:
        """Evaluate a batch whose first image is number `start` of the domain.

        Images that could not be read (label -1), or for which the model gives NaN or infinity, are
        left out.

        Raises:
            UserError: the model gives NaN or infinity for all images of the first batch.
        """
        judged = batch.labels >= 0
        if twin is not None:
            judged &= twin.labels >= 0
        while judged.any():
            view = self._view(batch, start, twin, judged)
            finite = view.logits.isfinite().all(1)
            if finite.all():
                return self._seen(view, start, told, judged.cpu())
            if start == 0 and not finite.any():
                raise UserError(
                    f"The model gave NaN or infinity for all {len(finite)} images of its first "
                    "batch: its weights or these images are broken."
                )
            judged[judged.clone()] = finite
        return BatchResult({}, {}, judged.cpu())

    def _view(self, batch: Batch, start: int, twin: Batch | None, judged: Tensor) -> View:
        if not judged.all():
            batch, twin = batch.select(judged), twin.select(judged) if twin else None

        def generator(purpose: str) -> torch.Generator:
            seed = self.protocol.seed
            return ImageGenerator(
                derived_seed(seed, self.domain, purpose),
                batch.images.device,
                derived_seed(seed, self.domain, start, purpose),
            )

        noise = derived_seed(self.protocol.seed, self.domain)
        return View(
            self.model, self.protocol, batch, generator, noise, self.total, twin, self.masker
        )

    def _seen(self, view: View, start: int, told: Told, judged: Tensor) -> BatchResult:
        batch = view.batch
        columns = {LABEL: batch.labels, PREDICTED: view.predicted, HAS_MASK: view.has_mask}
        shown = dict(_shown(view))
        found: list[tuple[Stage, Columns]] = []
        stages = self.protocol.chosen
        for number, stage in enumerate(stages):
            told(start + number / len(stages) * len(batch), stage.name.replace("_", " "))
            needed = [of for other, of in found if isinstance(other, stage.needs)]
            view.found = {column: value for of in needed for column, value in of.items()}
            mine = _declared(stage, stage.see(view), self.protocol)
            view.found |= mine
            shown |= {f"{stage.name}.{name}": of for name, of in stage.show(view).items()}
            columns |= mine
            found.append((stage, mine))
        return BatchResult(
            {each.name: _kept(value) for each, value in columns.items() if each.kept},
            {name: _kept(value[: self.protocol.examples]) for name, value in shown.items()},
            judged,
        )


def _kept(value: Tensor) -> Tensor:
    """On the CPU; numbers of half precision, such as a model's logits, as float32."""
    half = value.is_floating_point() and value.dtype.itemsize < torch.float32.itemsize
    return value.detach().to("cpu", torch.float32 if half else value.dtype)


def _shown(view: View) -> Mapping[str, Tensor]:
    """The images, their explanations and the model's predictions."""
    probability, predicted = view.logits.softmax(1).max(1)
    masks = view.batch.masks
    if masks is not None:
        masks = masks.masked_fill(~view.has_mask[:, None, None, None], 0)
    return {
        "images": pixels(view.batch.images),
        "saliency": heat(view.saliency),
        "labels": view.batch.labels,
        "predicted": predicted,
        "probability": probability,
    } | ({} if masks is None else {"masks": grey(masks)})


def _declared(stage: Stage, found: Columns, protocol: Protocol) -> Columns:
    """The columns that a stage returned; refused unless it has declared all of them."""
    declared = stage.columns(protocol)
    if unknown := [column.name for column in found if column not in declared]:
        raise UserError(
            f"The stage {stage.name} found '{unknown[0]}', which its columns() do not declare: add "
            "it there."
        )
    return found
