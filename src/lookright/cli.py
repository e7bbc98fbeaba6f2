"""The command line: a verb is a typed function in `verbs/`, and its options are that function's.

Options may stand in any order and in a YAML file (`--config`); both are read in one way (`spec`).
"""

import ast
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from inspect import Parameter
from pathlib import Path
from typing import Any, get_origin

import yaml

from lookright import __doc__ as description
from lookright.console import fail, mistake_behind, note
from lookright.errors import UserError, did_you_mean
from lookright.help import describe_member, describe_verb, kind_of
from lookright.spec import Place, converted, parameters, spec_of

Tree = dict[str, Any]
"""Options by name; a member's own name is under "", its options beside it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `lookright`."""
    warnings.showwarning = note
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "" not in sys.path:
        sys.path.append("")  # models, guides and maskers of one's own, from the working folder
    try:
        run(given)
    except KeyboardInterrupt:
        more = " with --resume" if given[:1] == ["train"] else ""
        fail(f"Stopped; what was finished is kept, and the same command{more} goes on.", 130)
    except Exception as error:
        mistake = mistake_behind(error)
        if mistake is None:
            raise
        fail(mistake, 1)


def run(given: Sequence[str]) -> None:
    """Do what a command line says.

    Raises:
        UserError: no such verb or option, or a value that does not fit.
    """
    known = verbs()
    if not given:
        raise UserError(f"Say what to do: lookright {', '.join(known)}, or lookright --help.")
    verb, *rest = given
    if verb in ("-h", "--help"):
        print(f"{description}\n\nlookright VERB ...; lookright VERB --help tells its options.\n")
        print("\n".join(f"  {name:<10}{about}" for name, about in known.items()))
        return
    if verb == "--version":
        from lookright import __version__

        print(__version__)
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
    tree = options.tree(words)
    shown = tree.pop("print_config", None)
    values = options.values(tree)
    if shown is not None:
        plain = {name: spec_of(value) for name, value in options.flat(values).items()}
        print(yaml.safe_dump(plain, sort_keys=False), end="")
        return
    function(**values)


def verbs() -> dict[str, str]:
    """Each verb and what it does, in one sentence: from its file, which is not imported."""
    found = {}
    for file in sorted((Path(__file__).parent / "verbs").glob("[a-z]*.py")):
        about = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
        found[file.stem] = about.partition(": ")[2]
    return found


