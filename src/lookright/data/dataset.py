"""What a data set is: named domains that share classes, each split by a hash of its samples."""

import hashlib
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Literal, final

import torch
from torch.utils.data import DataLoader, Dataset

from lookright.batch import Batch, collate
from lookright.errors import UserError, did_you_mean
from lookright.spec import identity

SplitName = Literal["train", "validation", "test", "all"]

_READ = 256

_ENDS = {"train": 0.70, "validation": 0.85, "test": 1.0}


def part_of(key: str) -> SplitName:
    """The part a sample belongs to: 70% train, 15% validation, 15% test, by its key alone."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode()).digest()
    fraction = int.from_bytes(digest[:6], "big") / 2**48
    if fraction < _ENDS["train"]:
        return "train"
    return "validation" if fraction < _ENDS["validation"] else "test"


def hashed(*texts: str) -> str:
    """16 hexadecimal digits that follow from the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class ImageData(ABC):
    """Images of `classes` in named `domains`, square at `image_size` pixels a side.

    A sample's part (train, validation, test) follows from a hash of its key, so a sample that is
    added or removed moves no other. On a domain never trained on, part "all" is every sample.
    """

    name: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    image_size: int
    has_masks: bool

    @abstractmethod
    def keys(self, domain: str) -> Sequence[str]:
        """One key for each sample of the domain; samples of equal key share a part everywhere."""

    @abstractmethod
    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        """The domain's samples at these positions of `keys`, in this order."""

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        """As `samples`, with images and masks as uint8 where the data keeps them so.

        Loaders take these to the device, where `Batch.to` makes them float32.
        """
        return self.samples(domain, indices)

    def labels(self, domain: str) -> Sequence[int]:
        """The class number of each of `keys`; from all samples, where it is not known for less."""
        indices = range(len(self.keys(domain)))
        parts = (indices[at : at + _READ] for at in range(0, len(indices), _READ))
        return [label for part in parts for label in self.samples(domain, part).labels.tolist()]

    def masked(self, domain: str) -> Sequence[bool]:
        """For each of `keys`, whether `samples` gives it a mask that is not empty."""
        return [self.has_masks] * len(self.keys(domain))

    def tool_masked(self, domain: str) -> Sequence[bool]:
        """For each of `keys`, whether `samples` gives it a guide that is not empty."""
        return [False] * len(self.keys(domain))

    def undecoded(self, domains: Sequence[str]) -> int:
        """How many images of these domains take decoding when they are used next."""
        return 0

    def read(self, domains: Sequence[str], progress: bool = False) -> None:
        """Check what lies somewhere of these domains now, so that all damage is told at once.

        What is not checked so is checked when it is first used. progress: show a bar on stderr.

        Raises UserError for an unknown domain, and for what cannot be read.
        """
        for domain in domains:
            self.domain_index(domain)

    def fingerprint(self, domain: str) -> str:
        """16 hexadecimal digits that tell these samples from others of the same keys.

        From the spec and the keys, which is enough where the images follow from them; from the name
        and the keys where the data set has no spec.
        """
        try:
            what = identity(self)
        except UserError:
            what = self.name
        return hashed(what, domain, *self.keys(domain))

    @final
    def split(self, domains: str | Sequence[str], part: SplitName) -> "Split":
        """One part of a domain, or of several joined in the order given.

        Raises UserError for an unknown domain or part, and for a part that holds no sample.
        """
        if part not in (*_ENDS, "all"):
            known = (*_ENDS, "all")
            raise UserError(
                f"Expected a part out of {', '.join(known)}; got '{part}'."
                f"{did_you_mean(part, known)}"
            )
        where: list[tuple[str, int]] = []
        for domain in [domains] if isinstance(domains, str) else domains:
            self.domain_index(domain)
            found = [
                (domain, index)
                for index, key in enumerate(self.keys(domain))
                if part == "all" or part_of(key) == part
            ]
            if not found:
                raise UserError(
                    f"Expected images in the {part} part of domain '{domain}' of {self.name}; its "
                    f"{len(self.keys(domain))} images all hash into other parts: add images."
                )
            where += found
        return Split(self, where)

    @final
    def loader(
        self,
        domains: str | Sequence[str],
        part: SplitName,
        batch_size: int = 64,
        shuffle: bool = False,
        generator: torch.Generator | None = None,
        workers: int = 0,
    ) -> DataLoader[Batch]:
        """A DataLoader of Batches over `split(domains, part)`; `generator` fixes the shuffling.

        workers: processes that decode images.
        """
        return DataLoader(
            self.split(domains, part),
            batch_size=batch_size,
            shuffle=shuffle,
            generator=generator,
            num_workers=workers,
            collate_fn=collate,
            persistent_workers=workers > 0,
        )

    @final
    def domain_index(self, domain: str) -> int:
        """The domain's number, as `Batch.domains` carries it; UserError where there is none."""
        if domain not in self.domains:
            raise UserError(
                f"Expected a domain of {self.name} ({', '.join(self.domains)}); got '{domain}'."
                f"{did_you_mean(domain, self.domains)}"
            )
        return self.domains.index(domain)


@final
class Split(Dataset[Batch]):
    """Chosen samples of a data set; an item is a Batch of one, and `collate` joins them.

    `where` names each sample by its domain and its position there. stored: give what
    `ImageData.stored` gives, for a loader, in place of `ImageData.samples`.
    """

    def __init__(
        self, data: ImageData, where: Sequence[tuple[str, int]], stored: bool = False
    ) -> None:
        self.data = data
        self.where = tuple(where)
        self.stored = stored

    def as_stored(self) -> "Split":
        """The same samples as the data stores them."""
        return Split(self.data, self.where, stored=True)

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> Batch:
        (sample,) = self.__getitems__([index])
        return sample

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """The samples in order as few large batches; DataLoader calls this for a whole batch."""
        wanted = (self.where[index] for index in indices)
        read = self.data.stored if self.stored else self.data.samples
        return [
            read(domain, [position for _, position in group])
            for domain, group in groupby(wanted, key=itemgetter(0))
        ]
