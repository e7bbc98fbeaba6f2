"""Encoded images: checked early, decoded when used, and cached if they fit in memory."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol

import torch
from torch import Tensor

from lookright.batch import Batch
from lookright.data.dataset import ImageData, SplitName, hashed
from lookright.data.images import UnreadableImageError
from lookright.data.layout import without_copies
from lookright.data.masks import MaskSet, MaskValues
from lookright.data.shared import SharedRows
from lookright.errors import UserError, printable
from lookright.models.preprocessing import checked_size
from lookright.progress import in_threads

CACHE_LIMIT: Final = 2 * 2**30
"""Maximum bytes of resized images, masks and tool masks that a data set keeps in memory."""

What = Literal["masks", "tool_masks"]
Masks = dict[What, Tensor]
"""(1, size, size) uint8 each, or (2, size, size) with pixels to leave out (`MaskSet.read`)."""

MaskSets = Mapping[What, MaskSet]

KEY: Final = 24
"""Hexadecimal digits of a key."""

_LISTED: Final = 10


class Sample(Protocol):
    """One image, with its mask and tool mask if there are any.

    Each method raises UnreadableImageError if a file that it needs cannot be read.
    """

    @property
    def name(self) -> str:
        """Its name in tables and messages, unique in the data set."""

    def content(self) -> str:
        """A hash of the image file's bytes, hexadecimal."""

    def check(self) -> tuple[str, str]:
        """`content`, and a hash of the bytes of all its files; raises an error on damage that shows
        without decoding."""

    def image(self, size: int) -> Tensor:
        """The image, (3, size, size) uint8."""

    def masks(self, size: int, sets: MaskSets) -> Masks:
        """The masks that are not empty, each read as its set is."""


@dataclass(frozen=True)
class _Known:
    """The results of the check of a sample, and the `row` of the cache that holds its pixels."""

    digest: str
    has: frozenset[What]
    row: int
    images: SharedRows | None
    masks: SharedRows | None
    ignored: SharedRows | None


_NOTHING: Final = _Known("unreadable", frozenset(), 0, None, None, None)


