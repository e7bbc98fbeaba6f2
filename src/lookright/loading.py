"""Opens the model and the data that a user names, and finds what is known of both."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from lookright.data import ImageData, MaskValues, Selected, load_data
from lookright.errors import UserError
from lookright.models import (
    Classifier,
    ClassMap,
    open_model,
    own_module,
    read_class_map,
    read_classes,
)
from lookright.spec import identity
from lookright.training.config import method_title
from lookright.training.run import Run, Which

Opened = dict[tuple[Any, ...], ImageData]
"""Data sets that were loaded before, by the arguments that loaded them."""


@dataclass(frozen=True)
class Subject:
    """A model and the data it is evaluated on, with the same classes in the same order.

    name: a run's method, else the name of the file or the architecture. train_domains: the domains
    that it was trained on, where that is known. seed: of its training. config: how it was made.
    masker: the masker learned with it. run: its run's folder.
    """

    model: Classifier
    data: ImageData
    name: str
    train_domains: tuple[str, ...] = ()
    seed: int | None = None
    config: dict[str, Any] | None = None
    masker: nn.Module | None = None
    run: Path | None = None

    def home(self, output: Path | None = None) -> Path:
        """The folder for its results: its run's, or else one of its name in `output`."""
        if output is None and self.run is not None:
            return self.run
        return (output or Path("results")) / re.sub("[/:]", "-", self.name)


@dataclass(frozen=True)
class ModelOptions:
    """How a model is opened: its weights, image size, normalisation and classes.

    Args:
        weights: file of weights of a named model (.safetensors or a state dict).
        pretrained: use the library's own weights for a named model, from its hub.
        image_size: side length in pixels that the model expects, if the model does not say so
            itself.
        mean: for a program that does not normalise its images: it gets (x - mean) / std, as
            [r,g,b].
        std: see mean.
        classes: file with the names of the model's classes in their order, one per line.
        class_map: file that says which of the model's classes count as which of the data's, with
            lines such as 'dog: [151-268]'. Classes of the data that it does not name are left out.
            Without it both must have the same names, in any order.
        others: with a class map, count the model's remaining classes as one more class, always
            wrong.
        which: the best or the last epoch of a run.
        masker: package.module.Name of a run's masker, if it is one of your own.
    """

    FLAT: ClassVar[bool] = True

    weights: Path | None = None
    pretrained: bool = False
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    classes: Path | None = None
    class_map: Path | None = None
    others: bool = False
    which: Which = "best"
    masker: str | None = None

    @property
    def named(self) -> dict[str, Any]:
        """Those of the options that `models.open_model` takes."""
        return {
            "weights": self.weights,
            "pretrained": self.pretrained,
            "image_size": self.image_size,
            "mean": self.mean,
            "std": self.std,
            "classes": read_classes(self.classes) if self.classes else None,
        }


def load_subject(
    model: str,
    data: str | None = None,
    options: ModelOptions = ModelOptions(),
    *,
    masks: Path | None = None,
    mask_values: MaskValues | None = None,
    skip_unreadable: bool = False,
    opened: Opened | None = None,
) -> Subject:
    """Open a model and its data by the names that a user gives.

    Args:
        model: the folder of a run, or what `models.open_model` takes.
        data: what `load_data` takes; a run's own by default.
        options: how to open the model.
        masks: folder of masks; a run's own by default.
        mask_values: what the values in them mean; a run's own by default.
        skip_unreadable: as in `load_data`. The images are read when they are first used.
        opened: data of earlier calls, to be used again; newly loaded data are added.

    Raises:
        UserError: whatever the functions above refuse; no data; classes that do not fit.
    """
    opened = {} if opened is None else opened

    def images(name: str, size: int) -> ImageData:
        asked = (name, size, str(masks), mask_values, skip_unreadable)
        if asked not in opened:
            opened[asked] = load_data(
                name,
                size,
                masks=masks,
                skip_unreadable=skip_unreadable,
                read=False,
                mask_values=mask_values,
            )
        return opened[asked]

    def of_run(run: Run, size: int) -> ImageData:
        spec = run.data_spec
        if data is not None and not _is_same(data, spec):
            return images(data, size)
        known = {"image_size": size, "skip_unreadable": skip_unreadable}
        others: dict[str, Any] = {
            name: value for name, value in known.items() if name in spec["init_args"]
        }
        others |= {"masks": masks} if masks else {}
        others |= {"mask_values": mask_values} if mask_values else {}
        asked = (identity([spec, others]),)
        if asked not in opened:
            opened[asked] = run.data(**others)
        return opened[asked]

    if is_run(model):
        run = Run(Path(model).expanduser())
        config, settings = run.config, run.config["settings"]["init_args"]
        size = options.image_size or config["model"]["image_size"]
        found = of_run(run, size)
        own, learned = _of_run(run, options)
        judged, chosen, _ = _fitted(own, found, options)
        trained = settings["domains"]
        if not set(trained) & set(chosen.domains):
            warnings.warn(
                f"{found.name} has none of the domains that {model} was trained on "
                f"({', '.join(trained)}): all of its images are treated as unseen by the model.",
                stacklevel=2,
            )
        return Subject(
            judged,
            chosen,
            method_title(config["method"]),
            tuple(domain for domain in trained if domain in chosen.domains),
            settings["seed"],
            config,
            learned,
            run.folder,
        )
    if data is None:
        raise UserError(
            f"Say on which images {model} is evaluated: --data; only a run knows its own data."
        )
    count = None
    if ":" in model and options.image_size and not options.classes and not options.class_map:
        count = len(images(data, options.image_size).classes)
    own = open_model(model, **options.named, count=count)
    judged, chosen, mapped = _fitted(own, images(data, own.image_size), options)
    about = {
        "name": model,
        "architecture": own.architecture or type(own.network).__name__,
        "image_size": own.image_size,
        "mean": own.mean.flatten().tolist(),
        "std": own.std.flatten().tolist(),
        "class_map": None if mapped is None else {k: list(v) for k, v in mapped.groups.items()},
    }
    name = Path(model).stem if Path(model).is_file() else model
    return Subject(judged, chosen, name, config={"model": about})


