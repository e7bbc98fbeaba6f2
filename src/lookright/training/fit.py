"""`fit`: a method, data and a folder in; a trained run out."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.progress import Progress

from lookright.attacks import Attack
from lookright.batch import Batch
from lookright.data import ImageData
from lookright.errors import UserError
from lookright.files import full_disk
from lookright.methods.method import Method
from lookright.models import Classifier, load_weights, read_weights
from lookright.progress import progress_bar
from lookright.training.config import describe, describe_run, method_title
from lookright.training.guiding import check_guided
from lookright.training.run import Run, open_run
from lookright.training.sampling import check_domains
from lookright.training.settings import OptimizerMaker, Settings

if TYPE_CHECKING:  # Lightning takes seconds to import, which only a training needs
    import lightning as L
    from lightning.pytorch.loggers import TensorBoardLogger

    from lookright.training.module import Module
    from lookright.training.recorder import RunRecorder

_VALIDATIONS = 30


def fit(
    method: Method,
    data: ImageData,
    domains: str | Sequence[str],
    run: Path | str,
    *,
    epochs: int = 30,
    batch_size: int = 64,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    warm_up: float = 0.3,
    clip: float | None = 1.0,
    optimizer: OptimizerMaker | None = None,
    augment: Callable[[Batch], Batch] | None = None,
    validation_attack: Attack | None = None,
    validate_every: int | None = None,
    seed: int = 0,
    precision: str = "32-true",
    accelerator: str = "auto",
    devices: int | str = 1,
    strategy: str = "auto",
    workers: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool | Progress = True,
    callbacks: Sequence["L.Callback"] = (),
) -> Run:
    """Train the method's model on the train part of `domains`, and keep everything in `run`.

    The learning rate rises, then falls to 0 along a cosine. The best epoch is chosen on the
    validation part of the same domains: by accuracy under attack for a method that has an attack,
    by accuracy otherwise. On one CPU, the same seed and the same initial weights give the same
    weights bit for bit, after a kill and a resume too; seed torch before building the model
    (`torch.manual_seed`).

    Args:
        method: holds the `Classifier`; on return that, and a learned masker, have the weights of
            the last epoch.
        data: images of the classifier's classes and size.
        domains: those to train and validate on.
        run: folder, made where it does not exist; see `Run`.
        batch_size: images of one step on one device; split over the domains, the rest left out,
            for a method that compares them.
        lr, weight_decay: of AdamW; norms and biases do not decay.
        warm_up: share of the steps over which the learning rate rises; early high rates can keep
            adversarial training on a shortcut (docs/results/shortcut.md).
        clip: largest norm of the whole gradient; None leaves it as it is.
        optimizer: makes another optimiser from the parameters, in place of lr and weight_decay.
        augment: applied to each training batch on its device.
        validation_attack: for the accuracy under attack; None is PGD of 10 steps in the ball of
            the method's attack, or that attack itself where it names no ball.
        validate_every: in epochs; None is each epoch up to 30 of them, then 30 times in all. The
            last epoch is always validated.
        precision, accelerator, devices, strategy: as in `lightning.Trainer`.
        workers: processes that load images.
        resume: go on after the last finished epoch of the run in this folder; a finished run is
            returned as it is, and one that does not exist yet is started.
        overwrite: replace the run in this folder.
        progress: show a bar on stderr; a `rich` bar of your own gets a task.
        callbacks: more of Lightning's.

    Raises:
        UserError: an argument out of range; data of other classes or size than the model; one
            domain for a method that compares them; data without the masks that the method's guide
            needs; a folder that holds a run, or for `resume` another run; a loss that is not
            finite; a full disk; Ctrl-C (with how to go on).
    """
    settings = Settings(
        domains=(domains,) if isinstance(domains, str) else tuple(domains),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        warm_up=warm_up,
        clip=clip,
        optimizer=optimizer,
        augment=augment,
        validation_attack=validation_attack,
        validate_every=-(-epochs // _VALIDATIONS) if validate_every is None else validate_every,
        precision=precision,
        devices=devices,
        seed=seed,
    )
    model = _checked(method, data)
    check_domains(method, settings)
    unguided = check_guided(method, data.split(settings.domains, "train"))
    import lightning as L
    from lightning.pytorch.utilities import rank_zero_only

    from lookright.training.module import Module
    from lookright.training.overfitting import OverfittingCheck
    from lookright.training.progress import Bar
    from lookright.training.recorder import AtomicCheckpoints, RunRecorder, masker_of

    first = getattr(rank_zero_only, "rank", 0) == 0
    with ExitStack() as stack:
        bar = progress if isinstance(progress, Progress) else None
        if progress is True and first:
            bar = stack.enter_context(progress_bar())
        shown = [Bar(bar, method_title(describe(method)))] if bar else []
        module = Module(method, data, settings, workers)
        config = describe_run(method, model, data, module.parts, settings)
        opened = Run(Path(run))
        if first:
            opened = open_run(Path(run), config, resume, overwrite)
        if resume and opened.finished:
            load_weights(model.network, read_weights(opened.last), source=str(opened.last))
            opened.masker("last", masker_of(method))
            return opened
        if unguided and first:
            opened.log(unguided)
            warnings.warn(unguided, stacklevel=2)
        records = RunRecorder(opened, method, model, selected_by(method), _speaker(bar))
        stack.enter_context(_quiet())
        switches: dict[str, Any] = {"precision": precision}
        trainer = L.Trainer(
            max_epochs=epochs,
            accelerator=accelerator,
            devices=devices,
            strategy=_strategy(strategy, method),
            **switches,
            gradient_clip_val=clip,
            check_val_every_n_epoch=settings.validate_every,
            logger=_tensorboard(opened),
            log_every_n_steps=10,
            callbacks=[*shown, *callbacks, OverfittingCheck(opened), records],
            plugins=[AtomicCheckpoints()],
            num_sanity_val_steps=0,
            inference_mode=False,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        stack.enter_context(full_disk(opened.folder))
        _train(trainer, module, opened if resume else None, records)
    return opened


def _strategy(strategy: str, method: Method) -> str:
    """During a warm-up some parameters have no gradient, which plain DDP takes for a mistake."""
    if strategy == "ddp" and method.warm_up:
        return "ddp_find_unused_parameters_true"
    return strategy


def selected_by(method: Method) -> str:
    """The validation measure that chooses the best epoch."""
    return "val/accuracy" if method.attack is None else "val/adversarial_accuracy"


def _checked(method: Method, data: ImageData) -> Classifier:
    model = method.model
    if not isinstance(model, Classifier):
        raise UserError(
            f"fit trains a lookright Classifier, got {type(model).__name__}: wrap the network, "
            "Classifier(network, classes, image_size, mean, std)."
        )
    if model.classes != tuple(data.classes):
        raise UserError(
            f"The model's classes are {', '.join(model.classes)}, those of {data.name} "
            f"{', '.join(data.classes)}: build the model with classes=data.classes."
        )
    if model.image_size != data.image_size:
        raise UserError(
            f"The model is for images of {model.image_size} px, {data.name} gives "
            f"{data.image_size} px: build both with one image_size."
        )
    return model


def _tensorboard(run: Run) -> "TensorBoardLogger":
    """Its curves go on where `run` stopped, without what was logged after that."""
    from lightning.pytorch.loggers import TensorBoardLogger

    history = run.history
    step = int(history[-1]["step"]) if history else None
    return TensorBoardLogger(run.folder, name="", version="tensorboard", purge_step=step)


def _train(
    trainer: "L.Trainer", module: "Module", resumed: Run | None, records: "RunRecorder"
) -> None:
    """Run the trainer; signals, random numbers and modes come back as they were."""
    checkpoint = resumed.resumable if resumed and resumed.resumable.is_file() else None
    handler = signal.getsignal(signal.SIGINT)
    modes = {child: child.training for child in module.method.modules()}
    module.method.train()
    try:
        with torch.random.fork_rng(devices=[]):
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        done = int(records.rows[-1]["epoch"]) if records.rows else 0
        raise UserError(
            f"Stopped after epoch {done} of {trainer.max_epochs}: go on by resume=True (--resume), "
            f"the run is in {records.run.folder}."
        ) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        module.method.progress = 1.0
        for child, training in modes.items():
            child.training = training


def _speaker(bar: Progress | None) -> Callable[[str], None]:
    """Where the line of an epoch is shown beside log.txt: nowhere, where a terminal has the bar."""
    if bar is None or bar.console.is_terminal:
        return _silent
    return partial(bar.console.print, soft_wrap=True, highlight=False)


def _silent(line: str) -> None:
    pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's banners and advice."""
    from lightning.fabric.utilities.warnings import PossibleUserWarning

    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
