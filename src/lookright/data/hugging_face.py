"""A data set saved to disk by Hugging Face's `datasets`."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from lookright.data.dataset import hashed
from lookright.data.decoded import Decoded, Masks, MaskSets, Sample
from lookright.data.images import (
    Encoded,
    File,
    UnreadableImageError,
    check_image,
    read_bytes,
    read_image,
    squared,
)
from lookright.data.masks import MaskSet, MaskValues
from lookright.errors import UserError, did_you_mean
from lookright.files import as_path
from lookright.models.preprocessing import Preprocessing

_IMAGE: Final = ("image", "img")
_LABEL: Final = ("label", "labels", "class")
_DOMAIN: Final = ("domain",)
_MASK: Final = ("mask", "masks")


def is_saved(root: Path) -> bool:
    """Whether this folder was written by `save_to_disk` of a `Dataset` or `DatasetDict`."""
    one = all((root / name).is_file() for name in ("state.json", "dataset_info.json"))
    return one or (root / "dataset_dict.json").is_file()


@dataclass(frozen=True)
class _Row:
    """One row: `rows` holds the columns of images and masks, `name` is its split and number."""

    rows: Any
    index: int
    image_column: str
    mask_column: str | None
    name: str
    key: str
    preprocessing: Preprocessing | None

    def check(self) -> str:
        image, mask = self._files()
        of_mask = [] if mask is None else [hashlib.sha256(read_bytes(mask)).hexdigest()]
        return hashed(check_image(image), *of_mask)

    def image(self, size: int) -> Tensor:
        return squared(read_image(self._files()[0]), size, self.preprocessing)

    def masks(self, size: int, sets: MaskSets) -> Masks:
        image, mask = self._files()
        if mask is None:
            return {}
        planes = sets["masks"].read(mask, image, self.name, size, self.preprocessing)
        return {"masks": planes} if planes[0].any() else {}

    def _files(self) -> tuple[File, File | None]:
        row = self.rows[self.index]
        image = _file(row[self.image_column], self.name)
        if self.mask_column is None or row[self.mask_column] is None:
            return image, None
        return image, _file(row[self.mask_column], f"{self.name}, {self.mask_column}")


@final
class HuggingFace(Decoded):
    """The rows of a `Dataset`, or of every split of a `DatasetDict`, saved at `root`.

    Args:
        image: the column of images; by default `image` or `img`, or the only column of images.
        label: the column of classes; by default `label`, `labels` or `class`, or the only
            ClassLabel. If it is not a ClassLabel, the classes are its sorted values.
        domain: the column of domains; `domain` by default. Without such a column each split is a
            domain; a data set without splits is a single domain with the folder's name.
        mask: the column of masks; by default `mask` or `masks`, if it contains images.
        image_size, skip_unreadable, cache, progress, read, mask_values, preprocessing: as in
            `Folder`; images are made square alike.

    A sample's key is a hash of its image file, so its part does not depend on its position. Raises
    UserError if `datasets` is not installed, and for a damaged data set, a missing or ambiguous
    column, a row without a class, or fewer than two classes.

    `columns` gives the columns in use, in the form that `load_data` reads.
    """

    def __init__(
        self,
        root: Path | str,
        image_size: int = 128,
        image: str | None = None,
        label: str | None = None,
        domain: str | None = None,
        mask: str | None = None,
        skip_unreadable: bool = False,
        cache: bool = True,
        progress: bool = False,
        read: bool = True,
        mask_values: MaskValues | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        root = as_path(root)
        super().__init__(root, image_size, skip_unreadable, cache)
        self.preprocessing = preprocessing
        splits = _splits(root)
        features = next(iter(splits.values())).features
        images = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
        others = [name for name in features if name not in images]
        classes = [name for name in others if type(features[name]).__name__ == "ClassLabel"]
        picked_mask = _column(root, "mask", mask, images, _MASK, images, required=False)
        picked_domain = _column(root, "domain", domain, others, _DOMAIN, others, required=False)
        images = [name for name in images if name != picked_mask]
        others = [name for name in others if name != picked_domain]
        classes = [name for name in classes if name != picked_domain]
        picked_image = _column(root, "image", image, images, _IMAGE, images)
        picked_label = _column(root, "label", label, classes, _LABEL, others)
        assert picked_image is not None
        assert picked_label is not None
        self.image, self.label = picked_image, picked_label
        self.domain, self.mask = picked_domain, picked_mask
        used = {what: getattr(self, what) for what in ("image", "label", "domain", "mask")}
        self.columns = "&".join(f"{what}={name}" for what, name in used.items() if name)
        self.has_masks = picked_mask is not None
        if mask_values is not None and picked_mask is None:
            raise UserError(
                f"Expected a column of masks in '{root}' with --mask_values, which says what is in "
                f"them; found none: name it as in '{root}?mask=NAME'."
            )
        self.mask_values = mask_values
        found = MaskSet(mask_values, "masks", "--mask_values")
        self._sets = {"masks": found} if picked_mask else {}
        labels = {name: _texts(rows, picked_label) for name, rows in splits.items()}
        known = getattr(features[picked_label], "names", None)
        self.classes = tuple(known or sorted({each for of in labels.values() for each in of}))
        if len(self.classes) < 2:
            raise UserError(
                f"Expected two or more classes in column '{picked_label}' of '{root}', got "
                f"{', '.join(self.classes) or 'none'}: name the column, as in "
                f"'{root}?label=NAME'."
            )
        samples: dict[str, list[tuple[Sample, int]]] = {}
        for split, rows in splits.items():
            chosen = rows.select_columns([name for name in (picked_image, picked_mask) if name])
            domains = [split] * len(rows) if picked_domain is None else _texts(rows, picked_domain)
            for index, (of, name) in enumerate(zip(domains, labels[split], strict=True)):
                called = f"{split}[{index}]"
                key = _hash(chosen[index][picked_image], called)
                row = _Row(chosen, index, picked_image, picked_mask, called, key, preprocessing)
                samples.setdefault(of, []).append((row, self.classes.index(name)))
        self._samples = samples
        self.domains = tuple(samples)
        if read:
            self.read(self.domains, progress)


def _splits(root: Path) -> dict[str, Any]:
    """The splits by name, with encoded images."""
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            f"'{root}' is a data set of Hugging Face's library datasets, which is not installed: "
            "pip install 'lookright[datasets]'."
        ) from error
    try:
        found = datasets.load_from_disk(str(root))
    except Exception as error:
        raise UserError(
            f"'{root}' cannot be read by datasets {datasets.__version__} "
            f"({' '.join(str(error).split()) or type(error).__name__}): save it again with this "
            "version."
        ) from error
    splits = found if isinstance(found, datasets.DatasetDict) else {root.resolve().name: found}

    def encoded(rows: Any) -> Any:
        for name, kind in rows.features.items():
            if isinstance(kind, datasets.Image):
                rows = rows.cast_column(name, datasets.Image(decode=False))
        return rows

    return {name: encoded(rows.with_format(None)) for name, rows in splits.items() if len(rows)}


def _column(
    root: Path,
    what: str,
    asked: str | None,
    fitting: Sequence[str],
    usual: Sequence[str],
    possible: Sequence[str],
    required: bool = True,
) -> str | None:
    """The requested column, else one with a usual name, else the only one that fits.

    possible: the columns that may be requested, with images or without.
    """
    if asked is not None:
        if asked not in possible:
            raise UserError(
                f"'{root}' has no column '{asked}' that can be the {what}; possible columns: "
                f"{', '.join(possible) or 'none'}.{did_you_mean(asked, possible)}"
            )
        return asked
    if named := [name for name in usual if name in fitting]:
        return named[0]
    if not required:
        return None
    if len(fitting) == 1:
        return fitting[0]
    if named := [name for name in usual if name in possible]:
        return named[0]
    if not possible:
        raise UserError(f"'{root}' has no column that can be the {what}: add one and save again.")
    raise UserError(
        f"Which column of '{root}' is the {what}: {', '.join(fitting or possible)}? Name it "
        f"as in '{root}?{what}={(fitting or possible)[0]}'."
    )


def _texts(rows: Any, column: str) -> list[str]:
    """A column's values as text; those of a ClassLabel as class names."""
    kind, values = rows.features[column], list(rows[column])
    names = getattr(kind, "names", None)
    if any(value is None or (names and value < 0) for value in values):
        raise UserError(f"Column '{column}' has rows without a value: leave those rows out.")
    return [names[value] if names else str(value) for value in values]


def _file(value: Mapping[str, Any] | None, name: str) -> File:
    """The encoded image: in the row itself, or in a file that the row names."""
    if value is None or (value["bytes"] is None and value["path"] is None):
        raise UnreadableImageError(f"Expected an image in {name}; it is empty: remove the row.")
    return Path(value["path"]) if value["bytes"] is None else Encoded(name, value["bytes"])


def _hash(value: Mapping[str, Any] | None, name: str) -> str:
    try:
        file = _file(value, name)
        content = file.content if isinstance(file, Encoded) else file.read_bytes()
    except (OSError, UnreadableImageError):
        content = name.encode()
    return hashlib.sha256(content).hexdigest()[:24]
