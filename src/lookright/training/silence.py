"""Whether a training leads to explanations, or to learned masks, that say nothing: empty, constant,
not finite, too coarse, the same for all images, or of what changes no answer."""

import warnings
from collections.abc import Callable, Sequence

import lightning as L
import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.distances import degenerate
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM
from lookright.guides import LearnedMask
from lookright.methods.method import Method
from lookright.methods.wrapper import inner_name
from lookright.metrics.stability import (
    ALIKE,
    FEW,
    PLACES,
    UNLIKE,
    answer_cosine,
    at_few_places,
    directions,
)
from lookright.modes import frozen
from lookright.seeds import derived_seed, own_noise
from lookright.training.module import Module
from lookright.training.run import Row

TRAIN, VALIDATION = "train/degenerate_maps", "val/degenerate_maps"
MASKS = "val/degenerate_masks"
OTHERS = "val/cosine_with_other_images"
ANSWER = "val/answer_cosine"

_IMAGES = 128
"""The number of images of each kind that are explained in an epoch, at most."""

_LIMITS = {VALIDATION: 0.1, MASKS: 0.1, OTHERS: ALIKE}

_SAY = {
    VALIDATION: "{0:.0%} of the explanations of validation images are empty or constant in epoch "
    "{1}, so that they explain nothing: train longer, weigh the terms of the explanation less, or "
    "compare otherwise (docs/methods.md, Maps that say nothing).",
    MASKS: "{0:.0%} of the learned masks of validation images cover nothing or everything in epoch "
    "{1}, so that they guide nowhere: lower the guide's sparsity, raise it where they cover "
    "everything, or let it begin later (warm_up).",
    OTHERS: "The explanations of different validation images have a mean cosine of {0:.2f} in "
    "epoch {1}, so that it says little if they are steady: let the terms of the explanation begin "
    "later (in EGAT --method.guide.warm_up), or weigh them less.",
    ANSWER: "The explanations of validation images have a mean cosine of {0:.2f} with those of the "
    "logit less the mean of all logits in epoch {1}: much of them is what all logits share, which "
    "changes no answer. Train by explanations without it (--method.explainer.centred true).",
}


def met_by_silence(method: Method) -> str | None:
    """A note where a term of the method costs a map that says nothing less than one that says
    something else, else None."""
    terms = method.met_by_silence
    if not terms:
        return None
    listed = "; ".join(f"{name} by one that is {', '.join(of)}" for name, of in terms.items())
    of_model = {of for name, (_, of) in method.compared.items() if name in terms}
    better = [
        how
        for of, how in (
            (True, "class maps before the ReLU by Correlation"),
            (False, "maps with masks by Contrast"),
        )
        if of in of_model
    ]
    return (
        f"{inner_name(method)} has terms that a map which says nothing satisfies better than an "
        f"unrelated one ({listed}): read the share of degenerate maps in log.txt"
        f"{'; to be without such terms, compare ' if better else ''}{', and '.join(better)} "
        "(docs/methods.md)."
    )


def too_coarse(method: Method, height: int, width: int) -> str | None:
    """A note where the maps that a method compares have too few places to say where, else None."""
    if height * width >= PLACES:
        return None
    return (
        f"The maps of {inner_name(method)} have {height} x {width} places, too few to say where "
        "the model looks: explain an earlier layer (--method.explainer.layer NAME), or train on "
        "larger images (--image_size)."
    )


