"""`fit`: train a method on data and keep the run in a folder."""

import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import Progress

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.data import Seen, as_data
from lookright.data.decoded import Decoded
from lookright.devices import best_device, borrowed
from lookright.errors import StoppedError, UserError
from lookright.files import as_path, full_disk, verified
from lookright.locks import locked
from lookright.methods.method import Method, smoothed_labels
from lookright.models import known_of, load_weights, read_weights
from lookright.modes import freeze_statistics
from lookright.progress import progress_bar
from lookright.spec import spec_of
from lookright.training.config import describe_run, method_title
from lookright.training.guiding import check_guided
from lookright.training.hosts import unnamed_host
from lookright.training.opened import Opened, open_run
from lookright.training.parts import checked_model, parts_of
from lookright.training.run import Run
from lookright.training.sampling import check_classes, check_domains
from lookright.training.settings import (
    OptimizerMaker,
    OptimizerName,
    Schedule,
    Settings,
    rhythm,
)
from lookright.training.trainer import quiet, speaker, tensorboard, trainer_with

if TYPE_CHECKING:  # Lightning takes seconds to import, which only a training needs
    import lightning as L

    from lookright.training.module import Module
    from lookright.training.recorder import RunRecorder

_LIGHTNINGS = ("cpu", "cuda", "mps")
"""Accelerators that Lightning calls as torch does."""


