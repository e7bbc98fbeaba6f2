"""Plain values from YAML, of a file or of one option, and YAML from plain values."""

import re
from collections import Counter
from typing import Any, ClassVar

import yaml

from lookright.errors import UserError

_DEEPEST, _LARGEST = 50, 100_000


class Loader(yaml.SafeLoader):
    """Names stay as they are written, and only numbers are numbers.

    `yes`, `1_0`, `007` and `2024-05-01` are text, as in YAML 1.2, of which YAML 1.1 makes a bool,
    two numbers and a date. The names of a mapping are text always. A name that stands twice in one
    mapping is refused; YAML's libraries keep the last.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        names = Counter(key.value for key in keys)
        if repeated := [name for name, times in names.items() if times > 1]:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(
                f"'{repeated[0]}' stands twice in the mapping from line {line} on: keep one"
            )
        for key in keys:
            key.tag = key.tag if key.tag == _MERGE else _TAG + "str"
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes text that `Loader`, or a reader of YAML 1.1, would take for something else."""


_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?((\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))"
        r"|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    for _each in (Loader, _Dumper):
        _each.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$"), list(_first))


def plain_values(text: str) -> Any:
    """The value that YAML text holds: lists, mappings, numbers, bools, text and null.

    Raises:
        UserError: no YAML, or values that are too many or too deep, as where one holds itself.
    """
    try:
        found = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"no YAML ({' '.join(str(error).split())})") from error
    level, size = [found], 0
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _inside(each)]
        size += len(level)
        if size > _LARGEST:
            break
    if level:
        raise UserError(f"more than {_LARGEST} values, or more than {_DEEPEST} levels of them")
    return found


def as_yaml(values: Any) -> str:
    """YAML text of plain values, which `plain_values` reads as they are."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, list | tuple | set) else []
