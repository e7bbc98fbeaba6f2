"""Results on disk: `result.json`, checked field by field, and `examples.npz`, read on demand."""

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lookright.errors import UserError
from lookright.evaluation.settings import checked
from lookright.files import as_path, verified, write_atomically
from lookright.locks import settled
from lookright.metrics.measure import Measure, as_data, from_data
from lookright.statistics.intervals import Estimate
from lookright.statistics.paired import Paired
from lookright.untrusted import npz, parsed

FORMAT = 2

DAMAGED = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, NotImplementedError)
"""What numpy raises where an archive of arrays is damaged."""


@dataclass(frozen=True)
class DomainResult:
    """What was measured in one domain; a measure that does not apply is absent.

    baselines: the same measures for maps that do not depend on the model, by the baseline's name;
    paired: the explanation compared with them, image by image, in the measures in which a good
    explanation should win. stages: what each stage reports beyond measures, as JSON by the stage's
    name; `Attacks.of(domain)` and the like read it. imbalance: how many times the images of the
    domain's smallest class its largest has, judged or not. judged_classes: how many classes the
    judged images have; None in results of older versions. samples: a hash of the domain's images,
    masks and labels (`ImageData.fingerprint`). revision, versions: of the source and the libraries
    with which this domain was evaluated. left_out: by name, the images that could not be read or
    that the model could not answer, and why.
    """

    n: int
    in_distribution: bool
    measures: dict[str, Estimate]
    baselines: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    paired: dict[str, dict[str, Paired]] = field(default_factory=dict)
    stages: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    imbalance: float = 1.0
    judged_classes: int | None = None
    samples: str = ""
    revision: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """N images of one domain, with saliency and predictions.

    `images` (N, H, W, 3), `saliency` (N, h, w) and, where there are any, the ground-truth `masks`
    (N, H, W) are uint8; labels, predictions and probabilities are (N,). shown: arrays (N, ...) that
    the stages show, by the stage's name and their own.
    """

    images: NDArray[np.uint8]
    saliency: NDArray[np.uint8]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]
    masks: NDArray[np.uint8] | None = None
    shown: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> "Examples":
        """From arrays by name, with `stage.name` for those of a stage; KeyError where one is
        missing."""
        shown: dict[str, dict[str, NDArray[Any]]] = {}
        own = {}
        for name, array in arrays.items():
            stage, dot, inner = name.partition(".")
            if dot:
                shown.setdefault(stage, {})[inner] = array
            else:
                own[name] = array
        needed = ("images", "saliency", "labels", "predicted", "probability")
        given = {name: own[name] for name in needed}
        return cls(**given, masks=own.get("masks"), shown=shown)

    def __len__(self) -> int:
        return len(self.labels)

    def arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The arrays by name, as `of` takes them."""
        for each in fields(self):
            if each.name != "shown" and (array := getattr(self, each.name)) is not None:
                yield each.name, array
        for stage, of in self.shown.items():
            for name, array in of.items():
                yield f"{stage}.{name}", array


@dataclass(frozen=True)
class Result:
    """One evaluated model: `result.json` without its examples and its table.

    saved: its folder; None where nothing was kept on disk. settings: the protocol, as
    `lookright.spec` writes it. declared: by key, the measures that are not built in, so that a
    report can print them.
    """

    saved: Path | None
    name: str
    seed: int | None
    created: str
    classes: tuple[str, ...]
    train_domain: tuple[str, ...]
    about: str
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    domains: dict[str, DomainResult]
    declared: dict[str, Measure] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the result.

        Raises:
            UserError: nothing was kept on disk.
        """
        if self.saved is None:
            raise UserError(
                f"Expected a result that was kept, but that of {self.name} is in memory alone: "
                "evaluate with save=FOLDER."
            )
        return self.saved

    @property
    def revision(self) -> str | None:
        """The revision of the source; all of them where domains were evaluated by different
        ones."""
        found = dict.fromkeys(here.revision for here in self.domains.values() if here.revision)
        return ", ".join(found) or None

    @property
    def versions(self) -> dict[str, str]:
        """The libraries' versions; all of them where domains were evaluated by different ones."""
        found: dict[str, dict[str, None]] = {}
        for here in self.domains.values():
            for name, version in here.versions.items():
                found.setdefault(name, {})[version] = None
        return {name: ", ".join(versions) for name, versions in found.items()}


