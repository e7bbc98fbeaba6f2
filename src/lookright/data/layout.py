"""Finding the images of each domain and class in a folder, and their masks."""

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from lookright.data.images import SUFFIXES
from lookright.errors import UserError, did_you_mean

Tree = dict[str, dict[str, list[Path]]]
"""The files by domain and class, each level sorted by name."""


def find_images(root: Path, ignored: Iterable[Path] = ()) -> Tree:
    """The images of `root/<domain>/<class>/*`, or of `root/<class>/*` as a domain named like root.

    Hidden files, files without an image suffix, and the folders `ignored` are left out. Raises
    UserError for a missing folder, a folder without images, a mix of both layouts, an empty domain
    or class, or fewer than two classes. Warns of a domain that lacks a class.
    """
    require_folder(root, "images")
    skipped = {folder.resolve() for folder in ignored}
    kept = [folder for folder in _folders(root) if folder.resolve() not in skipped]
    below = {folder: _folders(folder) for folder in kept}
    flat = [folder for folder in below if _images(folder)]
    nested = [inner for inners in below.values() for inner in inners if _images(inner)]
    if not flat and not nested:
        raise _no_images(root, list(below))
    if flat and nested:
        raise UserError(
            f"Expected '{root}' laid out either <domain>/<class>/* or <class>/*; '{flat[0]}' and "
            f"'{nested[0]}' both contain images: move them to the same depth."
        )
    if flat:
        tree = {root.resolve().name: {folder.name: _images(folder) for folder in below}}
    else:
        tree = {
            domain.name: {inner.name: _images(inner) for inner in inners}
            for domain, inners in below.items()
        }
    check_classes(tree, root)
    return tree


def check_classes(tree: Tree, root: Path) -> None:
    """Raise UserError for an empty domain or class and for a single class; see find_images."""
    require_images(tree, root)
    classes = {name for found in tree.values() for name in found}
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
    root: Path, images: list[Path], what: Literal["masks", "tool_masks"] = "masks"
) -> dict[Path, Path]:
    """The mask of each image that has one: the image's relative path, under `root`, with any image
    suffix.

    Raises UserError for a missing folder, for two masks of the same image, and if no mask belongs
    to any image. Warns of masks that belong to no image.
    """
    words = what.replace("_", " ")
    require_folder(root, words)
    masks: dict[Path, Path] = {}
    for folder, _, names in os.walk(root, followlinks=True):
        for file in sorted(Path(folder, name) for name in names if _is_image(name)):
            stem = file.relative_to(root).with_suffix("")
            if stem in masks:
                raise UserError(
                    f"Expected one file of {words} for an image; '{masks[stem]}' and '{file}' are "
                    "for the same image: remove one."
                )
            masks[stem] = file
    fitting = {image: masks[stem] for image in images if (stem := image.with_suffix("")) in masks}
    strays = sorted(masks.keys() - {image.with_suffix("") for image in images})
    if not fitting:
        came = f"'{masks[strays[0]]}' belongs to no image" if strays else "it contains no images"
        raise UserError(
            f"Expected {words} in '{root}' at the paths of their images, such as "
            f"'{root / images[0].with_suffix('.png')}'; {came}: rename them or leave out {words}."
        )
    if strays:
        warnings.warn(
            f"{len(strays)} of {len(masks)} {words} in '{root}' belong to no image, such as "
            f"'{masks[strays[0]]}'.",
            stacklevel=2,
        )
    return fitting


def require_folder(root: Path, what: str, others: tuple[str, ...] = ()) -> None:
    """Raise UserError if `root` is not a folder; suggests a similar name or one of `others`."""
    if root.is_dir():
        return
    if root.is_file():
        raise UserError(
            f"Expected a folder of {what} at '{root}'; it is a file: give the folder, unpacked."
        )
    near = [folder.name for folder in _folders(root.parent)] if root.parent.is_dir() else []
    raise UserError(
        f"Expected a folder of {what} at '{root}', which does not "
        f"exist.{did_you_mean(root.name, [*near, *others])}"
    )


def _no_images(root: Path, folders: list[Path]) -> UserError:
    expected = f"Expected images in '{root}' as <domain>/<class>/* or <class>/*"
    if _images(root):
        return UserError(f"{expected}; they are directly in it: sort them into class folders.")
    for folder in folders:
        if any(_images(inner) for middle in _folders(folder) for inner in _folders(middle)):
            return UserError(f"{expected}; they are in deeper folders. Did you mean '{folder}'?")
    return UserError(f"{expected}; found none ending in {', '.join(sorted(SUFFIXES))}.")


def _is_image(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _images(folder: Path) -> list[Path]:
    return [file for file in _entries(folder) if _is_image(file.name) and not file.is_dir()]


def _folders(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir() and entry.name[0] != "."]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"Expected to list the folder '{folder}'; {error.strerror}.") from error
