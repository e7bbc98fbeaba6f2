"""Finding the images of each domain and class in a folder, and their masks."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from unicodedata import normalize

from lookright.data.dataset import SplitName
from lookright.data.images import SUFFIXES
from lookright.data.listing import AGAIN, ODD, Lister, Listing
from lookright.errors import UserError, did_you_mean, printable

Tree = dict[str, dict[str, list[Path]]]
"""The files by domain and class, each level sorted by name."""

Layout = Literal["domains", "parts"]
Subfolders = Literal["take", "skip"]

_PARTS: Final[Mapping[SplitName, str]] = {
    "train": "train|training",
    "validation": "val|valid|validation|dev",
    "test": "test|testing",
}


@dataclass(frozen=True)
class Found:
    """The images of a folder; parts: that of each, if the folders say it (`given_parts`)."""

    tree: Tree
    parts: dict[Path, SplitName | None]
    lister: Lister


def find_images(
    root: Path,
    ignored: Iterable[Path] = (),
    layout: Layout | None = None,
    subfolders: Subfolders | None = None,
    lister: Lister | None = None,
) -> Found:
    """The images of `root/<domain>/<class>/*`, or of `root/<class>/*` as a domain named like root.

    Domains and classes are named in Unicode's composed form (NFC), so folders whose names are the
    same but for that are one; paths keep their own. What is no image (`data.listing`) and the
    folders `ignored` are left out. layout: whether folders called train, val or test are "domains",
    or the "parts" of one domain. subfolders: "take" or "skip" the images in folders within those of
    the classes.

    Raises UserError for a missing folder, a folder without images, a mix of both layouts, an empty
    domain or class, fewer than two classes, and where layout or subfolders would have to be
    guessed. Warns of a domain that lacks a class.
    """
    require_folder(root, "images")
    lister = lister or Lister()
    found = lister.every(root, {folder.resolve() for folder in ignored} - {root.resolve()})
    warn_of_odd(root, lister)
    top = found[root].folders
    flat = [folder for folder in top if found[folder].images]
    nested = [each for folder in top for each in found[folder].folders if found[each].images]
    if not flat and not nested:
        raise _no_images(root, found)
    if flat and nested and subfolders is None:
        raise UserError(
            f"Expected '{root}' laid out either <domain>/<class>/* or <class>/*; '{flat[0]}' and "
            f"'{nested[0]}' both contain images: move them to the same depth, or, if "
            f"'{flat[0].name}' is a class, decide about the deeper ones by --subfolders take or "
            "skip."
        )

    def images(folder: Path) -> list[Path]:
        return found[folder].images + _deeper(root, folder, found, subfolders, lister)

    domains = {root.resolve(): top} if flat else {each: found[each].folders for each in top}
    tree: Tree = {}
    for domain, folders in domains.items():
        for stray in () if flat else found[domain].images:
            lister.pass_over("images outside of class folders", stray)
        classes = tree.setdefault(_name(domain), {})
        for folder in folders:
            classes.setdefault(_name(folder), []).extend(images(folder))
    check_classes(tree, root)
    given = given_parts([*tree], layout, str(root))
    if given is None:
        return Found(tree, {}, lister)
    parts = {
        path: given[name]
        for name, classes in tree.items()
        for files in classes.values()
        for path in files
    }
    joined: dict[str, list[Path]] = {}
    for classes in tree.values():
        for name, files in classes.items():
            joined.setdefault(name, []).extend(files)
    return Found({_name(root.resolve()): joined}, parts, lister)


def given_parts(
    names: Sequence[str], layout: Layout | None, where: str
) -> dict[str, SplitName | None] | None:
    """The part that each of these folders or splits is; None where they are domains.

    If none is for validation, the value of the part to train on is None: its images are divided
    by their hashes. If none is for a test, that for validation is the test, and so is never used to
    choose an epoch.

    Raises:
        UserError: they look like parts, and no layout was given; or they cannot be parts.
    """
    found = {
        name: part
        for name in names
        for part, words in _PARTS.items()
        if re.fullmatch(rf"({words})([-_ ]?(set|data|images|\d+))*", name.lower())
    }
    if layout is None and len(set(found.values())) > 1:
        raise UserError(
            f"'{where}' has {', '.join(found)}: are these the parts of one domain, to train, "
            "validate and test on, or domains of their own? Say --layout parts or --layout domains."
        )
    if layout != "parts":
        return None
    if unknown := [name for name in names if name not in found]:
        raise UserError(
            f"Expected only parts in '{where}' with --layout parts, called train, val or test; "
            f"got '{unknown[0]}': rename it, or say --layout domains."
        )
    given: dict[str, SplitName | None] = {**found}
    if "test" not in found.values():
        given = {name: "test" if part == "validation" else part for name, part in given.items()}
    if "validation" not in given.values():
        given = {name: None if part == "train" else part for name, part in given.items()}
    return given


def check_classes(tree: Tree, root: Path) -> None:
    """Raise UserError for an empty domain or class, for a single class, and for one that domains
    spell in different ways; see find_images."""
    require_images(tree, root)
    classes = {name for found in tree.values() for name in found}
    known: dict[str, str] = {}
    for other in sorted(classes):
        one = known.setdefault(_spelled(other), other)
        if one != other and not any({one, other} <= found.keys() for found in tree.values()):
            raise UserError(
                f"Domains of '{root}' spell one class '{one}' and '{other}', which would be two "
                "classes: rename the folders of one of them."
            )
    for domain, found in tree.items():
        if lacking := sorted(classes - found.keys()):
            warnings.warn(
                f"Domain '{domain}' of '{root}' has no images of {', '.join(lacking)}.",
                stacklevel=2,
            )
    if len(classes) < 2:
        raise UserError(
            f"Expected two or more classes in '{root}'; it has only '{min(classes)}': give the "
            "folder that contains the class folders."
        )


def _spelled(name: str) -> str:
    """A name without what people write in different ways: case, and what parts its words."""
    return re.sub(r"[\s_-]+", " ", name).casefold()


def require_images(tree: Tree, root: Path) -> None:
    """Raise UserError for a domain without classes, and for a class without images."""
    for domain, found in tree.items():
        if not found:
            raise UserError(
                f"Expected class folders in domain '{domain}' of '{root}'; there is none: fill it "
                "or remove it."
            )
        for name, files in found.items():
            if not files:
                raise UserError(
                    f"Expected images in class '{name}' of domain '{domain}' of '{root}'; it has "
                    "none that can be read: add some or remove its folder."
                )


def find_masks(
    root: Path,
    images: Sequence[str],
    what: Literal["masks", "tool_masks"] = "masks",
    lister: Lister | None = None,
) -> dict[str, Path]:
    """The mask of each image that has one: the image's relative path, under `root`, with any image
    suffix, in whatever form of Unicode.

    Raises UserError for a missing folder, for two masks of the same image, and if no mask belongs
    to any image. Warns of masks that belong to no image, and of what cannot be a mask.
    """
    words = what.replace("_", " ")
    require_folder(root, words)
    lister = lister or Lister()
    masks: dict[str, Path] = {}
    for file in lister.below(root):
        stem = _stem(below(root, file))
        if stem in masks:
            raise UserError(
                f"Expected one file of {words} for an image; '{masks[stem]}' and '{file}' are "
                "for the same image: remove one."
            )
        masks[stem] = file
    warn_of_odd(root, lister)
    stems = {image: _stem(image) for image in images}
    fitting = {image: masks[stem] for image, stem in stems.items() if stem in masks}
    own = {stems[image] for image, mask in fitting.items() if _same_suffix(image, mask)}
    fitting = {
        image: mask
        for image, mask in fitting.items()
        if stems[image] not in own or _same_suffix(image, mask)
    }
    counts = Counter(stems[image] for image in fitting)
    if shared := [stem for stem, count in counts.items() if count > 1]:
        warnings.warn(
            f"{len(shared)} {words} in '{root}' belong to several images each, such as "
            f"'{masks[shared[0]]}': rename these images unless they are copies of one.",
            stacklevel=2,
        )
    strays = sorted(masks.keys() - set(stems.values()))
    if not fitting:
        came = f"'{masks[strays[0]]}' belongs to no image" if strays else "it contains no images"
        raise UserError(
            f"Expected {words} in '{root}' at the paths of their images, such as "
            f"'{(root / images[0]).with_suffix('.png')}'; {came}: rename them or leave out {words}."
        )
    if strays:
        warnings.warn(
            f"{len(strays)} of {len(masks)} {words} in '{root}' belong to no image, such as "
            f"'{masks[strays[0]]}'.",
            stacklevel=2,
        )
    return fitting


def below(root: Path, file: Path) -> str:
    """A file's path below `root`."""
    return "/".join(file.parts[len(root.parts) :])


