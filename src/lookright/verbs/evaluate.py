"""`lookright evaluate`: evaluate models in every domain."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from lookright.console import say, show
from lookright.data import MaskValues
from lookright.data.layout import Layout, Subfolders
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation import evaluate as judge
from lookright.files import require_writable
from lookright.loading import Opened, load_subject, tell_apart, tell_unknown
from lookright.model_options import ModelOptions
from lookright.report import method_table, write_page
from lookright.spec import ModelName


def evaluate(
    models: list[ModelName],
    data: str | None = None,
    domains: list[str] | None = None,
    masks: Path | None = None,
    mask_values: MaskValues | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008
    protocol: Protocol = Protocol(),  # noqa: B008
    thorough: bool = False,
    names: str | None = None,
    output: Path | None = None,
    page: Path | None = None,
    device: str | None = None,
    workers: int | None = None,
    skip_unreadable: bool = False,
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
    overwrite: bool = False,
) -> None:
    """Evaluate models in every domain, and write their table and page.

    Args:
        models: folders of runs, classifiers (.safetensors), TorchScript (.pt, .ts) or exported
            programs (.pt2), timm names, torchvision/<name>, or package.module:function.
        data: Shortcut, a folder of images, or a data set that Hugging Face's datasets has saved;
            the data of the run by default.
        domains: as a,b; all by default. In a training domain only the test part is evaluated.
        masks: folder of masks; those of the run by default.
        mask_values: which values of masks are the object and which are left out, as
            --mask_values.object [1] --mask_values.ignore [3], where it cannot be seen.
        options: how to open the models.
        protocol: how to evaluate: the attacks' ball, explainer, stages, number of images.
        thorough: add AutoAttack, all corruptions and attacks on the explanation to the protocol.
        names: what to call each model, as a;b; by default a run's method or the model's name. Runs
            of the same name are seeds of one method.
        output: folder for the results, with a subfolder for each model; by default the results of a
            run go into the run's own folder, and those of any other model into `results`.
        page: where report.html goes; by default into the folder of a single model, or for several
            models into the folder above theirs.
        device: cpu, cuda, cuda:1, mps; the first accelerator by default.
        workers: processes that decode images; null is one per core, up to four, where many images
            are to be decoded.
        skip_unreadable: go on without images that cannot be read.
        layout: whether folders (or splits) called train, val and test are domains, or the parts of
            one domain.
        subfolders: take or skip the images in folders within those of the classes.
        overwrite: evaluate again where there is a result already.
    """
    called = [name.strip() for name in (names or "").split(";") if name.strip()]
    if called and len(called) != len(models):
        raise UserError(f"Expected one name for each of {len(models)} models, got {len(called)}.")
    opened = Opened()
    subjects = [
        load_subject(
            model,
            data,
            options,
            masks=masks,
            mask_values=mask_values,
            skip_unreadable=skip_unreadable,
            layout=layout,
            subfolders=subfolders,
            opened=opened,
        )
        for model in models
    ]
    if called:
        subjects = [replace(each, name=name) for each, name in zip(subjects, called, strict=True)]
    tell_apart(subjects)
    tell_unknown(subjects)
    homes = [subject.home(output) for subject in subjects]
    target = page or (homes[0] if len(homes) == 1 else homes[0].parent) / "report.html"
    require_writable(target.parent)
    results = []
    for subject, home in zip(subjects, homes, strict=True):
        about: dict[str, Any] = {
            "masker": subject.masker,
            "train_domains": subject.train_domains,
            "seen": subject.seen,
            "protocol": protocol.thorough() if thorough else protocol,
            "name": subject.name,
            "seed": subject.seed,
            "config": subject.config,
        }
        results.append(
            judge(
                subject.model,
                subject.data,
                home=home,
                domains=domains or (),
                device=device,
                workers=workers,
                overwrite=overwrite,
                **about,
            )
        )
    show(method_table(results))
    write_page([result.folder for result in results], target)
    say(f"The page: {target}")
