"""The command line: every verb is a typed function, and its options are that function's."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from jsonargparse import auto_cli
from rich.console import Console

from lookright import __doc__ as description
from lookright.arguments import Parser, escaped, fail, mistake_behind, spelled
from lookright.verbs.claim import claim
from lookright.verbs.demo import demo
from lookright.verbs.evaluate import evaluate
from lookright.verbs.explain import explain
from lookright.verbs.report import report
from lookright.verbs.study import study
from lookright.verbs.train import train

VERBS: dict[str, Any] = {
    "demo": demo,
    "train": train,
    "evaluate": evaluate,
    "claim": claim,
    "explain": explain,
    "report": report,
    "study": study,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `lookright`."""
    warnings.showwarning = _one_line
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "" not in sys.path:
        sys.path.append("")  # models, guides and maskers of one's own, from the working folder
    try:
        auto_cli(
            VERBS,
            args=spelled(given, VERBS),
            as_positional=True,
            parser_class=Parser,
            prog="lookright",
            description=description,
        )
    except KeyboardInterrupt:
        more = " with --resume" if given[:1] == ["train"] else ""
        fail(f"Stopped; what was finished is kept, and the same command{more} goes on.", 130)
    except Exception as error:
        mistake = mistake_behind(error)
        if mistake is None:
            raise
        fail(mistake, 1)


def _one_line(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    if issubclass(category, UserWarning):
        Console(stderr=True, soft_wrap=True).print(f"[yellow]note:[/] {escaped(str(message))}")
