"""The protocol of a result as it is printed."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any

from lookright.attacks.ball import pixels_in_words

_KINDS: dict[str, type] = {"class_path": str, "import": str, "init_args": dict}
_LENGTHS = ("eps", "curve")
_STAGES = "stages"


def checked(settings: Any) -> dict[str, Any]:
    """Settings from a file, in which each part has what `in_words` reads of it.

    Raises:
        TypeError: they are no spec of a protocol.
    """
    _check(found := dict(settings))
    stages = found.get("init_args", {}).get(_STAGES, [])
    if not isinstance(stages, list) or not all(
        isinstance(stage, dict) and {"class_path", "init_args"} <= stage.keys() for stage in stages
    ):
        raise TypeError(f"expected stages with their options, found {stages!r}")
    return found


def _check(value: Any) -> None:
    if isinstance(value, dict):
        for name, kind in _KINDS.items():
            if not isinstance(value.get(name, kind()), kind):
                raise TypeError(f"expected {name} in the settings, found {value[name]!r}")
        if "class_path" in value and "init_args" not in value:
            raise TypeError(f"expected the options of {value['class_path']}")
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            _check(each)
        elif isinstance(each, float) and not isfinite(each):
            raise TypeError(f"expected a finite number in the settings, found {each}")


def in_words(settings: Mapping[str, Any]) -> dict[str, str]:
    """Each option by its name, an option of a stage as `Stage.option`."""
    found = {}
    for name, value in settings.get("init_args", {}).items():
        if name != _STAGES:
            found[name] = _words(value, name)
            continue
        for stage in value:
            called = _last(stage["class_path"])
            for option, of in stage["init_args"].items():
                found[f"{called}.{option}"] = _words(of, option)
    return found


def compared(runs: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
    """Of the settings of results by their names: those that all share, and the others as
    {setting: {name: value}}, as printed."""
    said = {name: in_words(settings) for name, settings in runs.items()}
    common, differing = {}, {}
    for key in dict.fromkeys(key for of in said.values() for key in of):
        values = {name: of.get(key, "absent") for name, of in said.items()}
        first, *others = values.values()
        if all(other == first for other in others):
            common[key] = first
        else:
            differing[key] = values
    return common, differing


def _words(value: Any, name: str) -> str:
    """One value of a spec, lengths in pixel units as 255ths."""
    if isinstance(value, list):
        return ", ".join(_words(each, name) for each in value) or "none"
    if isinstance(value, dict):
        if "class_path" not in value:
            return _last(value["import"]) if "import" in value else json.dumps(value)
        options = value["init_args"].items()
        told = ", ".join(
            f"{option}={_words(of, option)}" for option, of in options if of is not None
        )
        return _last(value["class_path"]) + (f"({told})" if told else "")
    if isinstance(value, int | float) and name in _LENGTHS:
        return pixels_in_words(value)
    return value if isinstance(value, str) else json.dumps(value)


def _last(path: str) -> str:
    return path.rpartition(".")[2]
