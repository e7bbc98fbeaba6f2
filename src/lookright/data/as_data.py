"""Tensors, a DataLoader or a torch Dataset as an `ImageData`."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from lookright.batch import Batch, collate
from lookright.data.dataset import ImageData
from lookright.data.in_memory import InMemory
from lookright.data.load import load_data
from lookright.data.masks import MaskValues
from lookright.data.selection import Selected
from lookright.data.tensors import as_tensor, checked_images, checked_labels, checked_masks
from lookright.errors import UserError, some
from lookright.models.preprocessing import Preprocessing

_TAKEN = (
    "tensors (images, labels) or (images, labels, masks), a DataLoader or Dataset of these, or the "
    "path of a folder"
)
_PER_READ = 64


def as_data(
    data: Any = None,
    *,
    images: Any = None,
    labels: Any = None,
    masks: Any = None,
    has_mask: Any = None,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    mask_values: MaskValues | None = None,
    preprocessing: Preprocessing | None = None,
) -> ImageData:
    """Images and labels in any usual form as an `ImageData`; an ImageData is returned as is.

    A DataLoader or Dataset is read once and kept in memory, as uint8 if that loses nothing. Random
    transforms are therefore drawn only once: use the `augment` of `fit` instead. The images of a
    loader are put in an order that does not depend on its shuffling.

    Args:
        data: images with labels and optional masks: a tuple of tensors, a DataLoader of such tuples
            or of `Batch`es, whose domains, if several, are named by their numbers, a Dataset of
            (image, label) or (image, label, mask), or the path of a folder (`load_data`). A mask
            may be None if the object is unknown.
        images, labels, masks, has_mask: tensors as in `InMemory`, instead of `data`.
        classes: the names of the classes; by default those of the Dataset, or "0", "1", ... If a
            Dataset has the same names in another order, its order is used.
        image_size: height and width in pixels, for a path; by default that of `load_data`.
        mask_values: for tensors: which numbers in the masks are the object and which are left out,
            as `MaskValues(object=(1,), ignore=(3,))`, where that cannot be seen (`data.masks`).
        preprocessing: as in `load_data`, for a path.

    Raises:
        UserError: data in another form; the errors of `InMemory`, such as normalised images; a
            loader that repeats or drops images, such as one with `drop_last`.
    """
    if (data is None) == (images is None):
        raise UserError(f"Give either data ({_TAKEN}) or images with their labels.")
    if data is None:
        data = (images, labels, masks)
    elif any(given is not None for given in (labels, masks, has_mask)):
        raise UserError("labels, masks and has_mask belong to images=...; data has its own.")
    if mask_values is not None and isinstance(data, ImageData | str | Path):
        raise UserError(
            "mask_values belongs to tensors here: give it to load_data, or to the data set's class."
        )
    if isinstance(data, ImageData):
        return data
    if isinstance(data, str | Path):
        load = partial(load_data, data, preprocessing=preprocessing)
        return load() if image_size is None else load(image_size)
    if isinstance(data, Batch):
        return _gathered([data], classes, mask_values)
    if isinstance(data, tuple | list):
        x, y, guides = _parts(data, _TAKEN)
        if y is None:
            raise UserError("Expected labels, the class number of each image; got none.")
        return InMemory(x, y, guides, has_mask, classes, mask_values=mask_values)
    if isinstance(data, DataLoader):
        _require_all(data)
        own = _classes(data.dataset, classes)
        return _named_as(classes, _gathered(data, own, mask_values).in_key_order())
    if isinstance(data, Dataset):
        rows: DataLoader[Any] = DataLoader(data, batch_size=_PER_READ, collate_fn=_stacked)
        found = _gathered(rows, _classes(data, classes), mask_values)
        return _named_as(
            classes, found.in_key_order() if isinstance(data, IterableDataset) else found
        )
    raise UserError(f"Expected {_TAKEN}; got {type(data).__name__}.")


def _require_all(loader: DataLoader[Any]) -> None:
    """Raise UserError for a loader that repeats or drops images."""
    if getattr(loader.batch_sampler, "drop_last", False):
        raise UserError(
            "This loader drops the last incomplete batch: make it with drop_last=False."
        )
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    dataset: Any = loader.dataset
    drawn = getattr(sampler, "num_samples", None)
    if getattr(sampler, "replacement", False) or (drawn and drawn != len(dataset)):
        raise UserError(
            f"This loader's {type(sampler).__name__} repeats or drops images: make it with "
            "shuffle=True instead; to balance the classes, give fit balance_classes=True."
        )


def _classes(dataset: Any, given: Sequence[str] | None) -> Sequence[str] | None:
    """The class names in the order of the labels: a data set's own, unless all are called otherwise
    than those given."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    own = getattr(dataset, "classes", None)
    if not isinstance(own, list | tuple) or not all(isinstance(name, str) for name in own):
        return given
    return own if given is None or set(own) & set(given) else given