class Options:
    """The options of a verb.

    known: its parameters by name; those of a dataclass with `FLAT`, such as `ModelOptions`, stand
    beside the others.
    """

    def __init__(self, verb: Callable[..., None]) -> None:
        self.verb = verb
        self.own = parameters(verb)
        self.groups = {
            name: each.annotation
            for name, each in self.own.items()
            if getattr(each.annotation, "FLAT", False)
        }
        self.known: dict[str, Parameter] = {}
        for name, each in self.own.items():
            self.known |= parameters(each.annotation) if name in self.groups else {name: each}
        self.about = "\n\n".join([verb.__doc__ or "", *(g.__doc__ for g in self.groups.values())])

    def pairs(self, words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """(option, value), with None where no value was given; without an option ("", value)."""
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if word == "-h":
                yield "help", None
                continue
            if word[:2] != "--":
                yield "", word
                continue
            option, equals, value = word[2:].partition("=")
            option = option.replace("-", "_")
            switch = option in self.known and self.known[option].annotation is bool
            if equals:
                yield option, value
            elif switch:
                told = bool(waiting) and waiting[0].lower() in ("true", "false")
                yield option, waiting.pop(0) if told else "true"
            elif option in ("help", "print_config") or not waiting or waiting[0][:2] == "--":
                yield option, None
            else:
                yield option, waiting.pop(0)

    def tree(self, words: Sequence[tuple[str, str | None]]) -> Tree:
        """What was said as one tree: files first, then the options, then what has no option."""
        tree: Tree = {}
        for option, value in words:
            if option == "config":
                tree = _merged(tree, _read(value))
        for option, value in words:
            if option and option != "config":
                _insert(tree, option.split("."), self._value(option, value))
        loose = [value for option, value in words if not option and value is not None]
        for name, each in self.known.items():
            if each.default is not each.empty or name in tree or not loose:
                continue
            several = get_origin(each.annotation) is list
            tree[name] = [loose.pop(0) for _ in loose[:]] if several else loose.pop(0)
        if loose:
            raise UserError(
                f"Not understood: {' '.join(loose)}; lists are written as one word, [a,b] or a,b."
            )
        return {name: _named(each) for name, each in tree.items()}

    def values(self, tree: Tree) -> dict[str, Any]:
        """The arguments of the verb."""
        for option in tree:
            if option not in self.known:
                near = did_you_mean(f"--{option}", [f"--{name}" for name in self.known])
                raise UserError(f"There is no option --{option}.{near}")
        needed = [
            n for n, each in self.known.items() if each.default is each.empty and n not in tree
        ]
        if needed:
            raise UserError(f"Still needed: {', '.join(needed)}; --help says what it is.")
        _seed_parts(tree.get("seed", 0))
        values = converted(self.verb, {n: v for n, v in tree.items() if n in self.own}, Place())
        for name, group in self.groups.items():
            inside = {n: v for n, v in tree.items() if n in parameters(group)}
            values[name] = group(**converted(group, inside, Place()))
        return values

    def flat(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All values by option, those that were not given too."""
        found = {
            n: each.default for n, each in self.known.items() if each.default is not each.empty
        }
        for name, value in values.items():
            found |= vars(value) if name in self.groups else {name: value}
        return found

    def _value(self, option: str, value: str | None) -> Any:
        if value is not None or option == "print_config":
            return value or True
        if kind_of(option, self.known):
            raise UserError(f"--{option} needs a name after it; --{option}.help shows which.")
        raise UserError(f"--{option} needs a value after it.")


def _insert(tree: Tree, path: Sequence[str], value: Any) -> None:
    """A value under a path of names; what was a name alone becomes the node's own."""
    *above, last = path
    node = tree
    for name in above:
        below = node.setdefault(name, {})
        if not isinstance(below, dict):
            below = node[name] = {"": below}
        inside = below.setdefault("init_args", {}) if "class_path" in below else below
        node = inside
    if isinstance(node.get(last), dict) and not isinstance(value, dict):
        _rename(node[last], value)
    else:
        node[last] = value


def _rename(node: Tree, name: Any) -> None:
    """Another member under the same options; those from a file go with the member there."""
    if "class_path" in node:
        same = str(node["class_path"]).rpartition(".")[2].lower() == str(name).lower()
        options = node.pop("init_args", {}) if same else {}
        node.clear()
        node |= options
    node[""] = name


def _named(node: Any) -> Any:
    """The tree with members as {class_path, init_args}, names alone as they are."""
    if not isinstance(node, dict):
        return node
    options = {name: _named(each) for name, each in node.items() if name}
    if "" not in node:
        return options
    return {"class_path": node[""], "init_args": options} if options else node[""]


def _merged(one: Any, other: Any) -> Any:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    return {**one, **{name: _merged(one.get(name), each) for name, each in other.items()}}


def _read(path: str | None) -> Tree:
    """The options in a YAML file.

    Raises:
        UserError: no such file, or one that holds no options.
    """
    try:
        found = yaml.safe_load(Path(path or "").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"--config {path} cannot be read ({said}): name a YAML file.") from error
    if not isinstance(found, dict):
        raise UserError(f"Expected lines such as 'epochs: 30' in {path}, as --print_config prints.")
    return found


def _seed_parts(seed: Any) -> None:
    """Parts that learn, such as a masker, begin from the seed that was asked for."""
    import torch

    from lookright.seeds import derived_seed

    with suppress(ValueError, TypeError):
        torch.manual_seed(derived_seed(int(seed), "parts"))
