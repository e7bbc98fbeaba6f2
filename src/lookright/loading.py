"""Opens the model and the data that a user names, and finds what is known of both."""

import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lookright.console import note
from lookright.data import ImageData, MaskValues, Seen, Selected, load_data
from lookright.data.layout import Layout, Subfolders
from lookright.data.selection import say_left_out
from lookright.errors import UserError, some
from lookright.files import as_path, checksums
from lookright.model_options import ModelOptions
from lookright.models import (
    Classifier,
    ClassMap,
    Preprocessing,
    example_map,
    named_after,
    open_model,
    own_module,
    read_class_map,
)
from lookright.models.names import is_name
from lookright.spec import identity, spec_of
from lookright.training.config import method_title
from lookright.training.run import Run
from lookright.training.told import check_size, say_changed, say_where

Opened = dict[tuple[Any, ...], ImageData]
"""Data sets that were loaded before, by the arguments that loaded them."""


@dataclass(frozen=True)
class Subject:
    """A model and the data it is evaluated on, with the same classes in the same order.

    name: a run's method, else the name of the file or the architecture. train_domains: the names of
    the domains that it was trained on, and seen: its images, where that is known: of a run, and of
    weights among a run's checkpoints. seed: of a run. config: how it was made.
    masker: the masker learned with it. run: its run's folder.
    """

    model: Classifier
    data: ImageData
    name: str
    train_domains: tuple[str, ...] = ()
    seen: Seen | None = None
    seed: int | None = None
    config: dict[str, Any] | None = None
    masker: nn.Module | None = None
    run: Path | None = None

    def home(self, output: Path | None = None) -> Path:
        """The folder for its results: its run's, or else one of its name in `output`."""
        if output is None and self.run is not None:
            return self.run
        return (output or Path("results")) / re.sub("[/:]", "-", self.name)


def load_subject(
    model: str,
    data: str | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008
    *,
    masks: Path | None = None,
    mask_values: MaskValues | None = None,
    skip_unreadable: bool = False,
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
    opened: Opened | None = None,
) -> Subject:
    """Open a model and its data by the names that a user gives.

    Args:
        model: the folder of a run, or what `models.open_model` takes.
        data: what `load_data` takes; a run's own by default.
        options: how to open the model.
        masks: folder of masks; a run's own by default.
        mask_values: what the values in them mean; a run's own by default, for its own masks.
        skip_unreadable, layout, subfolders: as in `load_data`. The images are read when they are
            first used.
        opened: data of earlier calls, to be used again; newly loaded data are added.

    Raises:
        UserError: whatever the functions above refuse; no data; classes that do not fit.
    """
    opened = {} if opened is None else opened

    bar = sys.stderr.isatty()

    def images(name: str, size: int, how: Preprocessing | None) -> ImageData:
        asked = (name, size, how, str(masks), mask_values, skip_unreadable, layout, subfolders)
        if asked not in opened:
            opened[asked] = load_data(
                name,
                size,
                masks=masks,
                skip_unreadable=skip_unreadable,
                progress=bar,
                read=False,
                mask_values=mask_values,
                preprocessing=how,
                layout=layout,
                subfolders=subfolders,
            )
        return opened[asked]

    def of_run(run: Run, size: int, its: Preprocessing | None) -> ImageData:
        spec = run.data_spec
        how = options.preprocessing
        if data is not None and not _is_same(data, spec):
            return images(data, size, its if how is True else how or None)
        known: dict[str, Any] = {"image_size": size, "skip_unreadable": skip_unreadable}
        known |= {} if how is True else {"preprocessing": how or None}
        others: dict[str, Any] = {
            name: value for name, value in known.items() if name in spec["init_args"]
        }
        given: dict[str, Any] = {"masks": masks, "mask_values": mask_values}
        given |= {"layout": layout, "subfolders": subfolders}
        others |= {name: value for name, value in given.items() if value}
        own_masks = spec["init_args"].get("masks")
        if masks and not (own_masks and Path(own_masks).resolve() == masks.resolve()):
            others["mask_values"] = mask_values  # the run's are of other masks
        asked = (identity([spec, others]),)
        if asked not in opened:
            say_where(run, spec, {"root"} if data else set(), {"masks"} if masks else set())
            opened[asked] = run.data(**others)
        return opened[asked]

    if is_run(model):
        run = Run(as_path(model))
        config = run.config
        size = options.image_size or config["model"]["image_size"]
        own, learned = _of_run(run, options)
        check_size(run, options.image_size or own.image_size, size)
        found = of_run(run, size, own.preprocessing)
        judged, chosen, _ = _fitted(own, found, options)
        return Subject(
            judged,
            chosen,
            method_title(config["method"]),
            seed=config["settings"]["init_args"]["seed"],
            config=config,
            masker=learned,
            run=run.folder,
            **_trained(run),
        )
    if data is None:
        raise UserError(
            f"Say on which images {model} is evaluated: --data; only a run knows its own data."
        )
    options.check_without_run(model)
    count = None
    how = options.preprocessing if isinstance(options.preprocessing, Preprocessing) else None
    if ":" in model and options.image_size and not options.classes and not options.class_map:
        count = len(images(data, options.image_size, how).classes)
    own = open_model(model, **options.named, count=count)
    judged, chosen, mapped = _fitted(own, images(data, own.image_size, own.preprocessing), options)
    about = {
        "name": model,
        "architecture": own.architecture or type(own.network).__name__,
        "image_size": own.image_size,
        "preprocessing": spec_of(own.preprocessing),
        "outputs": str(own.outputs),
        "mean": own.mean.flatten().tolist(),
        "std": own.std.flatten().tolist(),
        "class_map": None if mapped is None else {k: list(v) for k, v in mapped.groups.items()},
    }
    name = Path(model).stem if Path(model).is_file() and not is_name(model) else model
    return Subject(judged, chosen, name, config={"model": about}, **_trained(Run.of(own.file)))