def tell_apart(subjects: Sequence[Subject]) -> None:
    """Refuse two models of the same name, unless they are different seeds."""
    seen: set[tuple[str, int | None]] = set()
    for each in subjects:
        if (each.name, each.seed) in seen:
            seed = "" if each.seed is None else f" with seed {each.seed}"
            raise UserError(f"Two models are called {each.name}{seed}: name each by --names 'a;b'.")
        seen.add((each.name, each.seed))


def load_model(model: str, options: ModelOptions) -> tuple[Classifier, nn.Module | None]:
    """The model alone, without data, and the masker learned in its run."""
    if not is_run(model):
        return open_model(model, **options.named), None
    return _of_run(Run(Path(model)), options)


def _is_same(named: str, spec: Mapping[str, Any]) -> bool:
    """Whether a data set's name means the one in a spec, which may set other options."""
    root = spec["init_args"].get("root")
    if root is None:
        return named.lower() == spec["class_path"].rpartition(".")[2].lower()
    return Path(named).expanduser().resolve() == Path(root)


def is_run(model: str) -> bool:
    """Whether a folder is meant, rather than a file or a name."""
    path = Path(model).expanduser()
    named = ":" in model or path.parts[:1] == ("torchvision",)
    return path.is_dir() or (len(path.parts) > 1 and not path.suffix and not named)


def _of_run(run: Run, options: ModelOptions) -> tuple[Classifier, nn.Module | None]:
    if options.weights or options.pretrained:
        raise UserError(
            f"The run in {run.folder} has its weights: leave out --weights and --pretrained."
        )
    learned = run.masker(options.which, own_module(options.masker) if options.masker else None)
    return run.model(options.which), learned


def _fitted(
    model: Classifier, data: ImageData, options: ModelOptions
) -> tuple[Classifier, ImageData, ClassMap | None]:
    """Model and data with the same classes in the same order, and the class map used for that."""
    own, wanted, class_map = model.classes, data.classes, options.class_map
    if class_map is not None:
        mapped = read_class_map(class_map, wanted, own)
        judged = mapped.onto(model, len(own), options.others)
        _say_left_out(data, mapped, class_map)
        return judged, Selected(data, judged.classes), mapped
    if own == wanted:
        return model, data, None
    if set(own) == set(wanted):
        same = ClassMap({name: (own.index(name),) for name in wanted})
        return same.onto(model, len(own)), data, same
    if own == tuple(map(str, range(len(wanted)))):
        warnings.warn(
            f"The model's {len(own)} classes have no names here and are taken in the order of the "
            f"data's ({', '.join(wanted)}): name them by --classes if that is wrong.",
            stacklevel=3,
        )
        model.classes = wanted
        return model, data, None
    raise UserError(
        f"The model's {len(own)} classes are {some(own)}, those of {data.name} {some(wanted)}: "
        "say which counts as which by --class_map FILE, with lines such as "
        f"'{wanted[0]}: [{own[0].partition(',')[0]}]'."
    )


def _say_left_out(data: ImageData, mapped: ClassMap, class_map: Path) -> None:
    gone = [name for name in data.classes if name not in mapped.groups]
    if not gone:
        return
    labels = [label for domain in data.domains for label in data.labels(domain)]
    counts = [f"{name} ({labels.count(data.classes.index(name))} images)" for name in gone]
    warnings.warn(
        f"{class_map} has nothing for {', '.join(counts)} of {data.name}: left out.", stacklevel=4
    )


def some(names: Sequence[str]) -> str:
    """The first ten names, followed by "..." if there are more."""
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
