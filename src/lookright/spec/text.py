"""Plain values from YAML, of a file or of one option."""

from collections import Counter
from typing import Any

import yaml

from lookright.errors import UserError

_DEEPEST, _LARGEST = 50, 100_000


class OnceLoader(yaml.SafeLoader):
    """Refuses a name that stands twice in one mapping, of which YAML's libraries keep the last."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if repeated := [name for name, times in names.items() if times > 1]:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(
                f"'{repeated[0]}' stands twice in the mapping from line {line} on: keep one"
            )
        return node


def plain_values(text: str) -> Any:
    """The value that YAML text holds: lists, mappings, numbers, bools, text and null.

    Raises:
        UserError: no YAML, or values that are too many or too deep, as where one holds itself.
    """
    try:
        found = yaml.load(text, OnceLoader)
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


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, list | tuple | set) else []
