"""Mapping a model's classes to the classes of a data set, and logits for the latter."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
import yaml
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.files import as_path
from lookright.models.classifier import Classifier
from lookright.models.outputs import Outputs
from lookright.spec.text import Loader

OTHER = "other"
"""The name of the class that stands for all of a model's classes in no group."""


class Mapped(nn.Module):
    """Logits (B, K) of groups of classes, from a network's logits (B, C).

    The logit of a group is the logsumexp of the logits of its classes. The softmax over the groups
    is therefore the softmax over the classes of all groups, summed within each group: the
    probabilities given that one of the groups is right. Classes in no group are left out before the
    softmax, as in the evaluation on ImageNet-R and ImageNet-A (Hendrycks et al., ICCV and CVPR
    2021).

    Args:
        network: images to logits (B, C), or to what `outputs` says.
        groups: the indices of the classes of each of the K groups, at least one per group.
    """

    index: Tensor
    taken: Tensor

    def __init__(
        self,
        network: nn.Module,
        groups: Sequence[Sequence[int]],
        outputs: Outputs = Outputs.LOGITS,
    ) -> None:
        super().__init__()
        self.network = network
        self.outputs = outputs
        widest = max(map(len, groups))
        padded = [[*group, *[group[0]] * (widest - len(group))] for group in groups]
        taken = [[at < len(group) for at in range(widest)] for group in groups]
        self.register_buffer("index", torch.tensor(padded))
        self.register_buffer("taken", torch.tensor(taken))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.outputs(self.network(x))[:, self.index]
        return logits.masked_fill(~self.taken, -torch.inf).logsumexp(2)


