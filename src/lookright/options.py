"""The options of a verb: from the command line and YAML files to the arguments of its function.

Options may be given in any order. Values from the command line and from files (`--config`) are
converted in the same way (`lookright.spec`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from inspect import Parameter, isclass
from pathlib import Path
from shlex import quote
from typing import Any, get_origin

from lookright.errors import UserError
from lookright.files import as_path
from lookright.help import is_listed, kind_of, unknown
from lookright.registry import path_of
from lookright.spec import Place, converted, parameters, said, spec_of
from lookright.spec.plain import class_path, plain
from lookright.spec.text import plain_values

_DEEPEST = 20
"""Names in an option such as --method.guide.masker."""

_FLAGS = ("help", "print_config", "trust_config")

Tree = dict[str, Any]
"""Nested options by name; the name of a member is under "", next to its options."""


class Options:
    """The options of a verb.

    known: its parameters by name; the fields of a dataclass with `FLAT`, such as `ModelOptions`,
    are options at the top level.
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
        groups = ((group.__doc__ or "").partition("\n\n")[2] for group in self.groups.values())
        self.about = "\n\n".join([verb.__doc__ or "", *groups])

    def pairs(self, words: Sequence[str]) -> Iterator[tuple[str, str | None]]:
        """Pairs (option, value), with None if no value was given; ("", value) without an option."""
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
            switch = option == "trust_config" or (
                option in self.known and self.known[option].annotation is bool
            )
            if equals:
                yield option, value
            elif switch:
                explicit = bool(waiting) and waiting[0].lower() in ("true", "false")
                yield option, waiting.pop(0) if explicit else "true"
            elif option in _FLAGS or not waiting or waiting[0][:2] == "--":
                yield option, None
            else:
                yield option, waiting.pop(0)

    def tree(self, words: Sequence[tuple[str, str | None]], begun: str = "") -> Tree:
        """All options as one tree: a preset, over it files, then options, then positional values.

        begun: the file of a run that goes on, beneath the other files; nothing in it may give way
        to options of other names. What the words say is `Said`, and so is what files say where
        `trust_config` is among them.
        """
        tree: Tree = {}
        given = Counter(option for option, _ in words)
        for option in given:
            if given[option] > 1 and option and is_listed(option, self.known):
                raise UserError(f"--{option} is given twice: write all of it as one list, a,b.")
        trusted = any(
            option == "trust_config" and (value is None or plain(value, bool, Place(option)))
            for option, value in words
        )
        files = [self._value(option, value) for option, value in words if option == "config"]
        for file in files:
            read = _read(file, trusted)
            tree = _merged(self._beneath(tree, read), read)
        names = [option.partition(".")[0] for option in given]
        tree = self._beneath(tree, names)
        if begun:
            before = _read(begun, trusted)
            if lost := before.keys() - self._beneath(before, names).keys():
                other = ", ".join(f"{name} {before[name]}" for name in sorted(lost))
                raise UserError(
                    f"A run goes on as it began: this one has {other}, which other options of the "
                    "command line would replace; leave those out, or begin another run."
                )
            tree = _merged(before, tree)
        tree = self._over_preset(tree, [(option, value) for option, value in words if option])
        for option, value in words:
            trust = option == "trust_config" and option not in self.known
            if not option or option == "config" or trust:
                continue
            path = option.split(".")
            self._require_known(path[0])
            if not all(path) or len(path) > _DEEPEST:
                raise UserError(f"There is no option --{option}: name it as --option.option.")
            _insert(tree, path, said(self._value(option, value)))
        loose = [said(value) for option, value in words if not option and value is not None]
        for name, each in self.known.items():
            if each.default is not each.empty or name in tree or not loose:
                continue
            several = get_origin(each.annotation) is list
            tree[name] = [loose.pop(0) for _ in loose[:]] if several else loose.pop(0)
        if loose:
            raise UserError(
                f"Not understood: {' '.join(loose)}; write lists without spaces, as [a,b] or a,b."
            )
        return {name: _named(each) for name, each in tree.items()}

    def values(self, tree: Tree) -> dict[str, Any]:
        """The arguments of the verb."""
        for option in tree:
            self._require_known(option)
        needed = [
            n for n, each in self.known.items() if each.default is each.empty and n not in tree
        ]
        if needed:
            raise UserError(f"Still needed: {', '.join(needed)}; see --help.")
        _seed_parts(tree.get("seed", 0))
        place = Place(trust="said")
        values = converted(self.verb, {n: v for n, v in tree.items() if n in self.own}, place)
        for name, group in self.groups.items():
            inside = {n: v for n, v in tree.items() if n in parameters(group)}
            values[name] = group(**converted(group, inside, place))
        return values

    def flat(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All values by option, including defaults."""
        found = {
            n: each.default for n, each in self.known.items() if each.default is not each.empty
        }
        for name, value in values.items():
            found |= vars(value) if name in self.groups else {name: value}
        return found

    def plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """All values by option as specs; a class that an option names has all of its own."""
        found = {}
        for name, value in self.flat(values).items():
            made = value.func if isinstance(value, partial) else value
            named = isclass(made) and bool(kind_of(name, self.known))
            found[name] = _with_defaults(made, value) if named else spec_of(value)
        return found

    def _over_preset(self, tree: Tree, words: Sequence[tuple[str, str | None]]) -> Tree:
        """The options of the files over those of the preset that is named, if there is one."""
        named = [value for option, value in words if option == "preset"] or [tree.get("preset")]
        if "preset" not in self.known or not named[-1]:
            return tree
        from lookright.training import preset

        given = {option.partition(".")[0] for option, _ in words} | tree.keys()
        under = preset(str(named[-1])).beneath(given).of_train
        below = {name: spec_of(value) for name, value in under.items()}
        whole = {name: each for name, each in tree.items() if _is_member(each)}
        return {**_merged(below, tree), **whole}

    def _beneath(self, tree: Tree, given: Collection[str]) -> Tree:
        """The options of files, without what gives way to others, by the names of those given."""
        if "preset" not in self.known or not tree:
            return tree
        from lookright.training.presets import giving_way

        out = giving_way(given, tree)
        return {name: each for name, each in tree.items() if name not in out or not each}

    def _require_known(self, option: Any) -> None:
        if option not in (*self.known, "print_config"):
            raise unknown(option, self.known)

    def _value(self, option: str, value: str | None) -> Any:
        if value is not None or option == "print_config":
            return True if value is None else value
        if kind_of(option, self.known):
            raise UserError(f"--{option} needs a name after it; --{option}.help lists the names.")
        raise UserError(f"--{option} needs a value after it.")


def command_line(words: str, **given: Any) -> str:
    """The command with the options that were given, not None; of paths only the last part."""
    said = {name: each.name if isinstance(each, Path) else each for name, each in given.items()}
    options = [f"--{n} {quote(str(each))}" for n, each in said.items() if each is not None]
    return " ".join([words, *options])


def _with_defaults(made: Any, value: Any) -> Tree:
    """The spec of a class, or of its partial, with the options that were not given, too."""
    usual = {n: each.default for n, each in parameters(made).items()}
    given = value.keywords if isinstance(value, partial) else {}
    options = {n: each for n, each in {**usual, **given}.items() if each is not Parameter.empty}
    return {"class_path": path_of(made), "init_args": spec_of(options)}


def _insert(tree: Tree, path: Sequence[str], value: Any) -> None:
    """Insert a value at a path of names; a node that is only a name becomes its member name."""
    *above, last = path
    node = tree
    for depth, name in enumerate(above, 1):
        place = Place(".".join(path[:depth]))
        name = next((key for key in node if _names(key, name)), name)
        below = node[name] = {} if node.get(name) is None else _as_member(node[name])
        if isinstance(below, list):
            below = node[name] = _by_name(below, place)
        if not isinstance(below, dict):
            below = node[name] = {"": below}
        node = _options(below, place) if "class_path" in below else below
    before = _as_member(node.get(last))
    if isinstance(before, dict) and not isinstance(value, dict):
        _rename(before, value, Place(".".join(path)))
        node[last] = before
    else:
        node[last] = value


def _as_member(node: Any) -> Any:
    """The value in a file, a class there ({import: NAME}) as a member without options."""
    match node:
        case {"import": name, **rest} if not rest:
            return {"class_path": name}
    return node


def _names(key: str, name: str) -> bool:
    """Whether a member in a file, by its name or import path, is the one that an option names."""
    short = key.rpartition(".")[2]
    return short[:1].isupper() and short.lower() == name.replace("_", "").lower()


def _options(member: Tree, place: Place) -> Tree:
    """The options of a member in a file, which are changed there.

    Raises:
        UserError: what stands there is no member.
    """
    class_path(member, place)
    options: Tree = member.get("init_args") or {}
    member["init_args"] = options
    return options


def _by_name(members: Sequence[Any], place: Place) -> Tree:
    """A list of members as their names with their options.

    Raises:
        UserError: two of one name, or what is no member.
    """
    found: Tree = {}
    for each in map(_as_member, members):
        name = each if isinstance(each, str) else class_path(each, place)
        if name in found:
            raise UserError(f"A file lists {name} twice: give the options of each there.")
        found[name] = {} if isinstance(each, str) else _options(each, place)
    return found


def _rename(node: Tree, name: Any, place: Place) -> None:
    """Change the member of a node; options from a file belong to the member named there."""
    if "class_path" in node:
        same = str(node["class_path"]).rpartition(".")[2].lower() == str(name).lower()
        options = _options(node, place) if same else {}
        node.clear()
        node |= options
    node[""] = name


def _named(node: Any) -> Any:
    """The tree with members as {class_path, init_args}; names without options stay as they are."""
    if not isinstance(node, dict):
        return node
    options = {name: _named(each) for name, each in node.items() if name}
    if "" not in node:
        return options
    return {"class_path": node[""], "init_args": options} if options else node[""]


def _merged(one: Any, other: Any) -> Any:
    """A tree over another; options alone over a member in a file are that member's."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    if _is_member(one) and not other.keys() & {"class_path", "init_args"}:
        other = {"init_args": other}
    return {**one, **{name: _merged(one.get(name), each) for name, each in other.items()}}


def _is_member(node: Any) -> bool:
    """Whether it is a class with its options, as files give it."""
    return isinstance(node, dict) and "class_path" in node


def _read(path: str, trusted: bool = False) -> Tree:
    """The options in a YAML file, `Said` where it is trusted.

    Raises:
        UserError: no such file, a file without options, or one that says to trust it.
    """
    try:
        found = plain_values(as_path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, UserError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--config {path} cannot be read ({reason}): name a YAML file.") from error
    if not isinstance(found, dict):
        raise UserError(f"Expected lines such as 'epochs: 30' in {path}, as --print_config prints.")
    if found.pop("trust_config", False) not in (False, None):
        raise UserError(f"{path} cannot trust itself: say --trust_config yourself.")
    return said(found) if trusted else found


def _seed_parts(seed: Any) -> None:
    """Seed torch, so that parts with parameters, such as a masker, are initialised from `seed`."""
    import torch

    from lookright.seeds import derived_seed

    with suppress(ValueError, TypeError, ArithmeticError):
        torch.manual_seed(derived_seed(int(seed), "parts"))
