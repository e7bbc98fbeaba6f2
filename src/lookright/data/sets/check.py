"""Comparing a folder with what is published about a set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lookright.data.images import UnreadableImageError, check_image
from lookright.data.listing import Lister
from lookright.data.sets.prepare import IMAGES, RECORD
from lookright.data.sets.published import Place, PublishedSet, Version
from lookright.errors import UserError, some
from lookright.files import as_path
from lookright.progress import counting, in_threads


@dataclass(frozen=True)
class Found:
    """The images of a set in a folder.

    root: the folder that holds those of the domains; files: by path below it; names: those of the
    folders of each domain and class, in the order found; extra: images by the folder, of no domain
    or class of the set, that they are in; elsewhere: images outside of root.
    """

    published: PublishedSet
    root: Path
    files: Mapping[PurePosixPath, Place]
    names: Mapping[str, Sequence[str]]
    extra: Mapping[str, int]
    elsewhere: int
    passed_over: Sequence[str] = ()

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """Images by domain and class."""
        return Counter((place.domain, place.label) for place in self.files.values())

    @property
    def domains(self) -> Counter[str]:
        return Counter(place.domain for place in self.files.values())

    @property
    def version(self) -> Version:
        """The published counts that it has, else those of most papers."""
        first, *others = self.published.versions
        total = self.domains.total()
        same = (each for each in others if each.total == total and not self.differences(each))
        return next(same, first)

    def differences(self, version: Version) -> dict[tuple[str, str], int]:
        """By how many images a domain, or one of its classes, differs; "" is the whole domain."""
        domains, counts = self.domains, self.counts
        found = {
            (domain, ""): abs(domains[domain] - expected)
            for domain, expected in version.domains.items()
        }
        for domain, classes in version.classes.items():
            for label, expected in classes.items():
                found[domain, label] = abs(counts[domain, label] - expected)
        return {where: difference for where, difference in found.items() if difference}


@dataclass(frozen=True)
class Contents:
    """What the files hold: those that cannot be read, with the reason, and those that are alike.

    across: groups of files of the same bytes in several domains; within: in one domain.
    """

    unreadable: Mapping[str, str] = field(default_factory=dict)
    across: Sequence[Sequence[str]] = ()
    within: Sequence[Sequence[str]] = ()


def find(published: PublishedSet, folder: Path | str, progress: bool = False) -> Found:
    """Find the set in a folder, however deep its domains lie in it; of a prepared one, its images.

    Raises:
        UserError: no such folder, or none of the set's domains and classes is in it.
    """
    folder = as_path(folder)
    if not folder.is_dir():
        raise UserError(f"Expected the folder of {published.title} at '{folder}'; there is none.")
    if (folder / RECORD).is_file():
        folder /= IMAGES
    with counting(f"Listing {folder.name}", progress) as told:
        lister = Lister(told)
        paths = [PurePosixPath(path.relative_to(folder)) for path in lister.below(folder)]
    known = {path: published.find(path) for path in paths}
    roots = Counter(
        PurePosixPath(*path.parts[: found[0]]) for path, found in known.items() if found
    )
    if not roots:
        tops = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
        raise UserError(
            f"Expected folders of {', '.join(published.domains)}, and in them of the classes "
            f"{some([*published.classes])}, in '{folder}'; "
            f"{f'it holds {some(tops)}' if tops else 'it holds no folders of images'}: name the "
            f"folder of {published.title}."
        )
    root = max(sorted(roots), key=lambda each: roots[each])
    files: dict[PurePosixPath, Place] = {}
    names: dict[str, dict[str, None]] = {}
    extra, elsewhere = Counter[str](), 0
    for path, found in known.items():
        if not path.is_relative_to(root):
            elsewhere += 1
            continue
        inner = path.relative_to(root)
        if found and found[0] == len(root.parts):
            files[inner] = found[1]
            for own, name in ((found[1].domain, inner.parts[0]), (found[1].label, inner.parts[-2])):
                names.setdefault(own, {})[name] = None
        elif not published.repeats(inner):
            extra[_strange(published, inner)] += 1
    listed = {own: [*of] for own, of in names.items()}
    return Found(published, folder / root, files, listed, extra, elsewhere, lister.lines())


def compare_contents(found: Found, progress: bool = False) -> Contents:
    """Read every image, and compare all by their bytes."""
    paths = [*found.files]

    def read(path: PurePosixPath) -> tuple[str, str]:
        try:
            return check_image(found.root / path), ""
        except UnreadableImageError as error:
            return "", error.reason

    outcomes = in_threads(read, paths, "Reading the images" if progress else None)
    groups: dict[str, list[PurePosixPath]] = {}
    unreadable = {}
    for path, (content, reason) in zip(paths, outcomes, strict=True):
        if reason:
            unreadable[str(path)] = reason
        else:
            groups.setdefault(content, []).append(path)
    alike = [group for group in groups.values() if len(group) > 1]
    across = [len({found.files[path].domain for path in group}) > 1 for group in alike]
    named = [[str(path) for path in group] for group in alike]
    return Contents(
        unreadable,
        [group for group, leak in zip(named, across, strict=True) if leak],
        [group for group, leak in zip(named, across, strict=True) if not leak],
    )


def _strange(published: PublishedSet, path: PurePosixPath) -> str:
    """The folder, of no domain or no class, that a file is in."""
    if len(path.parts) > 2 and published.domain(path.parts[0]):
        return str(path.parent)
    return path.parts[0] if len(path.parts) > 1 else "."
