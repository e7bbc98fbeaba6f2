"""`lookright train`: train a model so that it looks at the right thing."""

import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from shlex import quote
from typing import Literal

import torch

from lookright.attacks import Attack
from lookright.console import Terminal, say
from lookright.data import Augment, ImageData, MaskValues, Seen, load_data
from lookright.data.layout import Layout, Subfolders
from lookright.data.loaders import check_workers
from lookright.data.overview import require_classes, training_table
from lookright.errors import UserError
from lookright.methods import EGAT, Method
from lookright.methods.wrapped import wrapped
from lookright.methods.wrapper import innermost
from lookright.models import Classifier, Preprocessing, build_model, expected_images
from lookright.options import Options, command_line
from lookright.spec import ModelName, spec_of
from lookright.spec.folders import from_here
from lookright.spec.text import as_yaml
from lookright.training import Run, fit
from lookright.training.config import method_title
from lookright.training.opened import check_free
from lookright.training.settings import OptimizerName, Precision, Schedule

_GENERIC = ("images", "imgs", "img", "data", "dataset")
"""Folder names that say nothing about the images in them, so the parent's name is used."""


def train(
    method: Callable[[Classifier], Method] = EGAT,
    data: str = "Shortcut",
    train_domain: list[str] | None = None,
    test_domain: list[str] | None = None,
    preset: str = "",
    model: ModelName = ModelName("small_resnet"),  # noqa: B008
    weights: Path | None = None,
    pretrained: bool = False,
    image_size: int | None = None,
    preprocessing: Preprocessing | bool = True,
    masks: Path | None = None,
    tool_masks: Path | None = None,
    mask_values: MaskValues | None = None,
    tool_mask_values: MaskValues | None = None,
    strength: float = 0.9,
    run: Path | None = None,
    epochs: int = 30,
    steps: int | None = None,
    batch_size: int = 64,
    domain_batch_size: int | None = None,
    balance_classes: bool = False,
    optimizer: OptimizerName = "AdamW",
    lr: float | None = None,
    head_lr: float = 1.0,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    warm_up: float = 0.3,
    schedule: Schedule = "cosine",
    clip: float | None = 1.0,
    ema: float = 0.0,
    label_smoothing: float = 0.0,
    freeze_batchnorm: bool = False,
    awp: float = 0.0,
    gradient_penalty: float = 0.0,
    augment: Augment | bool | None = None,
    validation_attack: Attack | None = None,
    validate_every: int | None = None,
    patience: int | None = None,
    seed: int = 0,
    precision: Precision = "32-true",
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto",
    devices: int = 1,
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto",
    workers: int | None = None,
    skip_unreadable: bool = False,
    incomplete: bool = False,
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Train a model so that it looks at the right thing.

    Args:
        method: the training objective, such as ERM, AT, EGAT or ALIGN; --method.help NAME shows the
            options of each.
        data: Shortcut (built in), or a folder laid out <domain>/<class>/* or <class>/*.
        train_domain: domains to train on, as a,b; by default all that are not test domains, and on
            Shortcut the domain train.
        test_domain: domains left out of training, as a,b.
        preset: options by name and source, over which those given here go: domainbed, dre, align or
            photos-finetune (docs/training.md).
        model: small_resnet, a timm name, torchvision/<name>, or package.module:function.
        weights: file of weights to begin with (.safetensors or a state dict).
        pretrained: begin with the library's own weights, from its hub.
        image_size: side length in pixels; 32 for Shortcut and 128 for a folder by default.
        preprocessing: how image files become square; by default as the library of the model does it
            for its weights, or without weights the central square, as false does; or its own
            options.
        masks: folder of object masks, laid out as the images are.
        tool_masks: folder of masks made by a tool such as SAM, laid out alike, for --method.guide
            PrecomputedMask; they are never used to evaluate a model.
        mask_values: which values of masks are the object and which are left out, as
            --mask_values.object [1] --mask_values.ignore [3], where it cannot be seen.
        tool_mask_values: the same of tool masks.
        strength: of Shortcut's correlation in its domain train, from 0 to 1.
        run: folder of the run; by default runs/<data>-<method>-<seed>, which also names a guide
            other than the method's default.
        epochs: passes over the training images.
        steps: exact number of steps, in place of epochs.
        batch_size: images of one step on one device.
        domain_batch_size: images of each domain of one step on one device, in place of batch_size.
        balance_classes: equally many images of each class in every step.
        optimizer: AdamW, Adam or SGD.
        lr: learning rate; by default 0.01 for small_resnet and 0.001 for any other.
        head_lr: learning rate of the last layer, as a multiple of lr.
        weight_decay: of the optimiser; for SGD and Adam it is part of the gradient.
        momentum: of SGD.
        warm_up: share of the steps over which the learning rate rises.
        schedule: of the learning rate after it; step is a tenth from half of the steps on, and a
            hundredth from three quarters on.
        clip: largest norm of the gradient; null for no clipping.
        ema: decay of a moving average of the weights, such as 0.999, which is then what is
            validated and saved; 0 for none.
        label_smoothing: share of the label that is spread over all classes.
        freeze_batchnorm: keep and use the statistics that BatchNorm layers begin with.
        awp: size, relative to the weights, of an adversarial weight perturbation, for methods that
            have an attack; its authors use 0.005 to 0.01.
        gradient_penalty: weight of the squared gradient at the pixels, for any method; that of RRR
            is 0.0154.
        augment: random flip, crop, shift and scale of image and mask together, and of the image's
            colours, or false for none. By default none on Shortcut, whose digits must not be
            mirrored, and Augment otherwise.
        validation_attack: attack used to choose the best epoch; null is PGD with 10 steps in the
            ball of the method's attack.
        validate_every: in epochs, or in steps where these are given; null is each epoch, and at
            most 30 times in all, 10 steps or more apart.
        patience: end after so many validations in a row without a better one; null is never.
        seed: of the initial weights, the order of the images and the attacks' random starts.
        precision: as in lightning.Trainer.
        accelerator: as in lightning.Trainer.
        devices: as in lightning.Trainer.
        strategy: as in lightning.Trainer.
        workers: processes that decode images; null is one per core, up to four, where many images
            have to be decoded, and none otherwise.
        skip_unreadable: go on without images that cannot be read.
        incomplete: train although a class has no image to train on.
        layout: whether folders (or splits) called train, val and test are domains, or the parts of
            one domain.
        subfolders: take or skip the images in folders within those of the classes.
        resume: continue the run in that folder after its last finished epoch, with the options
            that it began with.
        overwrite: replace the run in that folder, with its results and claims, when the first epoch
            of the new one is finished; until then the former one stays as it is.
    """
    options = {n: each for n, each in locals().items() if n not in ("run", "resume", "overwrite")}
    built_in = data.lower() == "shortcut"
    check_workers(workers)
    if image_size is None:
        image_size = 32 if built_in else 128
    if augment is None:
        augment = not built_in
    if lr is None:
        lr = 1e-2 if model == "small_resnet" else 1e-3
    if preprocessing is True:
        expected = expected_images(model, weights) if weights or pretrained else None
        how = expected.preprocessing if expected else None
    else:
        how = preprocessing or None
    bar = sys.stderr.isatty()
    images = load_data(
        data,
        image_size,
        strength=strength,
        masks=masks,
        tool_masks=tool_masks,
        skip_unreadable=skip_unreadable,
        progress=bar,
        read=False,
        mask_values=mask_values,
        tool_mask_values=tool_mask_values,
        preprocessing=how,
        layout=layout,
        subfolders=subfolders,
    )
    chosen, left_out = train_domain or [], set(test_domain or ())
    for domain in (*chosen, *left_out):
        images.domain_index(domain)
    domains = chosen or (
        ["train"] if built_in else [d for d in images.domains if d not in left_out]
    )
    if not domains or left_out & set(domains):
        raise UserError(
            f"Expected domains to train on that are not test domains, got train_domain "
            f"{', '.join(domains) or 'none'} and test_domain {', '.join(sorted(left_out))}."
        )
    torch.manual_seed(seed)
    classifier = build_model(model, images.classes, image_size, pretrained, weights)
    objective = wrapped(method(classifier), awp, gradient_penalty)
    title = method_title(spec_of(objective))
    if tool_masks and not (objective.guide and objective.guide.needs_tool_masks):
        warnings.warn(
            f"{title} does not use the masks in '{tool_masks}'; --method.guide PrecomputedMask "
            "does.",
            stacklevel=1,
        )
    folder = run or Path("runs") / _name(images, objective, seed)
    if not (resume or overwrite):
        check_free(folder)
    before = resume and Run(folder).history
    if resume and not before and not Run(folder).resumable.is_file():
        warnings.warn(
            f"{folder} holds no finished epoch to go on from: the training begins anew.",
            stacklevel=1,
        )
    images.read(domains, bar)
    Terminal(stderr=True).print(training_table(images, domains))
    if not incomplete:
        require_classes(images, domains)
    tested = test_domain or [d for d in images.domains if d not in domains]
    _tell_leaks(images, domains, tested, Run.of(classifier.file))
    trained = fit(
        objective,
        images,
        domains,
        folder,
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
        augment=Augment() if augment is True else augment or None,
        validation_attack=validation_attack,
        validate_every=validate_every,
        patience=patience,
        preset=preset,
        seed=seed,
        precision=precision,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        options=as_yaml(from_here(Options(train).plain(options))),
    )
    if before and len(before) == len(trained.history):
        say(f"All {len(before)} epochs were there, so nothing was trained.")
    say(f"Trained {title} in {trained.folder}: {trained.best.name} is its best epoch.")
    judge = f"lookright evaluate {quote(str(trained.folder))}"
    say(f"Evaluate it: {command_line(judge, architecture=model if ':' in model else None)}")


def _tell_leaks(
    data: ImageData, trained: Sequence[str], tested: Sequence[str], before: Run | None
) -> None:
    """Warn of images of training domains in others, in which the model is to be judged.

    before: the run that the initial weights are from, whose training domains count too.
    """
    own = f"the training domains ({', '.join(trained)})"
    homes = {own: Seen.in_domains(data, trained)}
    if before:
        earlier = f"the training domains of {before.folder}, whose weights it begins with"
        homes[earlier] = before.seen
    seen = reduce(or_, homes.values())
    for domain in tested:
        inside = seen.in_distribution(data, domain)
        which = "those of them that it was trained or validated on" if inside else "them"
        for where, home in homes.items():
            if known := home.at_home(data, domain):
                warnings.warn(
                    f"{known} of the {len(data.keys(domain))} images of domain '{domain}' are also "
                    f"in {where}: the model is not judged on {which} there.",
                    stacklevel=2,
                )


def _name(data: ImageData, objective: Method, seed: int) -> str:
    """The default folder of a run: data, method, a guide other than the default one, seed."""
    root = getattr(data, "root", None)
    named = root.parent.name if root and root.name.lower() in _GENERIC else data.name
    parts = [named, method_title(spec_of(objective))]
    inner = innermost(objective)
    usual = None
    with torch.random.fork_rng([]), suppress(TypeError):  # a method of one's own may need options
        usual = type(inner)(inner.model).guide
    if type(inner.guide) is not type(usual):
        parts.append(type(inner.guide).__name__)
    return "-".join([*parts, str(seed)]).lower()
