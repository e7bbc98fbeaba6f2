"""Which images of a folder annotations are of."""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from unicodedata import normalize

from lookright.data.images import SUFFIXES
from lookright.errors import UserError, some


def matched(
    names: Iterable[str], images: Iterable[str], alike: Callable[[Collection[str]], bool]
) -> dict[str, str]:
    """The name in annotations of each image, for those that have one.

    A name belongs to the image whose path ends as it does in most parts: by its whole path, if
    there is such an image, else by the name of its file, which may lack the suffix. Several
    images are only taken if they are `alike`: copies of one.

    Args:
        names: the images' names in annotations, with or without folders and suffix.
        images: the images' paths.

    Raises:
        UserError: a name belongs to several images, or several names to one.
    """
    by_stem = defaultdict(list)
    for image in images:
        by_stem[_parts(image)[0]].append(image)
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    unclear = {}
    for name in dict.fromkeys(names):
        common = {image: _in_common(name, image) for image in by_stem.get(_parts(name)[0], ())}
        best = [image for image, count in common.items() if count == max(common.values())]
        if len(best) > 1 and not alike(best):
            unclear[name] = best
        for image in best:
            found[image].append((common[image], name))
    if unclear:
        name, several = next(iter(unclear.items()))
        raise UserError(
            f"Expected annotations that each belong to one image; {len(unclear)} belong to several "
            f"different ones, such as '{name}' to {some(sorted(several))}: name the folder of one "
            "domain, or give the images' paths in the annotations."
        )
    return {image: _one(image, ranked) for image, ranked in found.items()}


def _one(image: str, ranked: list[tuple[int, str]]) -> str:
    most = max(count for count, _ in ranked)
    names = [name for count, name in ranked if count == most]
    if len(names) > 1:
        raise UserError(
            f"Expected annotations of different images; {some(sorted(names))} all seem to be of "
            f"'{image}': give the images' paths in the annotations, as they are in the folder."
        )
    return names[0]


def _parts(name: str) -> list[str]:
    """The file's name without suffix, its suffix, and its folders, the innermost one first."""
    *folders, file = normalize("NFC", name).split("/")
    stem, suffix = os.path.splitext(file)
    if suffix.lower() not in SUFFIXES:
        stem, suffix = file, ""
    return [stem, suffix, *reversed(folders)]


def _in_common(name: str, image: str) -> int:
    """How many parts agree: the suffix counts if it is there, the folders until one differs."""
    (_, mine, *folders), (_, other, *others) = _parts(name), _parts(image)
    count = int(mine == other)
    for one, another in zip(folders, others, strict=False):
        if one != another:
            break
        count += 2
    return count
