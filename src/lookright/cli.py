"""The command line: every verb is a typed function, and its options are that function's."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import auto_cli
from rich.console import Console

from lookright import __doc__ as description
from lookright.arguments import Parser, escaped, fail, mistake_behind, spelled
from lookright.attacks import Attack
from lookright.certify import certify
from lookright.data import Augment, load_data
from lookright.demo import demo
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation import evaluate as judge
from lookright.explain import explain
from lookright.files import require_writable
from lookright.methods import AWP, EGAT, Method
from lookright.models import Classifier, build_model
from lookright.report import method_table, read_result, write_page
from lookright.study import study
from lookright.subject import Opened, load_subject, tell_apart
from lookright.training import fit
from lookright.training.config import describe, method_title

Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"]


def train(
    method: Callable[[Classifier], Method] = EGAT,
    data: str = "Shortcut",
    train_domain: list[str] | str | None = None,
    test_domain: list[str] | str | None = None,
    model: str = "small_resnet",
    weights: Path | None = None,
    pretrained: bool = False,
    image_size: int | None = None,
    masks: Path | None = None,
    guides: Path | None = None,
    strength: float = 0.9,
    run: Path | None = None,
    epochs: int = 30,
    batch_size: int = 64,
    lr: float | None = None,
    weight_decay: float = 0.01,
    warm_up: float = 0.3,
    clip: float | None = 1.0,
    awp: float = 0.0,
    augment: Augment | bool | None = None,
    validation_attack: Attack | None = None,
    seed: int = 0,
    precision: Precision = "32-true",
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"] = "auto",
    devices: int = 1,
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "ddp_spawn"] = "auto",
    workers: int = 0,
    skip_unreadable: bool = False,
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
        model: small_resnet, a timm name, torchvision/<name>, or package.module:function.
        weights: file of weights to begin with (.safetensors or a state dict).
        pretrained: begin with the library's own weights, from its hub.
        image_size: pixels a side; 32 for Shortcut and 128 for a folder by default.
        masks: folder of masks, laid out as the images are.
        guides: folder of masks by a tool such as SAM, laid out alike, for --method.guide
            PrecomputedMask; no model is judged by them.
        strength: of Shortcut's correlation in its domain train, from 0 to 1.
        run: folder of the run; runs/<data>-<method>-<seed> by default.
        epochs: passes over the training images.
        batch_size: images of one step on one device.
        lr: learning rate of AdamW; by default 0.01 for small_resnet and 0.001 for any other.
        weight_decay: of AdamW.
        warm_up: share of the steps over which the learning rate rises.
        clip: largest norm of the gradient; null leaves it as it is.
        awp: size, relative to the weights, of an adversarial weight perturbation round a method
            that has an attack; its authors use 0.005 to 0.01.
        augment: random flip, shift and scale of image and mask together, false for none; by default
            none on Shortcut, whose digits have a right way round, and Augment otherwise.
        validation_attack: attack by which the best epoch is chosen; null is PGD with 10 steps and
            the eps of the method's attack.
        seed: of weights, order and random starts.
        precision: as in lightning.Trainer.
        accelerator: as in lightning.Trainer.
        devices: as in lightning.Trainer.
        strategy: as in lightning.Trainer.
        workers: processes that load images.
        skip_unreadable: go on without images that cannot be read.
        resume: go on with the run in that folder after its last finished epoch.
        overwrite: replace the run in that folder.
    """
    built_in = data.lower() == "shortcut"
    if workers < 0:
        raise UserError(f"workers is a number of processes, 0 or more; got {workers}.")
    if image_size is None:
        image_size = 32 if built_in else 128
    if augment is None:
        augment = not built_in
    if lr is None:
        lr = 1e-2 if model == "small_resnet" else 1e-3
    images = load_data(data, image_size, 0, strength, masks, guides, skip_unreadable, read=False)
    chosen, left_out = listed(train_domain), set(listed(test_domain))
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
    objective = method(build_model(model, images.classes, image_size, pretrained, weights))
    if awp:
        objective = AWP(objective, awp)
    title = method_title(describe(objective))
    if guides and not (objective.guide and objective.guide.needs_guides):
        warnings.warn(
            f"{title} does not use the guides in '{guides}'; --method.guide PrecomputedMask does.",
            stacklevel=1,
        )
    images.read(domains, sys.stderr.isatty())
    trained = fit(
        objective,
        images,
        domains,
        run or Path("runs") / f"{images.name.lower()}-{title.lower()}-{seed}",
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        warm_up=warm_up,
        clip=clip,
        augment=Augment() if augment is True else augment or None,
        validation_attack=validation_attack,
        seed=seed,
        precision=precision,
        accelerator=accelerator,
        devices=devices,
        strategy=strategy,
        workers=workers,
        resume=resume,
        overwrite=overwrite,
    )
    print(f"Trained {title} in {trained.folder}: {trained.best.name} is its best epoch.")
    print(f"Judge it: lookright evaluate {trained.folder}")


