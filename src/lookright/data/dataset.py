"""The interface of a data set: named domains with shared classes, split by a hash of each key."""

import hashlib
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Literal, final

import torch
from torch.utils.data import DataLoader, Dataset

from lookright.batch import Batch, collate
from lookright.data.images import UnreadableImageError
from lookright.errors import UserError, did_you_mean
from lookright.models.preprocessing import Preprocessing
from lookright.spec import identity

SplitName = Literal["train", "validation", "test", "all"]

_READ = 256

_ENDS = {"train": 0.70, "validation": 0.85, "test": 1.0}


def part_of(key: str) -> SplitName:
    """The part of a sample, from its key only: 70% train, 15% validation, 15% test."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode()).digest()
    fraction = int.from_bytes(digest[:6], "big") / 2**48
    if fraction < _ENDS["train"]:
        return "train"
    return "validation" if fraction < _ENDS["validation"] else "test"


def hashed(*texts: str) -> str:
    """16 hexadecimal digits: a hash of the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class ImageData(ABC):
    """Square images of `image_size` pixels, of `classes`, in named `domains`.

    A sample's part (train, validation, test) is derived from a hash of its key, so adding, moving
    or removing samples does not move others to another part. Part "all" contains every sample of a
    domain, for domains that are not trained on. preprocessing: how image files became square; None
    for `images.square`, or if the images are not from files.
    """

    name: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    image_size: int
    preprocessing: Preprocessing | None = None
    has_masks: bool

    parts_given: bool = False
    """Whether the data says itself which part a sample is in; then only `test` ones are judged."""

    passed_over: Sequence[str] = ()
    """What the data leaves out of its folder, a line for each reason."""

    @abstractmethod
    def keys(self, domain: str) -> Sequence[str]:
        """One key per sample of the domain: samples with the same key show the same scene, in
        whatever domain or data set, and are in the same part."""

    def names(self, domain: str) -> Sequence[str]:
        """What each of `keys` is called in tables and messages; by default its key."""
        return self.keys(domain)

    def contents(self, domain: str) -> Sequence[str]:
        """For each of `keys`, a hash of the image, the same for equal images wherever they lie.

        By default a hash of the spec (or name), the domain and the key. It equals the key where
        that is such a hash already.
        """
        what = self._identity()
        return [hashed(what, domain, key) for key in self.keys(domain)]

    def parts(self, domain: str) -> Sequence[SplitName]:
        """The part of each of `keys`: train, validation or test; by default `part_of` its key."""
        return [part_of(key) for key in self.keys(domain)]

    @abstractmethod
    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        """The domain's samples at these positions of `keys`, in the given order."""

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        """As `samples`, but with images and masks as uint8 if the data stores them that way.

        Loaders move these to the device, where `Batch.to` makes them float32.
        """
        return self.samples(domain, indices)

    def labels(self, domain: str) -> Sequence[int]:
        """The class number of each of `keys`; by default all samples are read for it."""
        indices = range(len(self.keys(domain)))
        parts = (indices[at : at + _READ] for at in range(0, len(indices), _READ))
        return [label for part in parts for label in self.samples(domain, part).labels.tolist()]

    def masked(self, domain: str) -> Sequence[bool]:
        """For each of `keys`, whether `samples` gives a mask that is not empty."""
        return [self.has_masks] * len(self.keys(domain))

    def tool_masked(self, domain: str) -> Sequence[bool]:
        """For each of `keys`, whether `samples` gives a tool mask that is not empty."""
        return [False] * len(self.keys(domain))

    def undecoded(self, domains: Sequence[str]) -> int:
        """The number of images of these domains that have to be decoded at their next use."""
        return 0

    def read(self, domains: Sequence[str], progress: bool = False) -> None:
        """Check the files of these domains now, so that all damaged ones are reported together.

        Other domains are checked when they are first used. progress: show a bar on stderr. Raises
        UserError for an unknown domain and for files that cannot be read.
        """
        for domain in domains:
            self.domain_index(domain)

    def unreadable(self, domains: Sequence[str], progress: bool = False) -> dict[str, str]:
        """As `read`, but damaged images are no error: the reason for each, by its name."""
        self.read(domains, progress)
        return {}

    def fingerprint(self, domain: str) -> str:
        """16 hexadecimal digits that distinguish these samples from others with the same keys.

        A hash of the spec and the keys, which is enough if these determine the images; if the data
        set has no spec, a hash of its name and the keys.
        """
        return hashed(self._identity(), domain, *self.keys(domain))

    def _identity(self) -> str:
        try:
            return identity(self)
        except UserError:
            return self.name

    @final
    def split(self, domains: str | Sequence[str], part: SplitName) -> "Split":
        """One part of a domain, or of several domains joined in the given order.

        Raises UserError for an unknown domain or part, and for a part without samples.
        """
        if part not in (*_ENDS, "all"):
            known = (*_ENDS, "all")
            raise UserError(
                f"Expected a part, one of {', '.join(known)}; got "
                f"'{part}'.{did_you_mean(part, known)}"
            )
        where: list[tuple[str, int]] = []
        for domain in [domains] if isinstance(domains, str) else domains:
            self.domain_index(domain)
            found = [
                (domain, index)
                for index, own in enumerate(self.parts(domain))
                if part in ("all", own)
            ]
            if not found:
                raise UserError(
                    f"Expected images in the {part} part of domain '{domain}' of {self.name}; its "
                    f"{len(self.keys(domain))} images are all in other parts (copies of an image "
                    "share one): add images."
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
        """A DataLoader of Batches over `split(domains, part)`.

        generator: for the shuffling; workers: the number of processes that decode images.
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
        """The domain's number, as in `Batch.domains`; raises UserError for an unknown domain."""
        if domain not in self.domains:
            raise UserError(
                f"Expected a domain of {self.name} ({', '.join(self.domains)}); got '{domain}'."
                f"{did_you_mean(domain, self.domains)}"
            )
        return self.domains.index(domain)


@final
class Split(Dataset[Batch]):
    """Selected samples of a data set; an item is a Batch of one sample, and `collate` joins them.

    where: the domain and the position in it of each sample. stored: items are those of
    `ImageData.stored`, for a loader, instead of `ImageData.samples`. forgiving: an image that
    cannot be read is no error; its sample has the label -1 and pixels that mean nothing.
    """

    def __init__(
        self,
        data: ImageData,
        where: Sequence[tuple[str, int]],
        stored: bool = False,
        forgiving: bool = False,
    ) -> None:
        self.data = data
        self.where = tuple(where)
        self.stored, self.forgiving = stored, forgiving

    def as_stored(self) -> "Split":
        """The same samples, as `ImageData.stored` gives them."""
        return Split(self.data, self.where, True, self.forgiving)

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, index: int) -> Batch:
        (sample,) = self.__getitems__([index])
        return sample

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """The samples in order, as a few large batches; DataLoader calls this for a whole batch."""
        wanted = (self.where[index] for index in indices)
        return [
            self._batch(domain, [position for _, position in group])
            for domain, group in groupby(wanted, key=itemgetter(0))
        ]

    def _batch(self, domain: str, positions: Sequence[int]) -> Batch:
        read = self.data.stored if self.stored else self.data.samples
        try:
            return read(domain, positions)
        except UnreadableImageError:
            if not self.forgiving:
                raise
        whole = [at for at in positions if unreadable(self.data, domain, at) is None]
        if not whole:
            size = (len(positions), 3, self.data.image_size, self.data.image_size)
            return Batch(torch.zeros(size), torch.full((len(positions),), -1))
        batch = read(domain, [at if at in whole else whole[0] for at in positions])
        lost = torch.tensor([at not in whole for at in positions])
        return replace(batch, labels=batch.labels.masked_fill(lost, -1))


def unreadable(data: ImageData, domain: str, position: int) -> str | None:
    """Why an image cannot be read; None if it can."""
    try:
        data.stored(domain, [position])
    except UnreadableImageError as error:
        return error.reason
    return None
