"""Where a value stands that is to be made into what an annotation wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lookright.registry import already_imported, imported


@dataclass(frozen=True)
class Place:
    """Where a value stands.

    name: what to call it in a message; taker: the class or function that takes it; default: the
    member that is meant where options are given alone; given: arguments for every class that takes
    them and is not told them; trusted: whether modules may be imported because they are named here.
    """

    name: str = ""
    taker: str = ""
    default: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True

    def found(self, path: str, what: str = "class") -> Any:
        """What is at an import path."""
        return (imported if self.trusted else already_imported)(path, what)
