"""A result is data: `result.json` checked field by field, `examples.npz` on demand."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from io import BytesIO
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lookright.claims import Claim
from lookright.diagnostics import Diagnostic
from lookright.errors import UserError
from lookright.files import write_atomically
from lookright.metrics.measure import Measure, as_data, from_data
from lookright.statistics.intervals import Estimate
from lookright.statistics.paired import Paired

FORMAT = 1


@dataclass(frozen=True)
class CurvePoint:
    """Accuracy under the attack of size `eps` (in pixel units, 0 to 1)."""

    eps: float
    accuracy: Estimate


@dataclass(frozen=True)
class RemovalCurve:
    """Mean probability of the explained class as pixels are filled, by a map's ranking.

    map: "explanation", or a baseline's name; kind: the most salient pixels go first (deletion) or
    come first (insertion); shares: of the pixels changed so far, from 0 to 1, each with its
    probability and the 95% interval of that; no interval in results from before it was kept.
    """

    map: str
    kind: Literal["deletion", "insertion"]
    fill: str
    shares: tuple[float, ...]
    probabilities: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Corrupted:
    """Under one corruption: accuracy, and the explanation's similarity to the clean one."""

    family: str
    severity: int
    accuracy: Estimate
    stability: Estimate


@dataclass(frozen=True)
class DomainResult:
    """What was measured in one domain; a measure that does not apply is absent.

    baselines: measures of maps that know nothing of the model, by the baseline's name; paired: the
    explanation against them, image by image, in the measures where a good one is better. samples: a
    hash of the domain's images, masks and labels (`ImageData.fingerprint`).
    """

    n: int
    in_distribution: bool
    measures: dict[str, Estimate]
    curve: tuple[CurvePoint, ...]
    warnings: tuple[str, ...]
    baselines: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    paired: dict[str, dict[str, Paired]] = field(default_factory=dict)
    removal: tuple[RemovalCurve, ...] = ()
    corruptions: tuple[Corrupted, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    claims: tuple[Claim, ...] = ()
    samples: str = ""


@dataclass(frozen=True)
class Examples:
    """N images of one domain, clean and attacked, with saliency and predictions.

    `images` and `attacked` (N, H, W, 3), `saliency` and `saliency_attacked` (N, h, w), and, where
    there are any, the true `masks` and the masks `learned` (N, H, W) are uint8; labels, predictions
    and probabilities are (N,).

    An attack on the explanation keeps the prediction and moves the map: `manipulated`
    (N, G, H, W, 3) and `saliency_manipulated` (N, G, h, w), uint8, one for each of its G goals,
    whose names are `goals` (G,); `predicted_manipulated` (N, G).
    """

    images: NDArray[np.uint8]
    attacked: NDArray[np.uint8]
    saliency: NDArray[np.uint8]
    saliency_attacked: NDArray[np.uint8]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probability: NDArray[np.float32]
    predicted_attacked: NDArray[np.int64]
    probability_attacked: NDArray[np.float32]
    masks: NDArray[np.uint8] | None = None
    learned: NDArray[np.uint8] | None = None
    manipulated: NDArray[np.uint8] | None = None
    saliency_manipulated: NDArray[np.uint8] | None = None
    predicted_manipulated: NDArray[np.int64] | None = None
    goals: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Result:
    """One evaluated model: `result.json` without its examples.

    declared: by key, the measures that are not built in, so that a report can print them.
    """

    folder: Path
    name: str
    seed: int | None
    created: str
    classes: tuple[str, ...]
    train_domain: tuple[str, ...]
    about: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    revision: str | None
    settings: Mapping[str, Any]
    domains: dict[str, DomainResult]
    declared: Mapping[str, Measure] = field(default_factory=dict)


def read_result(folder: Path) -> Result:
    """Read `folder/result.json`.

    Raises:
        UserError: there is no such file, it is damaged, or it is of another format version.
    """
    path = folder / "result.json"
    if not path.is_file():
        raise UserError(
            f"Expected a result folder with result.json, but {path} is not there: "
            "give a folder that `lookright evaluate` wrote."
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
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
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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
        "versions": result.versions,
        "revision": result.revision,
        "settings": result.settings,
        "declared": {key: as_data(measure) for key, measure in result.declared.items()},
        "domains": {
            name: asdict(domain)
            | {"curve": [{"eps": point.eps, **asdict(point.accuracy)} for point in domain.curve]}
            for name, domain in result.domains.items()
        },
    }
    write_atomically(result.folder / "result.json", json.dumps(raw, indent=1).encode())


def write_examples(folder: Path, examples: Mapping[str, Examples]) -> None:
    """Write the examples of each domain into `examples.npz`, atomically."""
    arrays = {
        f"{domain}/{name}": getattr(group, name)
        for domain, group in examples.items()
        for name in Examples.__dataclass_fields__
        if getattr(group, name) is not None
    }
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    write_atomically(folder / "examples.npz", file.getvalue())


def read_examples(result: Result, domain: str) -> Examples | None:
    """The example images of one domain, or None where the result has none.

    Raises:
        UserError: `examples.npz` is damaged, incomplete or its arrays do not fit together.
    """
    path = result.folder / "examples.npz"
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if f"{domain}/images" not in arrays:
                return None
            found = {
                field.name: arrays[f"{domain}/{field.name}"]
                for field in fields(Examples)
                if field.default is MISSING or f"{domain}/{field.name}" in arrays
            }
            examples = Examples(**found)
        _check(examples, len(result.classes))
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise UserError(_damaged(path, error)) from error
    return examples


def _damaged(path: Path, error: Exception) -> str:
    reason = f"missing {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
    return f"{path} is damaged ({reason}): evaluate the model again, with --overwrite."


def _result(folder: Path, raw: dict[str, Any]) -> Result:
    seed = raw["seed"]
    return Result(
        folder=folder,
        name=_text(raw["name"]),
        seed=None if seed is None else int(seed),
        created=str(raw.get("created", "")),
        classes=tuple(_text(name) for name in _list(raw["classes"])),
        train_domain=tuple(_text(name) for name in _list(raw.get("train_domain") or [])),
        about=str(raw.get("about", "")),
        config=dict(raw.get("config") or {}),
        versions={str(k): str(v) for k, v in (raw.get("versions") or {}).items()},
        revision=str(raw["revision"]) if raw.get("revision") else None,
        settings=dict(raw.get("settings") or {}),
        domains={name: _domain(fields) for name, fields in raw["domains"].items()},
        declared={key: from_data(each) for key, each in (raw.get("declared") or {}).items()},
    )


def _domain(raw: dict[str, Any]) -> DomainResult:
    points = ((float(point["eps"]), _estimate(point)) for point in _list(raw.get("curve") or []))
    return DomainResult(
        n=int(raw["n"]),
        in_distribution=bool(raw["in_distribution"]),
        measures=_measures(raw["measures"]),
        curve=tuple(CurvePoint(eps, estimate) for eps, estimate in points if estimate is not None),
        warnings=tuple(str(warning) for warning in _list(raw.get("warnings") or [])),
        baselines={name: _measures(of) for name, of in (raw.get("baselines") or {}).items()},
        paired={
            name: {key: Paired(**counts) for key, counts in of.items()}
            for name, of in (raw.get("paired") or {}).items()
        },
        removal=tuple(_removal(curve) for curve in _list(raw.get("removal") or [])),
        corruptions=tuple(
            Corrupted(_text(c["family"]), int(c["severity"]), accuracy, stability)
            for c in _list(raw.get("corruptions") or [])
            if (accuracy := _estimate(c["accuracy"])) and (stability := _estimate(c["stability"]))
        ),
        diagnostics=tuple(Diagnostic(**each) for each in _list(raw.get("diagnostics") or [])),
        claims=tuple(Claim(**each) for each in _list(raw.get("claims") or [])),
        samples=str(raw.get("samples", "")),
    )


def _measures(raw: dict[str, Any]) -> dict[str, Estimate]:
    found = {key: _estimate(fields) for key, fields in raw.items()}
    return {key: estimate for key, estimate in found.items() if estimate is not None}


def _removal(raw: dict[str, Any]) -> RemovalCurve:
    points = (
        tuple(float(each) for each in _list(raw.get(name, [])))
        for name in ("shares", "probabilities", "low", "high")
    )
    return RemovalCurve(_text(raw["map"]), raw["kind"], _text(raw["fill"]), *points)


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
    shapes = {
        "images": (*examples.images.shape[:3], 3),
        "attacked": examples.images.shape,
        "saliency_attacked": examples.saliency.shape,
        "masks": examples.images.shape[:3],
        "learned": examples.images.shape[:3],
    }
    if examples.goals is not None:
        goals = len(examples.goals)
        shapes |= {
            "manipulated": (n, goals, *examples.images.shape[1:]),
            "saliency_manipulated": (n, goals, *examples.saliency.shape[1:]),
            "predicted_manipulated": (n, goals),
        }
    for name, shape in shapes.items():
        array = getattr(examples, name)
        if array is not None and array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    for name in ("images", "attacked", "saliency", "saliency_attacked"):
        if getattr(examples, name).dtype != np.uint8:
            raise ValueError(f"{name} is {getattr(examples, name).dtype}, expected uint8")
    for name in Examples.__dataclass_fields__:
        array = getattr(examples, name)
        if array is not None and name != "goals" and len(array) != n:
            raise ValueError(f"{name} has {len(array)} rows for {n} labels")
    for name in ("labels", "predicted", "predicted_attacked", "predicted_manipulated"):
        indices = getattr(examples, name)
        if n and indices is not None and (indices.min() < 0 or indices.max() >= classes):
            raise ValueError(f"{name} points outside the {classes} classes")