class SilenceCheck(L.Callback):
    """Logs the share of degenerate explanations, and says once that a method's own are many.

    Likewise how alike the explanations of different validation images are (`stability_others`, of
    the clean images), how unlike they are to those of the answer (`answer_cosine`), if the method
    compares explanations that could be of it, and the share of degenerate learned masks, once they
    guide: of which no pixel, or each, is 0.5 or more.

    The method's explainer, as it is shown, or Grad-CAM if it has none, explains the predicted class
    of the first images of the epoch, and of the first validation images. Models that it cannot
    explain have no such share. It is judged in the second half of the training, and after the first
    epoch, since an untrained network may have empty maps.

    earlier: the rows of the epochs before, if the training is resumed.
    """

    def __init__(
        self, method: Method, note: Callable[[str], None], epochs: int, earlier: Sequence[Row]
    ) -> None:
        self.method = method
        self.explainer: Explainer | None = (method.explainer or GradCAM()).shown
        self.note = note
        self.epochs = epochs
        self.coarse = False
        self.said = {name for row in earlier for name in self._alarms(int(row["epoch"]), row)}
        self.seen = 0
        self.measured = bool(earlier) or not method.explainer

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        maps = self._maps(self._first(batch.images), batch_idx)
        if maps is not None:
            self._measure(trainer, *maps.shape[-2:])
            share = degenerate(maps).float().mean()
            n = len(maps)
            pl_module.log(TRAIN, share, on_step=False, on_epoch=True, batch_size=n, sync_dist=True)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen = 0
        zero = torch.zeros(2, dtype=torch.long, device=pl_module.device)
        self.counts = {VALIDATION: zero, MASKS: zero.clone()}
        self.sums = torch.zeros(FEW**2 + 2, dtype=torch.double)
        self.answers = torch.zeros(2, device=pl_module.device)

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, Module)
        x = self._first(batch.images)[: pl_module.counted(batch, batch_idx)]
        maps = self._maps(x, batch_idx)
        silent = {
            VALIDATION: _none(x) if maps is None else degenerate(maps),
            MASKS: self._silent_masks(x),
        }
        if maps is not None:
            self._add(directions(at_few_places(maps)))
            self._compare(maps, self._maps(x, batch_idx, of_answer=True))
        for name, each in silent.items():
            self.counts[name][0] += each.sum()
            self.counts[name][1] += len(each)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for name, counts in self.counts.items():
            silent, n = trainer.strategy.reduce(counts, reduce_op="sum").tolist()
            if n:
                pl_module.log(name, silent / n, sync_dist=True)
        sums = self.sums.to(pl_module.device, torch.float32)
        *total, own, n = trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        if n > 1:
            pairs = sum(value**2 for value in total) - own
            pl_module.log(OTHERS, pairs / (n * (n - 1)), sync_dist=True)
        alike, n = trainer.strategy.reduce(self.answers, reduce_op="sum").tolist()
        if n:
            pl_module.log(ANSWER, alike / n, sync_dist=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        row = {name: float(value) for name, value in trainer.callback_metrics.items()}
        epoch = trainer.current_epoch + 1
        for name in self._alarms(epoch, row) if trainer.is_global_zero else ():
            if name not in self.said:
                self.said.add(name)
                line = _SAY[name].format(row[name], epoch)
                self.note(line)
                warnings.warn(line, stacklevel=2)

    def _add(self, maps: Tensor) -> None:
        """The sum of maps (n, places) of length 1, of their squared lengths, and their number: of
        these the mean cosine of two maps is made, whichever process has which."""
        self.sums[: maps.shape[1]] += maps.sum(0)
        self.sums[-2:] += torch.tensor([maps.square().sum(), len(maps)])

    def _compare(self, maps: Tensor, answers: Tensor | None) -> None:
        """The sum of the cosines of maps with the answers' that say something, and their number."""
        if answers is not None:
            alike = answer_cosine(maps, answers)
            self.answers += torch.stack([alike.nansum(), alike.isfinite().sum()])

    def _measure(self, trainer: L.Trainer, height: int, width: int) -> None:
        line = None if self.measured else too_coarse(self.method, height, width)
        self.coarse = height * width < PLACES
        self.measured = True
        if line and trainer.is_global_zero:
            self.note(line)
            warnings.warn(line, stacklevel=2)

    def _first(self, images: Tensor) -> Tensor:
        """Those of these that are among the first images of the epoch."""
        first = images[: _IMAGES - self.seen]
        self.seen += len(first)
        return first

    def _silent_masks(self, x: Tensor) -> Tensor:
        """(n,) bool for the n images x, none where no learned mask guides."""
        guide = self.method.guide
        if not isinstance(guide, LearnedMask) or self.method.progress < guide.warm_up:
            return _none(x)
        with frozen(guide), torch.no_grad():
            covered = guide.masks(x).flatten(1) >= 0.5
        return covered.all(1) | ~covered.any(1)

    def _maps(self, x: Tensor, batch_idx: int, of_answer: bool = False) -> Tensor | None:
        """The explanations of images, of_answer: without what all logits share; None where there
        are none."""
        model = self.method.model
        explainer = self.explainer.of_answer if self.explainer and of_answer else self.explainer
        if explainer is None or not len(x):
            return None
        noise = derived_seed(0, "degenerate maps", batch_idx)
        try:
            with frozen(model), torch.no_grad(), own_noise(x.device, noise):
                return explainer(model, x)[1]
        except UserError:
            self.explainer = None
            return None

    def _alarms(self, epoch: int, row: Row) -> list[str]:
        """What of the method's own is beyond its limit after an epoch by which it should not be."""
        late = epoch > 1 and 2 * epoch >= self.epochs
        own = [*([VALIDATION] if self.method.explainer else []), MASKS]
        if self.method.explainer and not self.coarse:
            own.append(OTHERS)
        wrong = [name for name in own if row.get(name, 0.0) > _LIMITS[name]]
        compares = self.method.compared and self.method.explainer
        if compares and compares.of_answer and row.get(ANSWER, 1.0) < UNLIKE:
            wrong.append(ANSWER)
        return wrong if late else []


def _none(x: Tensor) -> Tensor:
    return torch.zeros(0, dtype=torch.bool, device=x.device)
