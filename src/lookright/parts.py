"""The parts that a user names: attacks, explainers, guides, ..., with options of their own."""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from inspect import Parameter, isabstract, isclass, signature
from typing import Any, get_args

import yaml
from torch import nn

from lookright.attacks import Attack, Goal, Norm, Objective
from lookright.distances import Distance
from lookright.errors import UserError, did_you_mean
from lookright.explainers import Explainer
from lookright.guides import ConvMasker, Guide
from lookright.methods import Method
from lookright.perturbations import Perturbation

_KINDS: dict[str, type] = {
    "method": Method,
    "attack": Attack,
    "validation_attack": Attack,
    "explainer": Explainer,
    "distance": Distance,
    "guide": Guide,
    "masker": nn.Module,
    "norm": Norm,
    "objective": Objective,
    "perturbation": Perturbation,
    "goal": Goal,
}

_SEVERAL: dict[str, type] = {"attacks": Attack}
"""Lists of parts."""

_UNNAMED = _KINDS.keys() - {"method"}
"""Parts without a default of their own, so that their options need their name."""

Named = dict[str, type | None]
"""The class of each part, by its option; None where it is not known here."""


def defaults(parameters: Mapping[str, Parameter]) -> Named:
    """The parts that are of a class where nothing is said."""
    return {
        name: each.default
        for name, each in parameters.items()
        if isclass(each.default) and name in _KINDS
    }


def kind_of(option: str, named: Named) -> type | None:
    """What a part has to be: its kind, or the narrower class that the part round it takes."""
    part, _, name = option.rpartition(".")
    kind, holder = _KINDS.get(name), named.get(part)
    if kind is None or holder is None or name not in signature(holder).parameters:
        return kind
    annotation = signature(holder).parameters[name].annotation
    taken = (annotation, *get_args(annotation))
    return next((each for each in taken if isclass(each) and issubclass(each, kind)), kind)


def unsaid(option: str, named: Named) -> Iterator[tuple[str, type]]:
    """The part of an option that needs no name, because a single class fits."""
    part = option.rpartition(".")[0]
    kind = kind_of(part, named)
    if kind and part not in named and _concrete(kind) == [kind]:
        named[part] = kind
        yield part, kind


def member(part: str, name: str, kind: type, named: Named) -> tuple[type, str]:
    """The class that a part is named by, and how the parser wants it written."""
    of, _, what = part.rpartition(".")
    what = what.rpartition("_")[2].removesuffix("s")
    if "." in name:
        return _own(name, kind, what), name
    members = {each.__name__.lower(): each for each in _concrete(kind)}
    if name.lower() not in members:
        holder = named.get(of)
        names = sorted(each.__name__ for each in members.values())
        raise UserError(
            f"There is no {what} '{name}'{f' for {holder.__name__}' if holder else ''}: expected "
            f"one of {', '.join(names)}, or one of your own as package.module.Name."
            f"{did_you_mean(name, names)}"
        )
    return members[name.lower()], members[name.lower()].__name__


def _own(name: str, kind: type, what: str) -> type:
    """The user's own class."""
    module, _, last = name.rpartition(".")
    try:
        found = vars(import_module(module))
    except ImportError as error:
        raise UserError(
            f"There is no module '{module}' for the {what} {name} ({error}): it must be importable "
            "from here."
        ) from error
    members = [each for each, thing in found.items() if isclass(thing) and issubclass(thing, kind)]
    if last not in members:
        raise UserError(
            f"There is no {what} '{last}' in the module '{module}': expected a class under "
            f"{kind.__module__}.{kind.__name__}.{did_you_mean(last, members)}"
        )
    return found[last]


def _concrete(kind: type) -> list[type]:
    """The classes of a kind that can be built; of modules, those that are maskers."""
    if kind is nn.Module:
        return [ConvMasker]
    found: list[type] = kind.__subclasses__()
    members = [each for each in found if _offered(each, kind)]
    deeper = [each for one in members for each in _concrete(one)]
    return deeper if isabstract(kind) else [kind, *deeper]


def _offered(each: type, kind: type) -> bool:
    """Whether it is public and beside its kind: no inner part, and no class of one's own."""
    home = ".".join(kind.__module__.split(".")[:2])
    return each.__name__[0] != "_" and each.__module__.startswith(home)


def check_part(option: str, named: Mapping[str, type | None]) -> None:
    """An option of a part: the part is named, and has that option."""
    part, _, name = option.rpartition(".")
    if name == "help" or not part:
        return
    if part.rpartition(".")[2] in _UNNAMED and part not in named:
        raise UserError(f"Say which before --{option}: --{part} NAME --{option} ...")
    if chosen := named.get(part):
        _check_option(chosen, name)


def _check_option(chosen: type, name: str) -> None:
    known = [each for each in signature(chosen).parameters if each != "model"]
    if name not in known:
        raise UserError(
            f"{chosen.__name__} has no option '{name}', but {', '.join(known) or 'none at all'}."
            f"{did_you_mean(name, known)}"
        )


def is_several(option: str) -> bool:
    """Whether an option takes a list of parts."""
    return option.rpartition(".")[2] in _SEVERAL


def several(option: str, value: str, ball: Mapping[str, Any]) -> str:
    """A list of parts as the parser wants it: each by its name, or with options of its own.

    ball: the eps and norm of those that name none.

    Raises:
        UserError: no such list, no such class, or an option that a class has not.
    """
    try:
        entries = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise _no_list(option, value) from error
    return json.dumps(_entries(option, entries, ball))


def _entries(option: str, entries: Any, ball: Mapping[str, Any]) -> list[Any]:
    kind = _SEVERAL[option.rpartition(".")[2]]
    each = entries if isinstance(entries, list) else [entries]
    return [_entry(option, entry, kind, ball) for entry in each]


def _entry(option: str, entry: Any, kind: type, ball: Mapping[str, Any]) -> Any:
    said = {"class_path": entry} if isinstance(entry, str) else entry
    options = said.get("init_args", {}) if isinstance(said, dict) else None
    if not isinstance(options, dict) or not said.keys() <= {"class_path", "init_args"}:
        raise _no_list(option, entry)
    name = said.get("class_path")
    if not isinstance(name, str):
        raise _no_list(option, entry)
    chosen, written = member(option, name, kind, {})
    for each in options:
        _check_option(chosen, each)
    known = signature(chosen).parameters
    found = {each: value for each, value in ball.items() if each in known} | options
    for each, value in options.items():
        inner = f"{option}.{each}"
        if each in _SEVERAL:
            found[each] = _entries(inner, value, ball)
        elif each in _KINDS and value is not None:
            found[each] = _entry(inner, value, _KINDS[each], {})
    return {"class_path": written, "init_args": found}


def _no_list(option: str, got: Any) -> UserError:
    return UserError(
        f"Expected names for --{option}, or names with their options, as in '[AutoAttack, "
        f"{{class_path: APGD, init_args: {{loss: dlr}}}}]'; got '{got}'."
    )


def names_of(option: str) -> list[str]:
    """What a part, or a part of a list, may be called; none where the option is no part."""
    kind = (_KINDS | _SEVERAL).get(option.rpartition(".")[2])
    return sorted(each.__name__ for each in _concrete(kind)) if kind else []