@dataclass(frozen=True)
class ClassMap:
    """For each mapped class of the data, the indices of the model's classes that count as it."""

    groups: Mapping[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        owner: dict[int, str] = {}
        for name, group in self.groups.items():
            if not group:
                raise UserError(f"The class map gives '{name}' no class: fill it or leave it out.")
            for index in group:
                if index in owner:
                    raise UserError(
                        f"The class map gives class {index} to '{owner[index]}' and to '{name}': "
                        "leave it to one of them."
                    )
                owner[index] = name
        if len(self.groups) < 2:
            raise UserError(
                f"The class map has {len(self.groups)} of the data's classes: at least 2 are "
                "needed to evaluate a classifier."
            )

    def onto(self, model: Classifier, count: int, others: bool = False) -> Classifier:
        """The model as a classifier of the data's classes, those of `groups` in order.

        With `others` there is one more class, `OTHER`, for all of the model's `count` classes that
        are in no group. No image belongs to it, so predicting it is always wrong, and an attack may
        aim for it. Without `others`, neither a prediction nor an attack can choose a class outside
        the groups.
        """
        groups = dict(self.groups)
        if others:
            if OTHER in groups:
                raise UserError(
                    f"The data has a class called '{OTHER}', the name for the model's other "
                    "classes: rename it, or leave the other classes out."
                )
            held = {index for group in groups.values() for index in group}
            if rest := tuple(index for index in range(count) if index not in held):
                groups[OTHER] = rest
        mapped = Mapped(model.network, list(groups.values()), model.outputs)
        return model.around(mapped, tuple(groups))


def read_class_map(path: Path | str, data: Sequence[str], model: Sequence[str]) -> ClassMap:
    """Read a class map from a YAML or JSON file, with lines such as `dog: [151-268]`.

    Args:
        data: the classes of the data; those that the file does not name are left out.
        model: the model's classes, in the order of its logits. The file gives a class by its name,
            by one part of a name that lists several, separated by commas, as in ImageNet, by its
            index, or in a range of indices. What is a name of the model is not taken for an index.

    Raises:
        UserError: no such file, or a file that is not a class map; a class that is not in the data
            or the model; an ambiguous name, or a number without quotes that is the name of one
            class and the index of another; a class in two groups; fewer than two groups.
    """
    path = as_path(path)
    raw = _read(path)
    if not isinstance(raw, dict):
        raise UserError(
            f"Expected lines such as 'dog: [151-268]' in {path}, from a class of the data to "
            "classes of the model."
        )
    raw = {str(name): classes for name, classes in raw.items()}
    for name in raw:
        if name not in data:
            raise UserError(
                f"The class map {path} names '{name}', which is not a class of the data "
                f"({', '.join(data)}).{did_you_mean(name, data)}"
            )
    found = {
        name: tuple(sorted(set(_indices(raw[name], model, f"'{name}' in {path}"))))
        for name in data
        if name in raw
    }
    return ClassMap(found)


def read_classes(path: Path | str) -> tuple[str, ...]:
    """Read the names of a model's classes in order: one per line, or a YAML or JSON list.

    Raises:
        UserError: no such file, or a file that is not a list of names.
    """
    path = as_path(path)
    raw = _read(path, plain=path.suffix.lower() not in (".yaml", ".yml", ".json"))
    names = raw.get("classes") if isinstance(raw, dict) else raw
    match names:
        case [_, _, *_] if all(isinstance(name, str | int) for name in names):
            return tuple(map(str, names))
    raise UserError(f"Expected two or more class names in {path}, one per line or as a list.")


class _Names(Loader):
    """Reads YAML with every name as it is written: yes, 010 and 1.0 are text, 10 is a number."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a list or mapping is used twice, by an alias: write it out")
        return super().compose_node(parent, index)


_Names.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"(0|[1-9][0-9]*)\Z"), [*"0123456789"]
)
_Names.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(|~|null)\Z"), ["", "~", "n"])


def _read(path: Path, plain: bool = False) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if plain:
            return [name for line in text.splitlines() if (name := line.strip())]
        return yaml.load(text, _Names)
    except OSError as error:
        raise UserError(f"No file at {path} ({error.strerror}): give an existing file.") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read as YAML or JSON ({' '.join(str(error).split())})."
        ) from error


def _indices(entry: Any, model: Sequence[str], where: str) -> Iterator[int]:
    """The indices of the model's classes given by a list, an index, a range or a name."""
    if entry is None:
        return
    if isinstance(entry, list):
        for each in entry:
            yield from _indices(each, model, where)
        return
    named = _by_name(tuple(model))
    text = str(entry)
    text = text if text in named else text.strip()
    if isinstance(entry, int) and text in named and named[text] != [entry]:
        raise UserError(
            f"{where} gives {text}, which is the name of class {named[text][0]} of the model and "
            f"the index of another: write '{text}' in quotes for the name, or {text}-{text} for "
            "the index."
        )
    if text in named and len(named[text]) == 1:
        yield named[text][0]
        return
    if text in named:
        raise UserError(
            f"The model has several classes '{text}', which {where} names: give one by its index, "
            f"one of {', '.join(map(str, named[text]))}."
        )
    ends = re.fullmatch(r"([0-9]+)(?:\s*-\s*([0-9]+))?", text)
    if not ends:
        raise UserError(
            f"The model has no class '{text}', which {where} names.{did_you_mean(text, named)}"
        )
    first, last = int(ends[1]), int(ends[2] or ends[1])
    if first > last or last >= len(model):
        raise UserError(
            f"Expected classes from 0 to {len(model) - 1} for {where}, the lower one of a "
            f"range first; got {text}."
        )
    yield from range(first, last + 1)


@cache
def _by_name(model: tuple[str, ...]) -> dict[str, list[int]]:
    """The indices of the classes by each of their names; full names precede parts of names."""
    whole: dict[str, list[int]] = {}
    parts: dict[str, list[int]] = {}
    for index, name in enumerate(model):
        whole.setdefault(name, []).append(index)
        for part in name.split(", "):
            parts.setdefault(part, []).append(index)
    return parts | whole
