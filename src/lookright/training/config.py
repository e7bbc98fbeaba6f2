"""What was run, as plain JSON."""

import functools
import hashlib
import inspect
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lookright.data import ImageData, Split, SplitName
from lookright.methods.method import Method
from lookright.models import Classifier
from lookright.training.settings import Settings


def describe_run(
    method: Method,
    model: Classifier,
    data: ImageData,
    parts: Mapping[SplitName, Split],
    settings: Settings,
) -> dict[str, Any]:
    """Method, model, data and settings, each by its name and arguments."""
    plain = {
        name: describe(value)
        for name, value in vars(data).items()
        if not name.startswith("_") and isinstance(value, str | int | float | bool | Path | None)
    }
    return {
        "format": 1,
        "method": describe(method),
        "model": {
            "architecture": model.architecture or type(model.network).__name__,
            "image_size": model.image_size,
            "parameters": sum(p.numel() for p in model.parameters()),
        },
        "data": {
            "class": type(data).__name__,
            "name": data.name,
            **plain,
            "classes": list(data.classes),
            **{name: len(part) for name, part in parts.items()},
            "samples": _fingerprint(parts),
        },
        "settings": {
            field.name: describe(getattr(settings, field.name)) for field in fields(settings)
        },
    }


def method_title(described: Mapping[str, Any]) -> str:
    """What to call a described method: TRADES, and TRADES-AWP where AWP is round it."""
    inner = described.get("method")
    return f"{method_title(inner)}-{described['class']}" if inner else described["class"]


def describe(value: Any) -> Any:
    """JSON that is the same whenever the value is.

    Dataclasses by fields, modules by the arguments that they keep, others by their name.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, functools.partial):
        keywords = {key: describe(item) for key, item in value.keywords.items()}
        return {"class": _name(value.func), **keywords}
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        return {"class": type(value).__name__, **content}
    if isinstance(value, nn.Module):
        arguments = {
            name: describe(getattr(value, name))
            for name in inspect.signature(type(value).__init__).parameters
            if name not in ("self", "model") and hasattr(value, name)
        }
        return {"class": type(value).__name__, **arguments}
    return _name(value if inspect.isroutine(value) or isinstance(value, type) else type(value))


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _fingerprint(parts: Mapping[SplitName, Split]) -> str:
    """A hash of which samples are in which part, and of which of them have a guide."""
    digest = hashlib.sha256()
    for name, part in parts.items():
        domains = dict.fromkeys(domain for domain, _ in part.where)
        data = part.data
        known = {domain: (data.keys(domain), data.tool_masked(domain)) for domain in domains}
        for domain, index in part.where:
            keys, guided = known[domain]
            line = f"{name}\0{domain}\0{keys[index]}" + guided[index] * "\0guided"
            digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]
