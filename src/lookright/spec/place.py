"""The place of a value that is being converted, and which code may be named there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NewType

from lookright.registry import already_imported, imported, installed, is_part, untrusted

PROGRAMS: Final = (".pt", ".ts", ".jit", ".pt2")
"""Suffixes of exported programs."""

ModelName = NewType("ModelName", str)
"""What `open_model` takes; `package.module:function` is code, and so is an exported program."""

ClassPath = NewType("ClassPath", str)
"""The name of a class; `package.module.Name` is code."""


class Said(str):
    """Text that the user has typed, or read from a file that he trusts: it may name any code."""


def said(node: Any) -> Any:
    """A tree of plain values whose texts are all `Said`."""
    if isinstance(node, dict):
        return {said(name): said(each) for name, each in node.items()}
    if isinstance(node, list):
        return [said(each) for each in node]
    return Said(node) if isinstance(node, str) else node


@dataclass(frozen=True)
class Place:
    """The place of a value, for messages and defaults.

    name: the name of the value in messages; taker: the class or function that takes it; default:
    the member that is meant if only options are given; given: arguments passed to every class that
    takes them, unless its spec sets them; trust: all of the code that is named (from Python), what
    is `Said` and installed packages (from the command line and its configs), or only what is
    imported already (from the file of a run or result).
    """

    name: str = ""
    taker: str = ""
    default: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    trust: Literal["all", "said", "imported"] = "all"

    def found(self, path: str, what: str = "class") -> Any:
        """The class or function at an import path."""
        if self._trusts(path):
            return imported(path, what)
        return (installed if self.trust == "said" else already_imported)(path, what)

    def may_call(self, path: str, made: Any) -> bool:
        """Whether what was found there may be called with arguments from the same source."""
        return self._trusts(path) or is_part(made)

    def require_trusted(self, name: str) -> None:
        """Raise UserError where the name of code does not come from the user."""
        if not self._trusts(name):
            raise untrusted(name, "function")

    def _trusts(self, path: str) -> bool:
        return self.trust == "all" or (self.trust == "said" and isinstance(path, Said))