def tell_apart(subjects: Sequence[Subject]) -> None:
    """Refuse two models of the same name, unless they are different seeds."""
    seen: set[tuple[str, int | None]] = set()
    for each in subjects:
        if (each.name, each.seed) in seen:
            seed = "" if each.seed is None else f" with seed {each.seed}"
            raise UserError(f"Two models are called {each.name}{seed}: name each by --names 'a;b'.")
        seen.add((each.name, each.seed))


def tell_unknown(subjects: Sequence[Subject]) -> None:
    """Say of which models it is not known what they were trained on."""
    names = dict.fromkeys(each.name for each in subjects if each.seen is None)
    if names:
        note(
            f"It is not known which images trained {some([*names])}, so none is left out, and no "
            "domain is called unseen. It is known of a run, and of the files in its checkpoints.",
            UserWarning,
        )


def load_model(model: str, options: ModelOptions) -> tuple[Classifier, nn.Module | None]:
    """The model alone, without data, and the masker learned in its run."""
    options.check_without_data()
    if not is_run(model):
        options.check_without_run(model)
        return open_model(model, **options.named), None
    return _of_run(Run(as_path(model)), options)


def _is_same(named: str, spec: Mapping[str, Any]) -> bool:
    """Whether a data set's name means the one in a spec, which may set other options."""
    root = spec["init_args"].get("root")
    if root is None:
        return named.lower() == spec["class_path"].rpartition(".")[2].lower()
    return as_path(named).resolve() == Path(root)


def is_run(model: str) -> bool:
    """Whether a folder is meant, rather than a file or a name."""
    path = as_path(model)
    if path.is_dir():
        if not is_name(model):
            return True
        warnings.warn(
            f"{model} is the name of a model, and is taken as that: write ./{model} for the folder "
            "of that name.",
            stacklevel=2,
        )
        return False
    named = ":" in model or path.parts[:1] == ("torchvision",)
    return len(path.parts) > 1 and not path.suffix and not named


def _of_run(run: Run, options: ModelOptions) -> tuple[Classifier, nn.Module | None]:
    options.check_of_run(run.folder)
    say_changed(run)
    own = own_module(options.masker) if options.masker else None
    before: Mapping[str, str] | None = None
    while (now := checksums(run.folder)) != before:  # a run being trained may replace both
        before, learned = now, run.masker(options.which, own)
        model = run.model(options.which, architecture=options.architecture)
    if options.preprocessing is not True:
        model.preprocessing = options.preprocessing or None
    return model, learned


def _trained(run: Run | None) -> dict[str, Any]:
    """What a `Subject` says of its training; nothing where that is not known."""
    if run is None:
        return {}
    domains = run.config["settings"]["init_args"]["domains"]
    return {"train_domains": tuple(domains), "seen": run.seen}


def _fitted(
    model: Classifier, data: ImageData, options: ModelOptions
) -> tuple[Classifier, ImageData, ClassMap | None]:
    """Model and data with the same classes in the same order, and the class map used for that."""
    wanted, class_map = data.classes, options.class_map
    if options.others and class_map is None:
        raise UserError(
            "--others is for a class map, whose other classes it counts: give --class_map."
        )
    if class_map is not None:
        mapped = read_class_map(class_map, wanted, model.classes)
        judged = mapped.onto(model, len(model.classes), options.others)
        say_left_out(data, mapped.groups, class_map)
        return judged, Selected(data, judged.classes), mapped
    own = named_after(model, wanted, options.class_order)
    if own == wanted:
        model.classes = own
        return model, data, None
    if repeated := [name for name in wanted if own.count(name) > 1]:
        raise UserError(
            f"The model has several classes called '{repeated[0]}': tell them apart by --classes."
        )
    if not set(wanted) <= set(own) or (model.nameless and len(own) != len(wanted)):
        names = "name them by --classes FILE, or " if model.nameless else ""
        raise UserError(
            f"The model's {len(own)} classes are {some(own)}, those of {data.name} {some(wanted)}: "
            f"{names}say which counts as which by --class_map FILE, such as one that holds "
            f"{example_map(model, wanted)}"
        )
    if len(own) == len(wanted):
        same = ClassMap({name: (own.index(name),) for name in wanted})
        model.classes = own
        return same.onto(model, len(own)), data, same
    warnings.warn(
        f"{data.name} has {len(wanted)} of the model's {len(own)} classes. All of the model's are "
        "kept, and predicting one that the data lack counts as wrong; to choose among the data's "
        "alone, give a --class_map.",
        stacklevel=3,
    )
    model.classes = own
    return model, Selected(data, own), None
