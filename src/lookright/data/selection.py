"""A data set of some of the classes of another data set."""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, final

import torch

from lookright.batch import Batch
from lookright.data.dataset import ImageData, SplitName, hashed

T = TypeVar("T")


@final
class Selected(ImageData):
    """The samples of `data` that belong to these classes, labelled in the given order.

    Keys, and therefore parts, stay the same. A class that is not in the data has no samples. A
    domain without samples of the classes is left out.
    """

    def __init__(self, data: ImageData, classes: Sequence[str]) -> None:
        self.data, self.classes = data, tuple(classes)
        self.name, self.image_size, self.has_masks = data.name, data.image_size, data.has_masks
        self.parts_given, self.passed_over = data.parts_given, data.passed_over
        self.preprocessing = data.preprocessing
        number = {name: index for index, name in enumerate(self.classes)}
        self._new = torch.tensor([number.get(name, -1) for name in data.classes])
        chosen = {data.classes.index(name) for name in self.classes if name in data.classes}
        kept = {
            domain: [at for at, label in enumerate(data.labels(domain)) if label in chosen]
            for domain in data.domains
        }
        self._where = {domain: where for domain, where in kept.items() if where}
        self.domains = tuple(self._where)

    def keys(self, domain: str) -> Sequence[str]:
        return self._of(domain, self.data.keys(domain))

    def names(self, domain: str) -> Sequence[str]:
        return self._of(domain, self.data.names(domain))

    def contents(self, domain: str) -> Sequence[str]:
        return self._of(domain, self.data.contents(domain))

    def parts(self, domain: str) -> Sequence[SplitName]:
        return self._of(domain, self.data.parts(domain))

    def labels(self, domain: str) -> Sequence[int]:
        return [int(self._new[label]) for label in self._of(domain, self.data.labels(domain))]

    def masked(self, domain: str) -> Sequence[bool]:
        return self._of(domain, self.data.masked(domain))

    def tool_masked(self, domain: str) -> Sequence[bool]:
        return self._of(domain, self.data.tool_masked(domain))

    def read(self, domains: Sequence[str], progress: bool = False) -> None:
        self.data.read(domains, progress)

    def unreadable(self, domains: Sequence[str], progress: bool = False) -> dict[str, str]:
        return self.data.unreadable(domains, progress)

    def undecoded(self, domains: Sequence[str]) -> int:
        return self.data.undecoded(domains)

    def fingerprint(self, domain: str) -> str:
        return hashed(self.data.fingerprint(domain), *self.classes)

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        return self._relabelled(domain, self.data.samples(domain, self._at(domain, indices)))

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        return self._relabelled(domain, self.data.stored(domain, self._at(domain, indices)))

    def _at(self, domain: str, indices: Sequence[int]) -> list[int]:
        self.domain_index(domain)
        return [self._where[domain][index] for index in indices]

    def _relabelled(self, domain: str, batch: Batch) -> Batch:
        domains = torch.full_like(batch.labels, self.domain_index(domain))
        return replace(batch, labels=self._new[batch.labels], domains=domains)

    def _of(self, domain: str, values: Sequence[T]) -> list[T]:
        self.domain_index(domain)
        return [values[at] for at in self._where[domain]]


def say_left_out(data: ImageData, kept: Collection[str], class_map: Path) -> None:
    """Warn of the classes of the data that are not kept, as a class map has nothing for them."""
    gone = [name for name in data.classes if name not in kept]
    if not gone:
        return
    labels = [label for domain in data.domains for label in data.labels(domain)]
    counts = [f"{name} ({labels.count(data.classes.index(name))} images)" for name in gone]
    warnings.warn(
        f"{class_map} has nothing for {', '.join(counts)} of {data.name}: left out.", stacklevel=4
    )