def evaluate(
    models: list[str],
    data: str | None = None,
    domains: list[str] | str | None = None,
    masks: Path | None = None,
    weights: Path | None = None,
    pretrained: bool = False,
    image_size: int | None = None,
    mean: list[float] | None = None,
    std: list[float] | None = None,
    classes: Path | None = None,
    class_map: Path | None = None,
    others: bool = False,
    which: Literal["best", "last"] = "best",
    masker: str | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008
    thorough: bool = False,
    names: list[str] | str | None = None,
    output: Path = Path("results"),
    page: Path | None = None,
    skip_unreadable: bool = False,
    overwrite: bool = False,
) -> None:
    """Judge models in every domain, and write their table and page.

    Args:
        models: folders of runs, classifiers (.safetensors), TorchScript (.pt, .ts) or exported
            programs (.pt2), timm names, torchvision/<name>, or package.module:function.
        data: Shortcut, a folder of images, or a data set that Hugging Face's datasets has saved;
            the data of the run by default.
        domains: as a,b, all by default; of those trained on only the test part is judged.
        masks: folder of masks; those of the run by default.
        weights: file of weights of a named model (.safetensors or a state dict).
        pretrained: the library's own weights of a named model, from its hub.
        image_size: pixels a side that the model is made for, where it does not say so itself.
        mean: a program sees (x - mean) / std of images in [0, 1], as [r,g,b]; inside by default.
        std: see mean.
        classes: file with the names of the model's classes in their order, one a line.
        class_map: file that says which of the model's classes count as which of the data's, with
            lines such as 'dog: [151-268]'.
        others: with a class map, count the model's other classes as one more, always wrong.
        which: best or last epoch of a run.
        masker: package.module.Name of the masker, where it is one of your own; any other is known
            from the run.
        protocol: attacks, explainer and sizes.
        thorough: add AutoAttack, all corruptions and attacks on the explanation to the protocol.
        names: what to call each model, as a;b; by default a run's method or the model's name. Runs
            of one name are seeds.
        output: folder of the results of models that are no runs; those of a run go into it.
        page: where report.html goes; by default beside the result of a single model, above those of
            several.
        skip_unreadable: go on without images that cannot be read.
        overwrite: replace results of another protocol.
    """
    called = listed(names, ";")
    if called and len(called) != len(models):
        raise UserError(f"Expected one name for each of {len(models)} models, got {len(called)}.")
    opened = Opened()
    subjects = [
        load_subject(
            model,
            data,
            weights=weights,
            pretrained=pretrained,
            image_size=image_size,
            mean=mean,
            std=std,
            classes=classes,
            class_map=class_map,
            others=others,
            masks=masks,
            which=which,
            masker=masker,
            skip_unreadable=skip_unreadable,
            opened=opened,
        )
        for model in models
    ]
    if called:
        subjects = [replace(each, name=name) for each, name in zip(subjects, called, strict=True)]
    tell_apart(subjects)
    folders = [subject.folder(output) for subject in subjects]
    target = page or (folders[0] if len(folders) == 1 else folders[0].parent) / "report.html"
    require_writable(target.parent)
    results = [
        judge(
            subject.model,
            subject.data,
            folder / "result",
            masker=subject.masker,
            domains=listed(domains),
            train_domains=subject.train_domains,
            protocol=protocol.thorough() if thorough else protocol,
            name=subject.name,
            seed=subject.seed,
            config=subject.config,
            overwrite=overwrite,
        )
        for subject, folder in zip(subjects, folders, strict=True)
    ]
    Console().print(method_table(results))
    write_page([result.folder for result in results], target)
    print(f"The page: {target}")


def report(results: list[Path], page: Path = Path("report.html")) -> None:
    """Write one page, and print the table, out of results that are there.

    Args:
        results: folders of results, or of runs that were evaluated.
        page: where the page goes.
    """
    folders = [folder / "result" if (folder / "result").is_dir() else folder for folder in results]
    Console().print(method_table([read_result(folder) for folder in folders]))
    print(f"The page: {write_page(folders, page)}")


def listed(names: list[str] | str | None, separator: str = ",") -> list[str]:
    """Names given as a list, or as one text with separators."""
    if isinstance(names, str):
        return [name.strip() for name in names.split(separator) if name.strip()]
    return list(names or ())


VERBS: dict[str, Any] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "certify": certify,
    "explain": explain,
    "report": report,
    "study": study,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `lookright`."""
    warnings.showwarning = _one_line
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "" not in sys.path:
        sys.path.append("")  # models, guides and maskers of one's own, from the working folder
    try:
        auto_cli(
            VERBS,
            args=spelled(given, VERBS),
            as_positional=True,
            parser_class=Parser,
            prog="lookright",
            description=description,
        )
    except KeyboardInterrupt:
        more = " with --resume" if given[:1] == ["train"] else ""
        fail(f"Stopped; what was finished is kept, and the same command{more} goes on.", 130)
    except Exception as error:
        mistake = mistake_behind(error)
        if mistake is None:
            raise
        fail(mistake, 1)


def _one_line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, UserWarning):
        Console(stderr=True, soft_wrap=True).print(f"[yellow]note:[/] {escaped(str(message))}")
