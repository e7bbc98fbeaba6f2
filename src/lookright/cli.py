"""The command line: every verb is a typed function, and its options are that function's."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse import auto_cli
from rich.console import Console

from lookright import __doc__ as description
from lookright.arguments import Parser, escaped, fail, mistake_behind, spelled
from lookright.attacks import PGD, Attack
from lookright.data import Augment, load_data, load_image
from lookright.demo import demo
from lookright.errors import UserError, did_you_mean
from lookright.evaluation import Protocol
from lookright.evaluation import evaluate as judge
from lookright.explainers import Explainer, GradCAM
from lookright.guides.masker import masks_of
from lookright.methods import AWP, EGAT, Method
from lookright.models import Classifier, build_model, load_classifier, own_module
from lookright.report import explanation_figure, method_table, read_result, write_page
from lookright.study import study
from lookright.training import Run, fit
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
    augment: Augment | None = None,
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
        augment: random flip, shift and scale of image and mask together; none on Shortcut, whose
            digits have a right way round, and Augment otherwise.
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
    if lr is None:
        lr = 1e-2 if model == "small_resnet" else 1e-3
    images = load_data(
        data, image_size, 0, strength, masks, guides, skip_unreadable, progress=sys.stderr.isatty()
    )
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
        augment=augment or (None if built_in else Augment()),
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
    Console().print(f"Trained {title} in {trained.folder}: {trained.best.name} is its best epoch.")
    Console().print(f"Judge it: lookright evaluate {trained.folder}", highlight=False)


def evaluate(
    runs: list[Path],
    data: str | None = None,
    domains: list[str] | str | None = None,
    masks: Path | None = None,
    which: Literal["best", "last"] = "best",
    masker: str | None = None,
    protocol: Protocol = Protocol(),  # noqa: B008
    names: list[str] | str | None = None,
    page: Path | None = None,
    skip_unreadable: bool = False,
    overwrite: bool = False,
) -> None:
    """Judge trained runs in every domain, and write their table and page.

    Args:
        runs: folders of runs.
        data: the data of the run by default.
        domains: as a,b, all by default; of those trained on only the test part is judged.
        masks: folder of masks; those of the run by default.
        which: best or last epoch.
        masker: package.module.Name of the masker, where it is one of your own; any other is known
            from the run.
        protocol: attacks, explainer and sizes.
        names: what to call each run, as a;b; its method by default. Runs of one name are seeds.
        page: where report.html goes; into the run's folder by default, beside it for several.
        skip_unreadable: go on without images that cannot be read.
        overwrite: replace results of another protocol.
    """
    called = listed(names, ";")
    if called and len(called) != len(runs):
        raise UserError(f"Expected one name for each of {len(runs)} runs, got {len(called)}.")
    results = []
    for number, folder in enumerate(runs):
        config = Run(folder).config
        of_run = config["data"]
        images = load_data(
            data or of_run.get("root") or of_run["name"],
            config["model"]["image_size"],
            of_run.get("seed", 0),
            of_run.get("strength", 0.9),
            masks or of_run.get("masks"),
            skip_unreadable=skip_unreadable,
            progress=sys.stderr.isatty(),
        )
        result = judge(
            Run(folder).classifier(which),
            images,
            folder / "result",
            masker=Run(folder).masker(which, own_module(masker) if masker else None),
            domains=listed(domains),
            train_domains=[d for d in config["settings"]["domains"] if d in images.domains],
            protocol=protocol,
            name=called[number] if called else method_title(config["method"]),
            seed=config["settings"]["seed"],
            config=config,
            overwrite=overwrite,
        )
        results.append(result)
    Console().print(method_table(results))
    target = page or (runs[0] if len(runs) == 1 else runs[0].parent) / "report.html"
    write_page([result.folder for result in results], target)
    Console().print(f"The page: {target}")


def report(results: list[Path], page: Path = Path("report.html")) -> None:
    """Write one page, and print the table, out of results that are there.

    Args:
        results: folders of results, or of runs that were evaluated.
        page: where the page goes.
    """
    folders = [folder / "result" if (folder / "result").is_dir() else folder for folder in results]
    Console().print(method_table([read_result(folder) for folder in folders]))
    Console().print(f"The page: {write_page(folders, page)}")


def explain(
    run: Path,
    images: list[Path],
    explainer: Explainer = GradCAM(),  # noqa: B008
    attack: Attack = PGD(steps=20),  # noqa: B008
    label: str | None = None,
    masker: str | None = None,
    output: Path = Path("."),
    seed: int = 0,
) -> None:
    """Show where a model looks, and where it looks under attack: one PNG for each image.

    Args:
        run: folder of a run, or a classifier's .safetensors file.
        images: photos.
        explainer: whose explanation is shown, of the class predicted on the clean image.
        attack: against the label where it is given, against the prediction where it is not.
        label: the true class of the images, where it is known.
        masker: package.module.Name of the masker, where it is one of your own; any other is known
            from the run.
        output: folder of the PNGs, named <image>-explained.png.
        seed: of the attack's random start.
    """
    model = load_classifier(run) if run.is_file() else Run(run).classifier()
    own = own_module(masker) if masker else None
    found = None if run.is_file() else Run(run).masker("best", own)
    if label is not None and label not in model.classes:
        raise UserError(
            f"The model has no class '{label}', but {', '.join(model.classes)}."
            f"{did_you_mean(label, model.classes)}"
        )
    model.eval()
    if found is not None:
        found.eval()
    for path in images:
        x = load_image(path, model.image_size)[None]
        with torch.no_grad():
            logits, saliency = explainer(model, x)
            predicted = logits.argmax(1)
            truth = None if label is None else model.classes.index(label)
            y = predicted if truth is None else torch.tensor([truth])
            attacked = attack(model, x, y, torch.Generator().manual_seed(seed))
            logits_attacked, saliency_attacked = explainer(model, attacked, predicted)
            masks = [None if found is None else masks_of(found, z)[0] for z in (x, attacked)]
        target = output / f"{path.stem}-explained.png"
        explanation_figure(
            target,
            image=x[0],
            attacked=attacked[0],
            saliency=saliency[0],
            saliency_attacked=saliency_attacked[0],
            learned=masks[0],
            learned_attacked=masks[1],
            classes=model.classes,
            probabilities=logits[0].softmax(0),
            probabilities_attacked=logits_attacked[0].softmax(0),
            label=truth,
            title=path.name,
        )
        clean, moved = (model.classes[int(each.argmax())] for each in (logits, logits_attacked))
        Console().print(f"{path.name}: {clean}, under attack {moved}: {target}", highlight=False)


def listed(names: list[str] | str | None, separator: str = ",") -> list[str]:
    """Names given as a list, or as one text with separators."""
    if isinstance(names, str):
        return [name.strip() for name in names.split(separator) if name.strip()]
    return list(names or ())


VERBS: dict[str, Any] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
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
