"""What is published about a data set: its domains, its classes, and how many images each has."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lookright.data.annotations import Annotated
from lookright.errors import UserError

Names = Mapping[str, tuple[str, ...]]
"""Names, each with the other spellings that are in use."""

Counts = Mapping[str, Mapping[str, int]]
"""Images by domain and class."""


@dataclass(frozen=True)
class Version:
    """Numbers of images that were published together; source: where.

    domains, classes: those of each domain and of each class in it; empty where only the total is
    known.
    """

    source: str
    total: int
    domains: Mapping[str, int] = field(default_factory=dict)
    classes: Counts = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, classes: Counts) -> "Version":
        domains = {name: sum(of.values()) for name, of in classes.items()}
        return cls(source, sum(domains.values()), domains, classes)


@dataclass(frozen=True)
class Place:
    """Where an image of a set belongs: its domain, its class, and the name of its file."""

    domain: str
    label: str
    name: str

    @property
    def path(self) -> PurePosixPath:
        return PurePosixPath(self.domain, self.label, self.name)


class Annotations(ABC):
    """What is known of the images of a set besides their folders."""

    def places(self, path: PurePosixPath) -> Sequence[Place] | None:
        """Where a file of the archive belongs; None where its folders say so."""
        return None

    @abstractmethod
    def annotated(self, images: Path) -> Iterator[Annotated]:
        """Where the objects are in the images of a folder <domain>/<class>/*, by their paths."""

    def notes(self) -> list[str]:
        """What a user should know about them, after all were read."""
        return []


def none_taken(files: Sequence[Path]) -> None:
    """The annotations of a set that needs none.

    Raises:
        UserError: some were given.
    """
    if files:
        raise UserError(
            f"Expected no --annotations for this set, got '{files[0]}': leave them out; `lookright "
            "data masks` makes masks from annotations of any images."
        )


@dataclass(frozen=True)
class PublishedSet:
    """A set that papers use, as it was published.

    domains, classes: as they are called here; versions: the counts, first those of most papers,
    which are known by domain and class;
    archive: the official file, and where it is found; parts: folders between those of domain and
    class, which are merged; repeated: such folders whose images are in the others too;
    annotated: opens the files of `--annotations`.
    """

    title: str
    paper: str
    archive: str
    domains: Names
    classes: Names
    versions: tuple[Version, ...]
    parts: tuple[str, ...] = ()
    repeated: frozenset[str] = frozenset()
    annotated: Callable[[Sequence[Path]], Annotations | None] = none_taken

    def domain(self, folder: str) -> str | None:
        """The domain that a folder of that name is."""
        return _known(folder, self.domains)

    def label(self, folder: str) -> str | None:
        """The class that a folder of that name is."""
        return _known(folder, self.classes)

    def find(self, path: PurePosixPath) -> tuple[int, Place] | None:
        """Where a file belongs by the folders that it is in, and which of them is the domain's."""
        folders = path.parts[:-1]
        for at, folder in enumerate(folders):
            domain = self.domain(folder)
            inner = [*folders[at + 1 :]]
            part = inner.pop(0).lower() if inner and inner[0].lower() in self.parts else ""
            if domain and len(inner) == 1 and (label := self.label(inner[0])):
                new = part and not path.name.startswith(f"{part}_")
                return at, Place(domain, label, f"{part}_{path.name}" if new else path.name)
        return None

    def repeats(self, path: PurePosixPath) -> bool:
        """Whether a file is there a second time, in a folder with all the parts."""
        return not self.repeated.isdisjoint(part.lower() for part in path.parts[:-1])

    def places(self, path: PurePosixPath) -> Sequence[Place]:
        """Where a file belongs by the folders that it is in: one place, or none."""
        found = self.find(path)
        return [found[1]] if found else []


def bare(name: str) -> str:
    """A name without case, spaces and signs, by which spellings are compared."""
    return re.sub(r"[\W_]", "", name).casefold()


def _known(folder: str, names: Names) -> str | None:
    spelled = bare(folder)
    for name, others in names.items():
        if spelled in map(bare, (name, *others)):
            return name
    return None