def fit(
    method: Method,
    data: Any,
    domains: str | Sequence[str] = (),
    run: Path | str = "",
    *,
    validation: Any = None,
    epochs: int = 30,
    steps: int | None = None,
    batch_size: int = 64,
    domain_batch_size: int | None = None,
    balance_classes: bool = False,
    lr: float = 1e-3,
    head_lr: float = 1.0,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    warm_up: float = 0.3,
    schedule: Schedule = "cosine",
    clip: float | None = 1.0,
    optimizer: OptimizerName | OptimizerMaker = "AdamW",
    ema: float = 0.0,
    label_smoothing: float = 0.0,
    freeze_batchnorm: bool = False,
    augment: Callable[[Batch], Batch] | None = None,
    validation_attack: Attack | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    preset: str = "",
    seed: int = 0,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int | str = 1,
    strategy: str = "auto",
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | Progress = True,
    callbacks: Sequence["L.Callback"] = (),
    options: str = "",
) -> Run:
    """Train the method's model on the train part of `domains`, and keep everything in `run`.

    The best epoch is chosen on the validation part of the same domains: by accuracy under attack
    for a method that has an attack, by accuracy otherwise. On one CPU, the same seed and the same
    initial weights give the same weights bit for bit, after a kill and a resume too; seed torch
    before building the model (`torch.manual_seed`). This does not hold for a loader or data set of
    your own with random transforms: every image is drawn once and kept, and a resume that draws
    other images is refused. Use `augment` for random transforms.

    Args:
        method: holds the `Classifier`; on return that, and a learned masker, have the weights of
            the last epoch, on the device where they were before.
        data: images of the classifier's classes and size: an `ImageData`, or a DataLoader, a
            Dataset or tensors (images, labels[, masks]), as `as_data` takes them. The order and the
            batches of a loader are ignored: `batch_size` and the seed decide both.
        domains: those to train and validate on; all of the data's by default.
        run: folder, made where it does not exist; see `Run`. Where the model's weights are those of
            another run (`Classifier.file`), the images of that run count as seen too.
        validation: other images, of the same kinds as `data`, on which the best epoch is chosen.
            Then all of `data` is trained on. Without it both are parts of `data`, split by a hash
            of each sample (`ImageData.split`): 70% to train on, 15% to validate, and 15% that are
            left for a test.
        epochs: passes over the training images.
        steps: exact number of the optimiser's steps, in place of epochs. The images are then drawn
            pass after pass, whatever `validate_every` is, and "epoch" in log and metrics means the
            steps up to a validation.
        batch_size: images per step on one device. A method that compares domains takes equally many
            from each domain; what is left over is not used.
        domain_batch_size: images of each domain per step on one device, for any method, in place of
            batch_size, which is left for validation.
        balance_classes: every step has equally many images of each class (within each domain, where
            domains are balanced: fewer of a domain that lacks a class), so that images of rare
            classes come more often; what is left over of the batch is not used. The best epoch is
            then chosen by balanced accuracy.
        lr, weight_decay: of the optimiser; normalisation layers and biases have no weight decay.
        head_lr: the learning rate of the last layer, as a multiple of lr.
        momentum: of SGD.
        warm_up: share of the steps over which the learning rate rises. High rates early in training
            can keep adversarial training on a shortcut (docs/results/shortcut.md).
        schedule: of the learning rate after the warm-up: cosine (down to 0), constant, or step (a
            tenth from half of the steps on, a hundredth from three quarters on).
        clip: largest norm of the whole gradient; None for no clipping.
        optimizer: AdamW, Adam or SGD; or what makes one from the parameters, in place of lr,
            head_lr, weight_decay and momentum.
        ema: decay of a moving average of the classifier's weights (`Averaging`), which is then what
            is validated, saved and left in the method; 0 for none. A learned masker has none.
        label_smoothing: share of the label that is spread over all classes, in the method's
            `cross_entropy`.
        freeze_batchnorm: the classifier's BatchNorm layers normalise by the statistics that they
            begin with and keep them; their scale and shift are trained.
        augment: applied to each training batch on its device.
        validation_attack: for the accuracy under attack; None is PGD of 10 steps in the ball of
            the method's attack, or that attack itself where it names no ball.
        validate_every: in epochs, or in steps where these are given; None is each epoch up to 30 of
            them, otherwise 30 times in all, 10 steps or more apart. The end is always validated.
        patience: end the training after so many validations in a row that are not better, as the
            best epoch is chosen; None never.
        preset: name of the preset that the options are from, for the run's config.
        precision: one of `settings.Precision`.
        accelerator, devices, strategy: as in `lightning.Trainer`.
        workers: processes that decode images. None means one per core, up to four, where many
            images have to be decoded, and no process for data in memory.
        resume: continue after the last finished epoch of the run in this folder. A finished run is
            returned as it is; a run that does not exist yet is started.
        overwrite: replace the run in this folder, with its results and claims, when the first epoch
            of the new one is finished; until then the former one stays as it is.
        progress: show a bar on stderr; a `rich` bar of your own gets a task.
        callbacks: more of Lightning's.
        options: of a command that calls this, as YAML, to be kept in the run.

    Raises:
        UserError: an argument out of range; data whose classes or image size differ from the
            model's; a single domain for a method that compares domains; a batch without room for
            each class where classes are balanced; data without the masks that the method's guide or
            attack needs; a folder that already holds a run, or with `resume` another
            run; a loss that is not finite; a full disk; Ctrl-C (the message says how to continue).
    """
    if not run:
        raise UserError("Say which folder the run goes to: run='runs/mine'.")
    if as_path(run).is_file():
        raise UserError(f"A run needs a folder, but {run} is a file; name another.")
    if not isinstance(domains, str | Sequence):
        raise UserError(
            f"Expected names of domains, got {type(domains).__name__}: images to validate on are "
            "given as validation=..."
        )
    images = as_data(data, **known_of(method.model))
    epochs, validate_every = rhythm(epochs, steps, validate_every)
    named = (domains,) if isinstance(domains, str) else tuple(domains)
    settings = Settings(
        domains=named or images.domains,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        domain_batch_size=domain_batch_size,
        balance_classes=balance_classes,
        lr=lr,
        head_lr=head_lr,
        weight_decay=weight_decay,
        momentum=momentum,
        warm_up=warm_up,
        schedule=schedule,
        clip=clip,
        optimizer=optimizer,
        ema=ema,
        label_smoothing=label_smoothing,
        freeze_batchnorm=freeze_batchnorm,
        augment=augment,
        validation_attack=validation_attack,
        validate_every=validate_every,
        patience=patience,
        precision=precision,
        devices=devices,
        seed=seed,
        preset=preset,
    )
    model = checked_model(method, images)
    method.give_logits(images.image_size, images.classes)
    if isinstance(images, Decoded):
        model.preprocessing = images.preprocessing
    check_domains(method, settings)
    parts = parts_of(method, images, settings.domains, validation)
    check_classes(parts["train"], method, settings)
    unguided = check_guided(method, parts["train"])
    accelerator = _accelerator(accelerator)
    from lightning.pytorch.utilities import rank_zero_only

    from lookright.training.averaging import Averaging
    from lookright.training.module import Module, selected_by
    from lookright.training.overfitting import OverfittingCheck
    from lookright.training.progress import Bar
    from lookright.training.recorder import AtomicCheckpoints, RunRecorder, masker_of
    from lookright.training.silence import SilenceCheck, met_by_silence

    first = getattr(rank_zero_only, "rank", 0) == 0
    with ExitStack() as stack:
        bar = progress if isinstance(progress, Progress) else None
        if progress is True and first:
            bar = stack.enter_context(progress_bar())
        shown = [Bar(bar, method_title(spec_of(method)))] if bar else []
        module = Module(method, parts, settings, workers)
        config = describe_run(method, model, images, parts, settings, as_path(run))
        opened = Opened(Run(as_path(run)))
        trained = opened.run
        if first:
            stack.enter_context(locked(trained.folder))
            before = Run.of(model.file)
            seen = Seen.of(parts.values()) | (before.seen if before else Seen())
            opened = open_run(trained.folder, config, resume, overwrite, seen, options)
        if resume and trained.finished:
            load_weights(model.network, read_weights(verified(trained.last)), str(trained.last))
            trained.masker("last", masker_of(method))
            model.file = trained.last
            return trained
        averages = [Averaging(model.network, ema)] if ema else []
        records = RunRecorder(
            *(opened, method, model, selected_by(method, settings), speaker(bar), patience),
            averages[0].averaged if averages else nullcontext,
        )
        for note in filter(None, (unguided, met_by_silence(method)) if first else ()):
            records.note(note)
            warnings.warn(note, stacklevel=2)
        earlier = trained.history if resume else []
        stack.enter_context(quiet())
        curves = tensorboard(trained.folder, earlier)
        if curves:
            stack.enter_context(unnamed_host())
        switches: dict[str, Any] = {
            "accelerator": accelerator,
            "devices": devices,
            "strategy": strategy,
            "precision": precision,
        }
        trainer = trainer_with(
            switches,
            idle=method.warm_up > 0,
            max_epochs=epochs,
            gradient_clip_val=clip,
            check_val_every_n_epoch=1 if steps else validate_every,
            logger=curves,
            log_every_n_steps=10,
            callbacks=[
                *(*averages, *shown, *callbacks),
                OverfittingCheck(records.note, earlier),
                SilenceCheck(method, records.note, epochs, earlier),
                records,
            ],
            plugins=[AtomicCheckpoints()],
            num_sanity_val_steps=0,
            inference_mode=False,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        stack.enter_context(full_disk(trained.folder))
        if opened.config is not None and not opened.former:
            opened.write_start(trained)
        stack.enter_context(borrowed(method))
        stack.enter_context(smoothed_labels(method, label_smoothing))
        _train(trainer, module, trained if resume else None, records)
        model.file = trained.last
    return trained


def _accelerator(asked: str) -> str:
    """Lightning's name of the chosen device; a device that this machine lacks is refused."""
    if asked == "auto":
        found = best_device().type
        return found if found in _LIGHTNINGS else asked
    if asked == "gpu" and best_device().type == "cpu":
        raise UserError("Expected a GPU in this machine for accelerator='gpu'; there is none.")
    if asked in _LIGHTNINGS:
        best_device(asked)
    return asked


def _train(
    trainer: "L.Trainer", module: "Module", resumed: Run | None, records: "RunRecorder"
) -> None:
    """Run the trainer, then restore signal handlers, random state and modes."""
    checkpoint = resumed.resumable if resumed and resumed.resumable.is_file() else None
    handler = signal.getsignal(signal.SIGINT)
    modes = {child: child.training for child in module.method.modules()}
    module.method.train()
    if module.settings.freeze_batchnorm:
        freeze_statistics(module.method.model)
    try:
        with torch.random.fork_rng(devices=[]):
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        done = int(records.rows[-1]["epoch"]) if records.rows else 0
        raise StoppedError(
            f"Stopped after epoch {done} of {trainer.max_epochs}: go on by resume=True (--resume), "
            f"the run is in {records.run.folder}."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        module.method.progress = 1.0
        for child, training in modes.items():
            child.training = training