def warn_of_odd(root: Path, lister: Lister) -> None:
    """Warn of entries that no data set should have."""
    for reason in (ODD, AGAIN):
        if paths := lister.passed.get(reason):
            warnings.warn(
                f"Passed over in '{root}': {len(paths)} {reason}, such as '{paths[0]}'.",
                stacklevel=3,
            )


def require_folder(root: Path, what: str, others: tuple[str, ...] = ()) -> None:
    """Raise UserError if `root` is not a folder; suggests a similar name or one of `others`."""
    if root.is_dir():
        return
    if root.is_file():
        raise UserError(
            f"Expected a folder of {what} at '{root}'; it is a file: give the folder, unpacked."
        )
    near = [each.name for each in Lister()(root.parent).folders] if root.parent.is_dir() else []
    raise UserError(
        f"Expected a folder of {what} at '{root}', which does not "
        f"exist.{did_you_mean(root.name, [*near, *others])}"
    )


def without_copies(
    parts: Sequence[SplitName], keys: Sequence[str], names: Sequence[str], domain: str
) -> list[SplitName]:
    """The parts, with copies of training images among those of validation counted as the former.

    Warns of them.
    """
    trained = {key for key, part in zip(keys, parts, strict=True) if part == "train"}
    copies = {at for at, part in enumerate(parts) if part == "validation" and keys[at] in trained}
    if copies:
        warnings.warn(
            f"{len(copies)} validation images of {domain} are copies of training images, such as "
            f"{names[min(copies)]}, and count as these.",
            stacklevel=2,
        )
    return ["train" if at in copies else part for at, part in enumerate(parts)]


