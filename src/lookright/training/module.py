"""A method as Lightning sees it: steps, optimiser, schedule and loaders."""

from collections.abc import Mapping
from contextlib import nullcontext
from math import isfinite
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import one_hot
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler

from lookright.attacks import PGD, Attack
from lookright.batch import Batch
from lookright.chance import ImageGenerator
from lookright.data import Split, SplitName
from lookright.data.loaders import Loader, stored_loader
from lookright.errors import UserError
from lookright.methods.method import Method
from lookright.metrics import correct
from lookright.modes import without_looking
from lookright.processes import together
from lookright.seeds import derived_seed
from lookright.training.descent import optimizer_of, rate
from lookright.training.overfitting import MANY_STEPS, ONE_STEP, one_step
from lookright.training.sampling import training_order
from lookright.training.settings import Settings


class Module(L.LightningModule):
    """Trains `method` on the train part and validates on the validation part.

    Everything random in an epoch follows from (seed, epoch, rank), so that an epoch can be
    repeated: the permutation, augmentation, attacks and dropout.
    """

    def __init__(
        self,
        method: Method,
        parts: Mapping[SplitName, Split],
        settings: Settings,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.method = method
        self.settings = settings
        self.workers = workers
        self.classes = parts["train"].data.classes
        self.parts = parts
        self.own = 0
        self.unseen: list[tuple[int, dict[str, Tensor]]] = []
        self.finished = 0
        self.steps = 1
        under = settings.validation_attack or in_its_ball(method.attack)
        attacks = {MANY_STEPS: under, ONE_STEP: one_step(method.attack, under)}
        self.judged: dict[str, Attack | None] = {"val/accuracy": None}
        self.judged |= {name: attack for name, attack in attacks.items() if attack}

    def train_dataloader(self) -> Loader:
        part, trainer = self.parts["train"], self.trainer
        order, batch_size = training_order(
            part, self.method, self.settings, trainer.global_rank, trainer.world_size
        )
        self.order = order
        order.set_epoch(self.finished)  # worker processes read ahead before Lightning says so
        return self._loader(part, batch_size, order)

    def val_dataloader(self) -> Loader:
        part = self.parts["validation"]
        rank, processes, n = self.trainer.global_rank, self.trainer.world_size, len(part)
        self.own = len(range(rank, n, processes))
        share = range(rank, -(-n // processes) * processes, processes)  # as long for every process
        own = Split(part.data, [part.where[index % n] for index in share])
        return self._loader(own, self.settings.batch_size)

    def _loader(self, part: Split, batch_size: int, order: Sampler[int] | None = None) -> Loader:
        device = self.trainer.strategy.root_device
        return stored_loader(
            part, batch_size, device, self.workers, order, drop_last=order is not None
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.finished = checkpoint["epoch"] + 1

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = optimizer_of(self.method, self.settings)
        self.steps = self.settings.steps or int(self.trainer.estimated_stepping_batches)
        scheduler = LambdaLR(optimizer, rate(self.settings, self.steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        low, high = batch.labels.aminmax()
        if low < 0 or high >= len(self.classes):
            raise UserError(
                f"Expected labels from 0 to {len(self.classes) - 1}, one of {len(self.classes)} "
                f"classes; got {int(low if low < 0 else high)}: fix the data's labels or classes."
            )
        return batch

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the classifier's gradient and that of a masker beside it, each by its own norm."""
        if gradient_clip_val is None:
            return
        model = {id(parameter) for parameter in self.method.model.parameters()}
        beside = [each for each in self.method.parameters() if id(each) not in model]
        for part in (list(self.method.model.parameters()), beside):
            torch.nn.utils.clip_grad_norm_(part, gradient_clip_val)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        self.method.progress = self.trainer.global_step / self.steps
        if batch_idx == 0:
            epoch, rank = self.current_epoch, self.global_rank
            torch.manual_seed(derived_seed(self.settings.seed, "epoch", epoch, "rank", rank))
            if epoch + 1 == self.trainer.max_epochs:
                self.trainer.check_val_every_n_epoch = 1
            if self.settings.steps:  # the last epoch may be shorter than the others
                self.trainer.val_check_batch = len(self.order) // len(batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        batch = self._augmented(batch, batch_idx == 0)
        looking = nullcontext() if batch_idx % looks_every(self.device) == 0 else without_looking()
        with looking, together(self.trainer.world_size > 1):
            terms = self.method(batch)
        loss = torch.stack([*terms.values()]).sum()
        self._check_finite(terms, batch_idx)
        n = len(batch)
        named = {f"train/{name}": term.detach() for name, term in terms.items()}
        named = {"train/loss": loss.detach()} | named
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=n, sync_dist=True)
        self.log("step/loss", loss.detach(), batch_size=n)
        return loss

    def _augmented(self, batch: Batch, first: bool) -> Batch:
        """The augmented batch, the same one for all its replays within an epoch."""
        if not self.settings.augment:
            return batch
        if first or self.trainer.global_step % self.method.replays == 0:
            self.augmented = self.settings.augment(batch)
        return self.augmented

    def _check_finite(self, terms: dict[str, Tensor], step: int) -> None:
        """Refuse a loss that is not finite, at most `looks_every` steps after it occurred.

        The terms of these steps are kept and checked together, at the latest at the end of the
        epoch.
        """
        self.unseen.append((step, {name: term.detach() for name, term in terms.items()}))
        if len(self.unseen) < looks_every(self.device) and not self.trainer.is_last_batch:
            return
        unseen, self.unseen = self.unseen, []
        losses = [torch.stack([*terms.values()]).sum() for _, terms in unseen]
        finite = torch.stack(losses).isfinite().tolist()
        if self.trainer.strategy.reduce_boolean_decision(all(finite), all=True):
            return
        raise self._not_finite(*unseen[-1 if all(finite) else finite.index(False)])

    def _not_finite(self, step: int, terms: dict[str, Tensor]) -> UserError:
        values = {name: float(term) for name, term in terms.items()}
        wrong = [f"{name} = {value:g}" for name, value in values.items() if not isfinite(value)]
        return UserError(
            f"The loss is not finite ({', '.join(wrong) or 'a term on another device'}) at step "
            f"{step + 1} of epoch {self.current_epoch + 1}: lower lr (now {self.settings.lr:g}), "
            "clip the gradient (clip=1.0) or train in precision='32-true'; the checkpoints of the "
            "epochs before are kept."
        )

    def on_validation_epoch_start(self) -> None:
        shape = 1 + len(self.judged), len(self.classes)
        self.hits = torch.zeros(shape, dtype=torch.long, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count the images of each class, and the right answers among them; what an image's are
        does not depend on process or batch."""
        model, x, y = self.method.model, batch.images, batch.labels
        chance = ImageGenerator(derived_seed(self.settings.seed, "validation"), self.device)
        counted = slice(self.counted(batch, batch_idx))
        of_class = one_hot(y[counted], len(self.classes))
        self.hits[0] += of_class.sum(0)
        for place, attack in enumerate(self.judged.values(), 1):
            seen = attack(model, x, y, chance) if attack else x
            with torch.no_grad():
                right = correct(model(seen), y)[counted]
            self.hits[place] += (of_class * right[:, None]).sum(0)

    def counted(self, batch: Batch, batch_idx: int) -> int:
        """How many of a validation batch are this process's own; those after them fill it up."""
        return max(0, min(len(batch), self.own - batch_idx * self.settings.batch_size))

    def on_validation_epoch_end(self) -> None:
        n, *hits = self.trainer.strategy.reduce(self.hits, reduce_op="sum").cpu()
        for name, right in zip(self.judged, hits, strict=True):
            self.log(name, int(right.sum()) / int(n.sum()), sync_dist=True)
            if self.settings.balance_classes and name != ONE_STEP:
                recalls = right[n > 0].double() / n[n > 0]
                self.log(balanced(name), float(recalls.mean()), sync_dist=True)


def selected_by(method: Method, settings: Settings) -> str:
    """The validation measure that chooses the best epoch.

    Where every step has equally many images of each class, the classes count alike here, too: among
    many images of one class a model that always answers it would be the most accurate, and no
    attack could change its answers.
    """
    name = "val/accuracy" if method.attack is None else MANY_STEPS
    return balanced(name) if settings.balance_classes else name


def balanced(name: str) -> str:
    """The name of the same accuracy as the mean over the classes."""
    return name.replace("val/", "val/balanced_")


def looks_every(device: torch.device) -> int:
    """Number of steps whose losses are checked together: reading a loss waits for an
    accelerator."""
    return 1 if device.type == "cpu" else 10


def in_its_ball(attack: Attack | None) -> Attack | None:
    """PGD of 10 steps in the ball of a method's attack; that attack where it names no ball."""
    if attack is None or attack.ball is None:
        return attack
    return PGD(steps=10).within(attack.ball)
