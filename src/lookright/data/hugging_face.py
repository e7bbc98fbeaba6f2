"""A data set saved to disk by Hugging Face's `datasets`."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from torch import Tensor

from lookright.data.dataset import hashed
from lookright.data.decoded import Decoded, Masks, MaskSets
from lookright.data.images import (
    Encoded,
    File,
    UnreadableImageError,
    check_image,
    read_bytes,
    read_image,
    squared,
)
from lookright.data.layout import Layout, given_parts
from lookright.data.masks import MaskSet, MaskValues
from lookright.errors import UserError, did_you_mean, printable
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
    """One row: `rows` holds the columns of images and masks, `name` is its split and number.

    root: the folder of the data set, out of which a row names no file.
    """

    root: Path
    rows: Any
    index: int
    image_column: str
    mask_column: str | None
    name: str
    preprocessing: Preprocessing | None

    def content(self) -> str:
        return hashlib.sha256(read_bytes(self._files()[0])).hexdigest()

    def check(self) -> tuple[str, str]:
        image, mask = self._files()
        of_mask = [] if mask is None else [hashlib.sha256(read_bytes(mask)).hexdigest()]
        content = check_image(image)
        return content, hashed(content, *of_mask)

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
        image = _file(row[self.image_column], self.name, self.root)
        if self.mask_column is None or row[self.mask_column] is None:
            return image, None
        return image, _file(row[self.mask_column], f"{self.name}, {self.mask_column}", self.root)


@final
class HuggingFace(Decoded):
    """The rows of a `Dataset`, or of every split of a `DatasetDict`, saved at `root`.

    Args:
        image: the column of images; by default `image` or `img`, or the only column of images.
        label: the column of classes; by default `label`, `labels` or `class`, or the only
            ClassLabel. If it is not a ClassLabel, the classes are its sorted values.
        domain: the column of domains; `domain` by default. Without such a column each split is a
            domain, or with layout "parts" a part (`layout.given_parts`); a data set without splits
            is a single domain with the folder's name.
        mask: the column of masks; by default `mask` or `masks`, if it contains images.
        image_size, skip_unreadable, cache, progress, read, mask_values, preprocessing: as in
            `Folder`; images are made square alike.

    A sample's name is its split and number, its key a hash of its image file. Raises UserError if
    `datasets` is not installed, and for a damaged data set, a missing or ambiguous column, several
    classes for a row, fewer than two classes, or where a domain that is read has rows without one.

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
        layout: Layout | None = None,
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
        for split, rows in splits.items():
            _check_columns(f"{root}, split {split}", rows.features, features, used.values())
        labels = {name: _texts(rows, picked_label) for name, rows in splits.items()}
        named = (getattr(rows.features[picked_label], "names", ()) for rows in splits.values())
        known = [*dict.fromkeys(name for names in named for name in names)]
        values = {each for of in labels.values() for each in of if each is not None}
        self.classes = tuple(known or sorted(values))
        if len(self.classes) < 2:
            raise UserError(
                f"Expected two or more classes in column '{picked_label}' of '{root}', got "
                f"{', '.join(self.classes) or 'none'}: name the column, as in "
                f"'{root}?label=NAME'."
            )
        self.layout = layout
        given = given_parts([*splits], layout, str(root))
        self.parts_given, self._parts = given is not None, {}
        self._samples = {}
        self._unlabelled: dict[str, list[str]] = {}
        numbers = {name: number for number, name in enumerate(self.classes)}
        for split, rows in splits.items():
            chosen = rows.select_columns([name for name in (picked_image, picked_mask) if name])
            alone = split if given is None else self.name
            domains = [alone] * len(rows) if picked_domain is None else _texts(rows, picked_domain)
            for index, (of, name) in enumerate(zip(domains, labels[split], strict=True)):
                called = f"{split}[{index}]"
                if of is None:
                    raise UserError(
                        f"Expected a domain for every row of '{root}'; {called} has none in column "
                        f"'{picked_domain}': fill it, or leave the row out."
                    )
                if name is None:
                    self._unlabelled.setdefault(of, []).append(called)
                if given is not None:
                    self._parts[called] = given[split]
                row = _Row(root, chosen, index, picked_image, picked_mask, called, preprocessing)
                number = -1 if name is None else numbers[name]
                self._samples.setdefault(of, []).append((row, number))
        self.domains = tuple(self._samples)
        if read:
            self.read(self.domains, progress)

    def _require(self, domains: Sequence[str]) -> None:
        for domain in domains:
            if rows := self._unlabelled.get(domain):
                raise UserError(
                    f"Expected a class for every row of domain '{domain}' of '{self._given}'; "
                    f"column '{self.label}' has none in {len(rows)} rows, such as {rows[0]}: leave "
                    "them out, or name other domains."
                )


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


def _check_columns(
    where: str, features: Mapping[str, Any], first: Mapping[str, Any], used: Iterable[str | None]
) -> None:
    """Refuse a split without the columns that are used of the first, or with masks or domains that
    the first has not."""
    lacking = [name for name in used if name and name not in features]
    further = [
        name for name in features if name not in first and (name in _MASK or name in _DOMAIN)
    ]
    if lacking or further:
        raise UserError(
            f"Expected the same columns in all splits; {where} "
            f"{'lacks' if lacking else 'alone has'} '{(lacking or further)[0]}': give all splits "
            "the same columns."
        )


def _texts(rows: Any, column: str) -> list[str | None]:
    """A column's values as text, those of a ClassLabel as class names; None where there is none.

    Raises:
        UserError: a column of several values for each row.
    """
    kind, values = rows.features[column], list(rows[column])
    several = next((value for value in values if isinstance(value, list | tuple | dict)), None)
    if several is not None:
        raise UserError(
            f"Expected one value for each row in column '{column}'; it has several, such as "
            f"{several}: name a column of one class for each image, as in '?label=NAME'."
        )
    names = getattr(kind, "names", None)

    def text(value: Any) -> str | None:
        missing = value is None or value != value or (names and value < 0)
        return None if missing else printable(names[value] if names else str(value))

    return [text(value) for value in values]


def _file(value: Mapping[str, Any] | None, name: str, root: Path) -> File:
    """The encoded image: in the row itself, or in a file of the data set that the row names."""
    if value is None or (value["bytes"] is None and value["path"] is None):
        raise UnreadableImageError(f"Expected an image in {name}; it is empty: remove the row.")
    if value["bytes"] is not None:
        return Encoded(name, value["bytes"])
    root = root.resolve()
    path = (root / value["path"]).resolve()
    if not path.is_relative_to(root):
        raise UnreadableImageError(
            f"Expected an image in {name}; it names the file '{value['path']}', which is not in "
            f"'{root}': save the data set again with its images in it."
        )
    return path
