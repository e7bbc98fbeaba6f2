"""Which of a model's classes count as which of the data's, and logits that say so."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.models.classifier import Classifier

OTHER = "other"
"""What the classes of a model that no group holds are called where they count."""


class Mapped(nn.Module):
    """Logits (B, K) of groups out of a network's logits (B, C) of classes.

    The logit of a group is the logsumexp of its classes', so that the softmax over the groups is
    the softmax over all classes of all groups, added up in each: probabilities given that one of
    the groups is right. Classes in no group are left out before the softmax, as ImageNet-R and
    ImageNet-A are judged (Hendrycks et al., ICCV and CVPR 2021).

    Args:
        network: images to logits (B, C).
        groups: for each of the K groups the indices of its classes, one or more each.
    """

    index: Tensor
    taken: Tensor

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.network = network
        widest = max(map(len, groups))
        padded = [[*group, *[group[0]] * (widest - len(group))] for group in groups]
        taken = [[at < len(group) for at in range(widest)] for group in groups]
        self.register_buffer("index", torch.tensor(padded))
        self.register_buffer("taken", torch.tensor(taken))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x)[:, self.index]
        return logits.masked_fill(~self.taken, -torch.inf).logsumexp(2)


@dataclass(frozen=True)
class ClassMap:
    """For each class of the data that has any, the indices of the model's classes it stands for."""

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
                "needed to judge a classifier."
            )

    def onto(self, model: Classifier, count: int, others: bool = False) -> Classifier:
        """The model as one of the data's classes, those of `groups` in their order.

        With `others` there is one more class, `OTHER`, of all of the model's `count` classes that
        are in no group. No image is of it, so to choose it is wrong, and an attack may aim for it.
        Without, neither a prediction nor an attack can choose a class outside the groups.
        """
        groups = dict(self.groups)
        if others:
            if OTHER in groups:
                raise UserError(
                    f"The data have a class called '{OTHER}', as the model's other classes would "
                    "be: rename it, or leave those out."
                )
            held = {index for group in groups.values() for index in group}
            if rest := tuple(index for index in range(count) if index not in held):
                groups[OTHER] = rest
        return Classifier(
            Mapped(model.network, list(groups.values())),
            tuple(groups),
            model.image_size,
            model.mean.flatten().tolist(),
            model.std.flatten().tolist(),
            model.architecture,
            model.origin,
        )


def read_class_map(path: Path | str, data: Sequence[str], model: Sequence[str]) -> ClassMap:
    """A YAML or JSON file such as `dog: [151-268]`, `guitar: [acoustic guitar, 546]`.

    Args:
        data: the data's classes; those that the file does not name are left out.
        model: the model's classes, in the order of its logits. A class is named by its index, as
            part of a range of indices, by its name, or by one of the names that it lists after
            commas, as ImageNet's do.

    Raises:
        UserError: no such file, or one that is no map; a class that the data, or the model, has
            not; an ambiguous name; one class in two groups; fewer than two groups.
    """
    path = Path(path)
    raw = _read(path)
    if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw):
        raise UserError(
            f"Expected lines such as 'dog: [151-268]' in {path}, from a class of the data (in "
            "quotes where it is a number, yes or no) to classes of the model."
        )
    for name in raw:
        if name not in data:
            raise UserError(
                f"The class map {path} names '{name}', which is no class of the data "
                f"({', '.join(data)}).{did_you_mean(name, data)}"
            )
    found = {
        name: tuple(sorted(set(_indices(raw[name], model, f"'{name}' in {path}"))))
        for name in data
        if name in raw
    }
    return ClassMap(found)


def read_classes(path: Path | str) -> tuple[str, ...]:
    """The names of a model's classes in their order: a line each, or a YAML or JSON list.

    Raises:
        UserError: no such file, or one that is no list of names.
    """
    path = Path(path)
    raw = _read(path, plain=path.suffix.lower() not in (".yaml", ".yml", ".json"))
    names = raw.get("classes") if isinstance(raw, dict) else raw
    if not isinstance(names, list) or len(names) < 2:
        raise UserError(f"Expected two or more names of classes in {path}, one a line or a list.")
    return tuple(map(str, names))


@cache
def imagenet_classes(count: int) -> tuple[str, ...] | None:
    """The names of ImageNet-1k's classes where there are 1000; None of any other number."""
    if count != 1000:
        return None
    from timm.data import ImageNetInfo

    about = ImageNetInfo("imagenet-1k")
    return tuple(about.index_to_description(index) for index in range(count))


def _read(path: Path, plain: bool = False) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        if plain:
            return [name for line in text.splitlines() if (name := line.strip())]
        return yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"No file at {path} ({error.strerror}): give one that is there.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as YAML or JSON ({' '.join(str(error).split())})."
        ) from error


def _indices(entry: Any, model: Sequence[str], where: str) -> Iterator[int]:
    """The model's classes that a list, an index, a range or a name stands for."""
    if entry is None:
        return
    if isinstance(entry, list):
        for each in entry:
            yield from _indices(each, model, where)
        return
    text = str(entry).strip()
    if ends := re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", text):
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if first > last or last >= len(model):
            raise UserError(
                f"Expected classes from 0 to {len(model) - 1} for {where}, the lower one of a "
                f"range first; got {text}."
            )
        yield from range(first, last + 1)
        return
    named = _by_name(tuple(model))
    if text not in named:
        raise UserError(
            f"The model has no class '{text}', asked for as {where}.{did_you_mean(text, named)}"
        )
    if len(named[text]) > 1:
        raise UserError(
            f"The model has several classes '{text}', asked for as {where}: name one by its index, "
            f"out of {', '.join(map(str, named[text]))}."
        )
    yield named[text][0]


@cache
def _by_name(model: tuple[str, ...]) -> dict[str, list[int]]:
    """The indices of the classes by each of their names; a whole name comes before a part."""
    whole: dict[str, list[int]] = {}
    parts: dict[str, list[int]] = {}
    for index, name in enumerate(model):
        whole.setdefault(name, []).append(index)
        for part in name.split(", "):
            parts.setdefault(part, []).append(index)
    return parts | whole
