"""The place of a value that is being converted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lookright.registry import already_imported, imported


@dataclass(frozen=True)
class Place:
    """The place of a value, for messages and defaults.

    name: the name of the value in messages; taker: the class or function that takes it; default:
    the member that is meant if only options are given; given: arguments passed to every class that
    takes them, unless its spec sets them; trusted: False for a spec read from a file, which may not
    import modules.
    """

    name: str = ""
    taker: str = ""
    default: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True

    def found(self, path: str, what: str = "class") -> Any:
        """The class or function at an import path."""
        return (imported if self.trusted else already_imported)(path, what)