def _named_as(given: Sequence[str] | None, data: InMemory) -> ImageData:
    """The data with the classes that are given, found by their names, where it lacks some of them.

    Raises:
        UserError: it has some of them, and others.
    """
    own = set(data.classes)
    if given is None or own == set(given):
        return data
    if not own <= set(given):
        raise UserError(
            f"Expected the classes {some(given)}; the data set's are {some(data.classes)}: give it "
            "the same names, or names that are all others, which are taken in this order."
        )
    return Selected(data, given)


def _gathered(
    batches: Iterable[Any], classes: Sequence[str] | None, values: MaskValues | None
) -> InMemory:
    """All batches as one data set; each is converted to uint8 on arrival if possible."""
    images: list[Tensor] = []
    labels: list[Tensor] = []
    masks: list[Tensor | None] = []
    known: list[Tensor] = []
    ignored: list[Tensor | None] = []
    domains: list[int] = []
    for x, y, guides, has, outside, numbers in _unpacked(batches):
        images.append(checked_images(x))
        labels.append(checked_labels(y, len(x)))
        masks.append(None if guides is None else checked_masks(guides, images[-1]))
        known.append(torch.full((len(x),), guides is not None) if has is None else has.cpu())
        ignored.append(outside)
        domains += [0] * len(x) if numbers is None else numbers.tolist()
    if not images:
        raise UserError("Expected images; the loader or data set is empty.")
    sizes = sorted({of.shape[-1] for of in images})
    if len(sizes) > 1:
        raise UserError(
            f"Expected images of the same size; got sides of {sizes[0]} and of {sizes[-1]} pixels: "
            "resize them in the data set's transform."
        )
    several = len(set(domains)) > 1
    domain: str | list[str] = [str(number) for number in domains] if several else "data"
    if all(of is None for of in masks):
        return InMemory(_joined(images), torch.cat(labels), classes=classes, domain=domain)
    every, outside = (
        torch.cat(
            [_none(x) if of is None else of.cpu() for of, x in zip(maps, images, strict=True)]
        )
        for maps in (masks, ignored)
    )
    return InMemory(
        _joined(images),
        torch.cat(labels),
        every,
        torch.cat(known),
        classes,
        domain,
        mask_values=values,
        ignored=outside if outside.any() else None,
    )


def _unpacked(
    batches: Iterable[Any],
) -> Iterator[tuple[Any, Any, Any, Tensor | None, Tensor | None, Tensor | None]]:
    """Images, labels, masks, which images have a mask, which pixels are ignored, and domains."""
    for batch in batches:
        if isinstance(batch, Batch):
            known = batch.has_mask, batch.ignored, batch.domains
            yield batch.images, batch.labels, batch.masks, *known
        else:
            x, y, masks = _parts(batch, "batches of (images, labels) or (images, labels, masks)")
            yield x, y, masks, None, None, None


def _parts(row: Any, expected: str) -> tuple[Any, Any, Any]:
    if not isinstance(row, tuple | list) or len(row) not in (2, 3):
        came = f"{len(row)} things" if isinstance(row, tuple | list) else type(row).__name__
        raise UserError(f"Expected {expected}; got {came}: change the data set accordingly.")
    x, y, *masks = row
    return x, y, masks[0] if masks else None


def _stacked(items: list[Any]) -> Batch:
    """Items of a Dataset as a batch; if a mask is None the object is unknown."""
    if isinstance(items[0], Batch):
        return collate(items)
    rows = [_parts(item, "items (image, label) or (image, label, mask)") for item in items]
    for image, _, mask in rows:
        for what, value in (("images", image), ("masks", mask)):
            if not isinstance(value, Tensor) and (what == "images" or value is not None):
                raise UserError(
                    f"Expected {what} as tensors; got {type(value).__name__}: end the transform of "
                    "the data set in torchvision's ToTensor(), which gives float in [0, 1]."
                )
    images = checked_images(_alike("images", [image for image, _, _ in rows]))
    labels = _alike("labels", [as_tensor(label, "labels") for _, label, _ in rows])
    known = [mask is not None for _, _, mask in rows]
    if not any(known):
        return Batch(images, labels)
    none = torch.zeros_like(rows[known.index(True)][2])
    masks = _alike("masks", [none if mask is None else mask for _, _, mask in rows])
    return Batch(images, labels, masks=masks, has_mask=torch.tensor(known))


def _alike(what: str, values: list[Tensor]) -> Tensor:
    """The values as one tensor; raises UserError if their shapes differ."""
    shapes = sorted({tuple(value.shape) for value in values})
    if len(shapes) > 1:
        raise UserError(
            f"Expected {what} of the same size; got {shapes[0]} and {shapes[-1]}: make them alike "
            "in the data set's transform."
        )
    return torch.stack(values)


def _joined(values: list[Tensor]) -> Tensor:
    """Joined values: uint8 if all are uint8, otherwise float32."""
    if any(of.dtype != torch.uint8 for of in values):
        values = [of.float() / 255 if of.dtype == torch.uint8 else of for of in values]
    return torch.cat(values)


def _none(images: Tensor) -> Tensor:
    return torch.zeros(len(images), 1, *images.shape[2:], dtype=torch.uint8)
