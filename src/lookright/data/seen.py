"""Which images a model was trained on, by what they show, wherever they lie and whatever they are
called."""

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lookright.data.dataset import ImageData, Split, hashed
from lookright.errors import UserError
from lookright.untrusted import parsed, unzipped


@dataclass(frozen=True)
class Seen:
    """The images of a training, as hashes.

    scenes: of the keys of all images that were trained or validated on; home: of the contents of
    all images of the training domains, with those left for a test (`ImageData.keys`, `.contents`).
    """

    scenes: frozenset[str] = frozenset()
    home: frozenset[str] = frozenset()

    @classmethod
    def of(cls, parts: Iterable[Split]) -> "Seen":
        """parts: those trained or validated on; the rest of their domains is left for a test."""
        scenes, home = set[str](), set[str]()
        for part in parts:
            used: dict[str, list[int]] = {}
            for domain, index in part.where:
                used.setdefault(domain, []).append(index)
            for domain, indices in used.items():
                keys = part.data.keys(domain)
                scenes.update(hashed(keys[index]) for index in indices)
                home.update(map(hashed, part.data.contents(domain)))
        return cls(frozenset(scenes), frozenset(home))

    @classmethod
    def in_domains(cls, data: ImageData, domains: Sequence[str]) -> "Seen":
        """What a training on these domains of the data sees: all but their test parts."""
        where = [
            (domain, index)
            for domain in domains
            for index, part in enumerate(data.parts(domain))
            if part != "test"
        ]
        return cls.of([Split(data, where)])

    def __or__(self, other: "Seen") -> "Seen":
        return Seen(self.scenes | other.scenes, self.home | other.home)

    def at_home(self, data: ImageData, domain: str) -> int:
        """How many of the domain's images are images of the training domains."""
        return sum(hashed(content) in self.home for content in data.contents(domain))

    def in_distribution(self, data: ImageData, domain: str) -> bool:
        """Whether more than half of the domain's images are images of the training domains."""
        return bool(self.home) and 2 * self.at_home(data, domain) > len(data.keys(domain))

    def unseen(self, data: ImageData, domain: str) -> list[int]:
        """The positions of the domain's images on which the model can be judged.

        Left out are those that were trained or validated on, those that the data itself gives to
        these parts, and in a domain that is not in distribution every image of the training
        domains.
        """
        keys = data.keys(domain)
        fresh = [at for at, key in enumerate(keys) if hashed(key) not in self.scenes]
        if data.parts_given:
            parts = data.parts(domain)
            fresh = [at for at in fresh if parts[at] == "test"]
        if not self.home or self.in_distribution(data, domain):
            return fresh
        contents = data.contents(domain)
        return [at for at in fresh if hashed(contents[at]) not in self.home]

    def note(self, data: ImageData, domain: str) -> str | None:
        """A sentence about a domain of which only some images are of the training domains."""
        known, total = self.at_home(data, domain), len(data.keys(domain))
        if not 0 < known < total:
            return None
        if self.in_distribution(data, domain):
            return (
                f"{total - known} of the {total} images are of no training domain; the domain "
                "counts as in distribution, because most are."
            )
        return f"{known} of the {total} images are also in the training domains: they are left out."

    @property
    def identity(self) -> str:
        """16 hexadecimal digits that distinguish it from others."""
        return hashed(*sorted(self.scenes), "", *sorted(self.home))

    def as_file(self) -> bytes:
        """The content of a file that `read` reads."""
        lists = {"scenes": sorted(self.scenes), "home": sorted(self.home)}
        return gzip.compress(json.dumps(lists).encode(), mtime=0)

    @classmethod
    def read(cls, path: Path) -> "Seen":
        """What `as_file` wrote.

        Raises:
            UserError: there is no such file, or it is damaged.
        """
        try:
            lists = parsed(unzipped(path))
            scenes, home = frozenset(lists["scenes"]), frozenset(lists["home"])
            if not all(isinstance(each, str) for each in scenes | home):
                raise TypeError("not every hash is text")
            return cls(scenes, home)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"Expected in {path} which images the model was trained on; it is missing or "
                "damaged: train again with --overwrite."
            ) from error
