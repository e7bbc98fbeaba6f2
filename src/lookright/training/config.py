"""The config of a run, as plain JSON: specs of method, data and settings, and the initial
weights."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lookright.data import ImageData, Split, SplitName
from lookright.methods.method import Method
from lookright.models import Classifier
from lookright.spec import spec_of
from lookright.spec.folders import with_folders
from lookright.training.settings import Settings

FORMAT = 2


def describe_run(
    method: Method,
    model: Classifier,
    data: ImageData,
    parts: Mapping[SplitName, Split],
    settings: Settings,
    run: Path,
) -> dict[str, Any]:
    """Method, data and settings by their specs; the model by its architecture and initial weights.

    The folders of the data are relative to that of the run.

    Raises:
        UserError: a part that cannot be written as a spec, such as a lambda.
    """
    return {
        "format": FORMAT,
        "method": spec_of(method),
        "model": {
            "architecture": model.architecture or type(model.network).__name__,
            "image_size": model.image_size,
            "outputs": str(model.outputs),
            "parameters": sum(p.numel() for p in model.parameters()),
            "weights": model.origin,
        },
        "data": {
            "name": data.name,
            "spec": with_folders(spec_of(data), lambda folder: _relative(folder, run)),
            "classes": list(data.classes),
            **{name: len(part) for name, part in parts.items()},
            "samples": _fingerprint(parts),
        },
        "settings": spec_of(settings),
    }


def _relative(folder: str, run: Path) -> str:
    try:
        return Path(os.path.relpath(folder, run.resolve())).as_posix()
    except ValueError:  # on another drive
        return folder


def method_title(spec: Mapping[str, Any]) -> str:
    """The title of a method from its spec: TRADES, or TRADES-AWP where AWP wraps it."""
    inner = spec["init_args"].get("method")
    name = spec["class_path"].rpartition(".")[2]
    return f"{method_title(inner)}-{name}" if inner else name


def flat(config: Any, name: str = "") -> dict[str, Any]:
    """A config's values by dotted names; a part is given by the name of its class."""
    if isinstance(config, Mapping) and "class_path" in config:
        inside = flat(config.get("init_args", {}), name)
        return {name: config["class_path"].rpartition(".")[2], **inside}
    if not isinstance(config, Mapping):
        return {name: config}
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{name}.{key}".lstrip("."))
    return found


def _fingerprint(parts: Mapping[SplitName, Split]) -> str:
    """A hash of which samples are in which part, and of which of them have a tool mask."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        domains = dict.fromkeys(domain for domain, _ in part.where)
        data = part.data
        known = {domain: (data.keys(domain), data.tool_masked(domain)) for domain in domains}
        for domain, index in part.where:
            keys, masked = known[domain]
            line = f"{name}\0{domain}\0{keys[index]}" + masked[index] * "\0guided"
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]