class Decoded(ImageData):
    """An ImageData of encoded images, which are checked one domain at a time.

    A sample's key is a hash of its image file. So copies are in the same part, and names, folders
    and order decide nothing. Where a domain was not checked yet, its files are hashed for its keys.

    The check hashes every file, decodes the masks, and checks the images without decoding them
    (`images.check_image`). All damaged images of a domain are reported in one error. With
    `skip_unreadable` they are left out and counted instead; the check then decodes every image,
    since the images left out change the training data. Images are decoded when they are used, in
    the worker processes of a loader if it has any. With `cache` they are then kept, resized and as
    uint8, if all requested images fit in CACHE_LIMIT, so that later epochs decode nothing;
    otherwise they are decoded at each use. An image whose mask is empty after cropping counts as
    one without a mask.
    """

    SPEC_IGNORES: ClassVar[tuple[str, ...]] = ("cache", "progress", "read")
    """Arguments that do not change the data."""

    root: Path

    _samples: dict[str, list[tuple[Sample, int]]]
    """The samples of each domain, with their labels."""

    _parts: Mapping[str, SplitName | None]
    """By name, the parts that the data gives; None is divided into train and validation."""

    _sets: MaskSets
    """Masks and tool masks, where there are any at all."""

    @abstractmethod
    def __init__(self, root: Path, image_size: int, skip_unreadable: bool, cache: bool) -> None:
        checked_size(image_size)
        self.root, self._given = root.resolve(), root
        self.name = printable(self.root.name)
        self.image_size = image_size
        self.skip_unreadable, self._keep = skip_unreadable, cache
        self._keys: dict[str, str] = {}
        self._known: dict[str, _Known] = {}
        self._broken: dict[str, str] = {}
        self._read: set[str] = set()

    def read(self, domains: Sequence[str], progress: bool = False) -> None:
        super().read(domains)
        self._require(domains)
        self._read_files(domains, progress)

    def unreadable(self, domains: Sequence[str], progress: bool = False) -> dict[str, str]:
        super().read(domains)
        self._require(domains)
        self._read_files(domains, progress, forgiving=True)
        samples = [sample.name for domain in domains for sample, _ in self._samples[domain]]
        return {name: self._broken[name] for name in samples if name in self._broken}

    def _require(self, domains: Sequence[str]) -> None:
        """Raise UserError for domains that cannot be used."""
        return None

    def _read_files(
        self, domains: Sequence[str], progress: bool = False, forgiving: bool = False
    ) -> None:
        new = [each for each in dict.fromkeys(domains) if each not in self._read]
        samples = [sample for domain in new for sample, _ in self._samples[domain]]
        unreadable = self._checked(samples, progress)
        if forgiving and not self.skip_unreadable:
            self._broken |= {name: error.reason for name, error in unreadable.items()}
            self._known |= dict.fromkeys(unreadable, _NOTHING)
        elif unreadable:
            if not self.skip_unreadable:
                _refuse(self._given, unreadable, len(samples))
            warnings.warn(
                f"Left out {len(unreadable)} of {len(samples)} images of '{self._given}' that "
                "cannot be read.",
                stacklevel=2,
            )
            for domain in new:
                self._samples[domain] = [
                    (sample, label)
                    for sample, label in self._samples[domain]
                    if sample.name not in unreadable
                ]
        self._check(new)
        self._read.update(new)

    def keys(self, domain: str) -> Sequence[str]:
        samples = [sample for sample, _ in self._readable(domain)]
        new = [sample for sample in samples if sample.name not in self._keys]
        self._keys |= dict(in_threads(_keyed, new))
        return [self._keys[sample.name] for sample in samples]

    def names(self, domain: str) -> Sequence[str]:
        return [sample.name for sample, _ in self._readable(domain)]

    def contents(self, domain: str) -> Sequence[str]:
        return self.keys(domain)

    def parts(self, domain: str) -> Sequence[SplitName]:
        if not self.parts_given:
            return super().parts(domain)
        hashes = super().parts(domain)
        divided: Mapping[SplitName, SplitName] = {"validation": "validation"}
        found = [
            self._parts[name] or divided.get(own, "train")
            for name, own in zip(self.names(domain), hashes, strict=True)
        ]
        return without_copies(found, self.keys(domain), self.names(domain), domain)

    def labels(self, domain: str) -> Sequence[int]:
        return [label for _, label in self._readable(domain)]

    def masked(self, domain: str) -> Sequence[bool]:
        return self._has(domain, "masks")

    def tool_masked(self, domain: str) -> Sequence[bool]:
        return self._has(domain, "tool_masks")

    def undecoded(self, domains: Sequence[str]) -> int:
        self.read(domains)
        known = [self._known[sample.name] for of in domains for sample, _ in self._samples[of]]
        return sum(each.images is None or each.images.get(each.row) is None for each in known)

    def fingerprint(self, domain: str) -> str:
        self.read([domain])
        names = (self.classes[label] for _, label in self._samples[domain])
        digests = (self._known[sample.name].digest for sample, _ in self._samples[domain])
        made = str(self.image_size) + (f" {self.preprocessing}" if self.preprocessing else "")
        read = (repr(of.values) for of in self._sets.values() if of.values != MaskValues())
        parts = map(str, self.parts(domain)) if self.parts_given else ()
        return hashed(domain, made, *self.keys(domain), *names, *digests, *read, *parts)

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        self.read([domain])
        chosen = [self._samples[domain][index] for index in indices]
        masks = [self._masks(sample) for sample, _ in chosen] if self._sets else []
        none = torch.zeros(1, self.image_size, self.image_size, dtype=torch.uint8)

        def joined(what: What) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
            if what not in self._sets:
                return None, None, None
            found = [maps.get(what, none) for maps in masks]
            has = torch.tensor([what in maps for maps in masks])
            ignored = None
            if any(len(planes) > 1 for planes in found):
                outside = [planes[1:] if len(planes) > 1 else none for planes in found]
                ignored = torch.stack(outside) > 0
            return torch.stack([planes[:1] for planes in found]), has, ignored

        of_humans, has_mask, ignored = joined("masks")
        of_tools, has_tool_mask, tool_ignored = joined("tool_masks")
        return Batch(
            images=torch.stack([self._image(sample) for sample, _ in chosen]),
            labels=torch.tensor([label for _, label in chosen]),
            domains=torch.full((len(chosen),), number),
            masks=of_humans,
            has_mask=has_mask,
            tool_masks=of_tools,
            has_tool_mask=has_tool_mask,
            ignored=ignored,
            tool_ignored=tool_ignored,
        )

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        return self.stored(domain, indices).to("cpu")

    def _image(self, sample: Sample) -> Tensor:
        known = self._known[sample.name]
        kept = known.images.get(known.row) if known.images else None
        if kept is not None:
            return kept
        image = sample.image(self.image_size)
        if known.images:
            known.images.put(known.row, image)
        return image

    def _masks(self, sample: Sample) -> Masks:
        known = self._known[sample.name]
        if not known.has:
            return {}
        kept = known.masks.get(known.row) if known.masks else None
        if kept is None:
            return sample.masks(self.image_size, self._sets)
        ignored = known.ignored.get(known.row) if known.ignored else None
        planes = kept if ignored is None else torch.cat([kept, ignored], 1)
        return {what: planes[at] for at, what in enumerate(sorted(self._sets)) if what in known.has}

    def _readable(self, domain: str) -> Sequence[tuple[Sample, int]]:
        """The domain's samples; with `skip_unreadable` the domain is checked first."""
        if self.skip_unreadable:
            self._read_files([domain])
        return self._samples[domain]

    def _has(self, domain: str, what: What) -> Sequence[bool]:
        self.read([domain])
        return [what in self._known[sample.name].has for sample, _ in self._samples[domain]]

    def _check(self, domains: Sequence[str]) -> None:
        """Raise errors and give warnings on problems found when these domains were read."""
        for domain in domains:
            if not self._samples[domain]:
                raise UserError(
                    f"Expected images in domain '{domain}' of '{self._given}'; none of them can be "
                    "read: replace them, or use other domains."
                )

    def _checked(
        self, samples: Sequence[Sample], progress: bool
    ) -> dict[str, UnreadableImageError]:
        """Check every sample, in threads; returns the error of each unreadable one, by name."""
        size = self.image_size
        count = len(samples) + len(self._known)
        keep = self._keep and count * (3 + len(self._sets)) * size**2 <= CACHE_LIMIT
        images = SharedRows(len(samples), (3, size, size)) if keep else None
        shape = (len(self._sets), 1, size, size)
        masks = SharedRows(len(samples), shape) if keep and self._sets else None
        ignored = SharedRows(len(samples), shape) if keep and self._sets else None

        def check(row: int, sample: Sample) -> tuple[str, UnreadableImageError | None]:
            try:
                (content, digest), maps = sample.check(), sample.masks(size, self._sets)
                if self.skip_unreadable:
                    image = sample.image(size)
                    if images:
                        images.put(row, image)
            except UnreadableImageError as error:
                return sample.name, error
            if masks and ignored and maps:
                none = torch.zeros(1, size, size, dtype=torch.uint8)
                found = [maps.get(of, none) for of in sorted(self._sets)]
                masks.put(row, torch.stack([planes[:1] for planes in found]))
                if any(len(planes) > 1 for planes in found) or ignored.get(row) is not None:
                    outside = [planes[1:] if len(planes) > 1 else none for planes in found]
                    ignored.put(row, torch.stack(outside))
            self._keys[sample.name] = content[:KEY]
            has = frozenset(maps)
            self._known[sample.name] = _Known(digest, has, row, images, masks, ignored)
            return sample.name, None

        rows = {sample.name: row for row, sample in enumerate(samples)}
        outcomes = in_threads(
            lambda sample: check(rows[sample.name], sample),
            samples,
            f"Checking {self.name}" if progress else None,
        )
        again = {name for each in self._sets.values() for name in each.settle()}
        for sample in samples:
            if sample.name in again:
                check(rows[sample.name], sample)
        return {name: error for name, error in outcomes if error is not None}


def _keyed(sample: Sample) -> tuple[str, str]:
    """Its name and its key; that of a file that cannot be read is a hash of its name."""
    try:
        return sample.name, sample.content()[:KEY]
    except UnreadableImageError:
        return sample.name, hashed(sample.name)


def _refuse(where: Path, unreadable: Mapping[str, UnreadableImageError], total: int) -> None:
    """Raise UserError with the names of the images that cannot be read."""
    if len(unreadable) == 1:
        (error,) = unreadable.values()
        raise UserError(f"{str(error).removesuffix('.')}, or leave it out with --skip-unreadable.")
    listed = ", ".join(f"'{key}'" for key in list(unreadable)[:_LISTED])
    rest = len(unreadable) - _LISTED
    raise UserError(
        f"Expected readable images in '{where}'; {len(unreadable)} of {total} are damaged or not "
        f"images: {listed}{f' and {rest} more' if rest > 0 else ''}. Replace or remove them, or "
        "leave them out with --skip-unreadable."
    )