def read_result(folder: Path | str) -> Result:
    """Read `folder/result.json`.

    Raises:
        UserError: there is no such file, it is damaged, or it is of another format version.
    """
    folder = settled(as_path(folder))
    path = folder / "result.json"
    if not path.is_file():
        raise UserError(
            f"Expected a result folder with result.json, but {path} is not there: "
            "give a folder that `lookright evaluate` wrote."
        )
    try:
        raw = parsed(verified(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(_damaged(path, error)) from error
    version = raw.get("format") if isinstance(raw, dict) else None
    if version != FORMAT:
        raise UserError(
            f"Expected result format {FORMAT}, but {path} has format {version!r}: "
            "evaluate again with this version of lookright and --overwrite."
        )
    try:
        return _result(folder, raw)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(_damaged(path, error)) from error


def write_result(result: Result) -> None:
    """Write `result.json` into its folder, atomically."""
    raw = {
        "format": FORMAT,
        "name": result.name,
        "seed": result.seed,
        "created": result.created,
        "classes": result.classes,
        "train_domain": result.train_domain,
        "about": result.about,
        "config": result.config,
        "settings": result.settings,
        "declared": {key: as_data(measure) for key, measure in result.declared.items()},
        "domains": {name: asdict(domain) for name, domain in result.domains.items()},
    }
    write_atomically(result.folder / "result.json", json.dumps(raw, indent=1).encode())


def write_examples(folder: Path, examples: Mapping[str, Examples]) -> None:
    """Write the examples of each domain into `examples.npz`, atomically."""
    arrays: dict[str, Any] = {
        f"{domain}/{name}": array
        for domain, group in examples.items()
        for name, array in group.arrays()
    }
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    write_atomically(folder / "examples.npz", file.getvalue())


def read_examples(result: Result, domain: str) -> Examples | None:
    """The example images of one domain, or None where the result has none.

    Raises:
        UserError: `examples.npz` is damaged, incomplete or its arrays do not fit together.
    """
    if result.saved is None or not (path := result.saved / "examples.npz").is_file():
        return None
    try:
        with npz(verified(path)) as arrays:
            names = {
                name: name.removeprefix(f"{domain}/")
                for name in arrays
                if name.startswith(f"{domain}/")
            }
            found = {short: arrays[name] for name, short in names.items() if "/" not in short}
        if "images" not in found:
            return None
        examples = Examples.of(found)
        _check(examples, len(result.classes))
    except (*DAMAGED, MemoryError) as error:
        raise UserError(_damaged(path, error)) from error
    return examples


def _damaged(path: Path, error: Exception) -> str:
    reason = f"missing {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return f"{path} is damaged ({reason}): evaluate the model again, with --overwrite."


def _result(folder: Path, raw: dict[str, Any]) -> Result:
    seed, config = raw["seed"], dict(raw.get("config") or {})
    if not isinstance(config.get("judged") or {}, dict):
        raise TypeError(f"expected what was judged, found {config['judged']!r}")
    return Result(
        saved=folder,
        name=_text(raw["name"]),
        seed=None if seed is None else int(seed),
        created=str(raw.get("created", "")),
        classes=tuple(_text(name) for name in _list(raw["classes"])),
        train_domain=tuple(_text(name) for name in _list(raw.get("train_domain") or [])),
        about=str(raw.get("about", "")),
        config=config,
        settings=checked(raw.get("settings") or {}),
        domains={name: _domain(fields) for name, fields in raw["domains"].items()},
        declared={key: from_data(each) for key, each in (raw.get("declared") or {}).items()},
    )


def _domain(raw: dict[str, Any]) -> DomainResult:
    return DomainResult(
        n=int(raw["n"]),
        in_distribution=bool(raw["in_distribution"]),
        measures=_measures(raw["measures"]),
        baselines={name: _measures(of) for name, of in (raw.get("baselines") or {}).items()},
        paired={
            name: {key: _paired(counts) for key, counts in of.items()}
            for name, of in (raw.get("paired") or {}).items()
        },
        stages=dict(raw.get("stages") or {}),
        warnings=tuple(str(warning) for warning in _list(raw.get("warnings") or [])),
        left_out={str(k): str(v) for k, v in (raw.get("left_out") or {}).items()},
        imbalance=float(raw.get("imbalance", 1.0)),
        judged_classes=int(raw["judged_classes"]) if raw.get("judged_classes") else None,
        samples=str(raw.get("samples", "")),
        revision=str(raw["revision"]) if raw.get("revision") else None,
        versions={str(k): str(v) for k, v in (raw.get("versions") or {}).items()},
    )


def _paired(raw: dict[str, Any]) -> Paired:
    match raw:
        case {"better": int(better), "worse": int(worse), "n": int(n)} if (
            better >= 0 <= worse and better + worse <= n < 2**53
        ):
            return Paired(better, worse, n)
    raise TypeError(f"expected numbers of images, found {raw}")


def _measures(raw: dict[str, Any]) -> dict[str, Estimate]:
    found = {key: _estimate(fields) for key, fields in raw.items()}
    return {key: estimate for key, estimate in found.items() if estimate is not None}


def _estimate(raw: dict[str, Any]) -> Estimate | None:
    """None for an undefined figure (null or NaN), which counts as absent."""
    if raw["value"] is None or not math.isfinite(raw["value"]):
        return None
    value = float(raw["value"])
    low, high = (
        value if raw[end] is None or not math.isfinite(raw[end]) else float(raw[end])
        for end in ("low", "high")
    )
    return Estimate(value, low, high, int(raw["n"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a name, found {value!r}")
    return value


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return value


def _check(examples: Examples, classes: int) -> None:
    n = len(examples)
    shapes = {"images": (*examples.images.shape[:3], 3), "masks": examples.images.shape[:3]}
    for name, shape in shapes.items():
        array = getattr(examples, name)
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    for name in ("images", "saliency"):
        if getattr(examples, name).dtype != np.uint8:
            raise ValueError(f"{name} is {getattr(examples, name).dtype}, expected uint8")
    for name, array in examples.arrays():
        if len(array) != n:
            raise ValueError(f"{name} has {len(array)} rows for {n} labels")
        if name.rpartition(".")[2] not in ("labels", "predicted") or not n:
            continue
        if array.min() < 0 or array.max() >= classes:
            raise ValueError(f"{name} points outside the {classes} classes")
