"""The command line: a verb is a typed function in `verbs/`; its options are the parameters."""

import ast
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from lookright import __doc__ as description
from lookright.console import (
    fail,
    hushed,
    mistake_behind,
    note,
    say,
    write_any_text,
    write_nowhere,
)
from lookright.errors import StoppedError, UnreadError, UserError, did_you_mean
from lookright.files import as_path
from lookright.help import describe_member, describe_verb
from lookright.imports import working_folder
from lookright.interrupts import raised, stopped
from lookright.options import Options
from lookright.spec import Place
from lookright.spec.plain import plain
from lookright.spec.text import as_yaml

_LONGEST = 1500
"""Characters of an error that are shown."""

_UNREAD = 141
"""The exit code of a command whose output nobody reads any more, as a shell has it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `lookright`."""
    warnings.showwarning = note
    write_any_text()
    given = list(sys.argv[1:] if arguments is None else arguments)
    helps = given[:1] == ["train"] and _further_process()
    try:
        with working_folder(), hushed(helps):
            run(given)
    except KeyboardInterrupt:
        fail("" if helps else _stopped(given), stopped())
    except StoppedError as stop:
        fail("" if helps else str(stop), stopped())
    except UnreadError:
        write_nowhere()
        raise SystemExit(_UNREAD) from None
    except Exception as error:
        mistake = mistake_behind(error)
        if mistake is None and helps and _lost_connection(error):
            fail("", 1)  # the process that it has lost says why
        if mistake is None:
            raise
        fail(_short(mistake), 1)


def _stopped(given: Sequence[str]) -> str:
    """What becomes of a command that was stopped."""
    trains = given[:1] == ["train"]
    if "--overwrite" in given and not trains:
        return "Stopped; the same command begins anew, since it says --overwrite."
    more = " with --resume" if trains else ""
    return f"Stopped; finished work is kept, and the same command{more} continues it."


def _further_process() -> bool:
    """Whether Lightning or torchrun has started this process to help another with a training."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) != "0"


def _lost_connection(error: Exception) -> bool:
    """Whether the error says that another process of a training has ended."""
    return type(error).__name__.startswith("Dist") or "Connection" in str(error)


def run(given: Sequence[str]) -> None:
    """Run a command line.

    Raises:
        UserError: no such verb or option, or a value that does not fit.
    """
    known = verbs()
    if not given:
        raise UserError(f"Give a command: lookright {', '.join(known)}, or lookright --help.")
    verb, *rest = given
    if verb in ("-h", "--help"):
        say(f"{description}\n\nlookright VERB ...; lookright VERB --help shows its options.\n")
        say("\n".join(f"  {name:<10}{about}" for name, about in known.items()))
        return
    if verb == "--version":
        from lookright import __version__

        say(__version__)
        return
    if verb not in known:
        raise UserError(
            f"There is no command '{verb}': expected one of {', '.join(known)}."
            f"{did_you_mean(verb, known)}"
        )
    function = getattr(import_module(f"lookright.verbs.{verb}"), verb)
    options = Options(function)
    words = list(options.pairs(rest))
    for option, value in words:
        if option == "help":
            return describe_verb(verb, options.about, options.known)
        if option and option.endswith(".help"):
            return describe_member(option.removesuffix(".help"), value, options.known)
    tree = options.tree(words, _begun_with(verb, words))
    shown = tree.pop("print_config", None)
    values = options.values(tree)
    if shown is not None:
        say(as_yaml(options.plain(values)), end="")
        return
    with raised():
        function(**values)


def _begun_with(verb: str, words: Sequence[tuple[str, str | None]]) -> str:
    """The file of the options that a run began with, where --resume goes on with it; or nothing."""
    given = dict(words)
    folder, resume = given.get("run"), given.get("resume", "false")
    if verb != "train" or not folder or not plain(resume, bool, Place("resume")):
        return ""
    from lookright.training.run import OPTIONS

    kept = as_path(folder) / OPTIONS
    if kept.is_file():
        return str(kept)
    if not given.keys() & {"data", "method", "config", "print_config"}:
        raise UserError(
            f"No run that `lookright train` began in {folder} ({OPTIONS}): name the folder of one, "
            "or say what to train, on what (--data, --method)."
        )
    return ""


def _short(message: str) -> str:
    """A message without the middle of what a user has given at length."""
    half = _LONGEST // 2
    return message if len(message) <= _LONGEST else f"{message[:half]} ... {message[-half:]}"


def verbs() -> dict[str, str]:
    """Each verb and a sentence on what it does, read from its file without importing it."""
    found = {}
    for file in sorted((Path(__file__).parent / "verbs").glob("[a-z]*.py")):
        about = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
        found[file.stem] = about.partition(": ")[2]
    return found
