"""The config of a run, as plain JSON: specs of method, data and settings, and the initial
weights."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lookright.data import ImageData, Split, SplitName
from lookright.errors import UserError
from lookright.methods.method import Method
from lookright.models import Classifier
from lookright.spec import spec_of
from lookright.spec.folders import relative, with_folders
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
            "spec": with_folders(spec_of(data), lambda folder: relative(folder, run)),
            "classes": list(data.classes),
            **{name: len(part) for name, part in parts.items()},
            "samples": _fingerprint(parts),
        },
        "settings": spec_of(settings),
    }


def check_config(config: Mapping[str, Any], path: Path) -> None:
    """Check that a config has what is read of it.

    Raises:
        UserError: it has not; the message names `path`.
    """
    specs = ("method",), ("data", "spec"), ("settings",)
    wanted: dict[tuple[str, ...], type] = {
        **{(*at, "class_path"): str for at in specs},
        **{(*at, "init_args"): dict for at in specs},
        ("model", "image_size"): int,
        ("data", "name"): str,
        **{("settings", "init_args", name): int for name in ("epochs", "seed")},
        ("settings", "init_args", "domains"): list,
    }
    for keys, kind in wanted.items():
        found: Any = config
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        texts = kind is not list or (isinstance(found, list) and all(map(_is_text, found)))
        if not isinstance(found, kind) or isinstance(found, bool) or not texts:
            raise UserError(
                f"{path} is damaged: expected {kind.__name__} at {'.'.join(keys)}, found "
                f"{str(found)[:40]}; take it from a copy, or train again with --overwrite."
            )

    for spec in _specs(config):
        if not isinstance(spec["class_path"], str) or not isinstance(
            spec.get("init_args", {}), dict
        ):
            raise UserError(
                f"{path} is damaged: expected a class and its arguments, found {str(spec)[:60]}; "
                "take it from a copy, or train again with --overwrite."
            )


def _specs(value: Any) -> Iterator[Mapping[str, Any]]:
    """The specs of parts in a config, at any depth."""
    if isinstance(value, Mapping) and "class_path" in value:
        yield value
    if isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _specs(each)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


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
    """A hash of which samples are in which part, of what their domains hold, labels and masks
    included, and of which of them have a tool mask."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        domains = dict.fromkeys(domain for domain, _ in part.where)
        data = part.data
        for domain in domains:
            digest.update(f"{domain}\0{data.fingerprint(domain)}\n".encode())
        known = {domain: (data.keys(domain), data.tool_masked(domain)) for domain in domains}
        for domain, index in part.where:
            keys, masked = known[domain]
            line = f"{name}\0{domain}\0{keys[index]}" + masked[index] * "\0guided"
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]