def _stem(path: str) -> str:
    """What an image and its mask have in common of their paths."""
    return normalize("NFC", os.path.splitext(path)[0])


def _same_suffix(image: str, mask: Path) -> bool:
    return os.path.splitext(image)[1].lower() == mask.suffix.lower()


def _deeper(
    root: Path,
    folder: Path,
    listed: Mapping[Path, Listing],
    subfolders: Subfolders | None,
    lister: Lister,
) -> list[Path]:
    """The images in folders within that of a class, if they are to be taken."""
    inner = [*listed[folder].folders]
    for each in inner:
        inner += listed[each].folders
    found = [path for each in sorted(inner) for path in listed[each].images]
    if not found or subfolders == "take":
        return found
    if subfolders is None:
        raise UserError(
            f"Expected '{root}' laid out <domain>/<class>/* or <class>/*; {len(found)} images lie "
            f"deeper, such as '{found[0]}': decide about them by --subfolders take or skip."
        )
    for path in found:
        lister.pass_over("images in deeper folders", path)
    return []


def _no_images(root: Path, found: Mapping[Path, Listing]) -> UserError:
    expected = f"Expected images in '{root}' as <domain>/<class>/* or <class>/*"
    if found[root].images:
        return UserError(f"{expected}; they are directly in it: sort them into class folders.")
    for folder in found[root].folders:
        inner = [each for middle in found[folder].folders for each in found[middle].folders]
        if any(found[each].images for each in inner):
            return UserError(f"{expected}; they are in deeper folders. Did you mean '{folder}'?")
    return UserError(f"{expected}; found none ending in {', '.join(sorted(SUFFIXES))}.")


def _name(folder: Path) -> str:
    return normalize("NFC", printable(folder.name))
