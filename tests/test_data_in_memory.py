"""Tensors, loaders and data sets of torch's as data: what is kept, and what is refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lookright.batch import Batch
from lookright.data import ImageData, InMemory, Shortcut, as_data
from lookright.errors import UserError
from tiny import Blobs

N, SIZE = 12, 8
LEVELS = torch.randint(256, (N, 3, SIZE, SIZE), generator=torch.Generator().manual_seed(0)).byte()
IMAGES = LEVELS.float() / 255
LABELS = torch.arange(N) % 3
MASKS = torch.zeros(N, 1, SIZE, SIZE)
MASKS[:, :, 2:5, 3:6] = 1


class Items(Dataset[Any]):
    """Items of any kind; the classes are known where they are given."""

    def __init__(self, items: list[Any], classes: list[str] | None = None) -> None:
        self.items = items
        if classes:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Stream(IterableDataset[Any]):
    def __iter__(self):
        return iter(zip(IMAGES, LABELS, strict=True))


ITEMS = Items(list(zip(IMAGES, LABELS.tolist(), strict=True)))

PLAIN = {
    "tensors": (IMAGES, LABELS),
    "uint8": (LEVELS, LABELS),
    "float64": (IMAGES.double(), LABELS.int()),
    "arrays": (IMAGES.numpy(), LABELS.numpy()),
    "no masks": (IMAGES, LABELS, None),
    "a batch": Batch(IMAGES, LABELS),
    "a data set": ITEMS,
    "a data set of tensors": TensorDataset(IMAGES, LABELS),
    "a subset": Subset(ITEMS, range(N)),
    "a stream": Stream(),
    "a loader": DataLoader(ITEMS, batch_size=5),
    "a loader in any order": DataLoader(ITEMS, batch_size=5, shuffle=True),
    "a loader in the order of a sampler": DataLoader(
        ITEMS, batch_sampler=BatchSampler(SubsetRandomSampler(range(N)), 5, drop_last=False)
    ),
    "a loader of batches": InMemory(IMAGES, LABELS).loader("data", "all", batch_size=5),
    "a split": InMemory(IMAGES, LABELS).split("data", "all"),
}

MASKED = {
    "tensors": (IMAGES, LABELS, MASKS),
    "flat": (IMAGES, LABELS, MASKS[:, 0]),
    "bool": (IMAGES, LABELS, MASKS > 0),
    "numbers": (IMAGES, LABELS, MASKS.long()),
    "levels": (IMAGES, LABELS, (MASKS * 255).byte()),
    "class numbers": (IMAGES, LABELS, 7 * MASKS.byte()),
    "class numbers as float": (IMAGES, LABELS, 7 * MASKS),
    "class numbers by ToTensor": (IMAGES, LABELS, 2 * MASKS / 255),
    "a batch": Batch(IMAGES, LABELS, masks=MASKS),
    "a data set": Items(list(zip(IMAGES, LABELS, MASKS, strict=True))),
    "a loader": DataLoader(TensorDataset(IMAGES, LABELS, MASKS), batch_size=5),
    "a loader of batches": InMemory(IMAGES, LABELS, MASKS).loader("data", "all", batch_size=5),
}


def all_of(data: ImageData) -> dict[bytes, tuple[int, Tensor | None, bool | None]]:
    """Label, mask and whether it counts, by the image's pixels."""
    batch = data.samples("data", range(len(data.keys("data"))))
    assert batch.images.dtype == torch.float32
    count = len(batch)
    masks = [None] * count if batch.masks is None else list(batch.masks)
    known = [None] * count if batch.has_mask is None else batch.has_mask.tolist()
    rows = zip(batch.labels.tolist(), masks, known, strict=True)
    return {x.numpy().tobytes(): row for x, row in zip(batch.images, rows, strict=True)}


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_images_come_in_many_ways(name):
    data = as_data(PLAIN[name])
    assert data.classes == ("0", "1", "2")
    assert (data.domains, data.image_size, data.has_masks) == (("data",), SIZE, False)
    found = all_of(data)
    for x, y in zip(IMAGES, LABELS.tolist(), strict=True):
        assert found[x.numpy().tobytes()] == (y, None, None)
    assert sorted(data.keys("data")) == sorted(InMemory(IMAGES, LABELS).keys("data"))
    assert data.stored("data", [0]).images.dtype == torch.uint8, "kept small"


@pytest.mark.parametrize("name", MASKED)
def test_the_same_masks_come_in_many_ways(name):
    data = as_data(MASKED[name])
    assert data.has_masks
    assert all(data.masked("data"))
    for x, (_, mask, known) in all_of(data).items():
        assert torch.equal(mask, MASKS[0])
        assert known
        assert len(x)


def test_an_order_by_chance_changes_nothing():
    loaders = [as_data(DataLoader(ITEMS, 5, shuffle=True)) for _ in range(3)]
    assert len({tuple(data.keys("data")) for data in loaders}) == 1
    assert len({data.fingerprint("data") for data in loaders}) == 1


def test_tensors_and_data_sets_keep_their_order():
    for data in (InMemory(IMAGES, LABELS), as_data(ITEMS)):
        assert torch.equal(data.samples("data", [3, 1]).images, IMAGES[[3, 1]])
        assert data.labels("data") == LABELS.tolist()
        assert list(data.where("data")) == list(range(N))


def test_where_says_which_image_is_which():
    names = ["b", "a"] * (N // 2)
    data = InMemory(IMAGES, LABELS, domain=names).in_key_order()
    assert data.domains == ("b", "a")
    for number, domain in enumerate(data.domains):
        batch = data.samples(domain, range(N // 2))
        assert torch.equal(batch.images, IMAGES[list(data.where(domain))])
        assert batch.domains.tolist() == [number] * (N // 2)
        assert [names[index] for index in data.where(domain)] == [domain] * (N // 2)


def test_a_batch_of_lossy_images_keeps_all_as_they_are():
    fine = torch.rand(N, 3, SIZE, SIZE)
    data = as_data(DataLoader(TensorDataset(torch.cat([IMAGES, fine]), torch.arange(24) % 3), N))
    kept = {x.numpy().tobytes() for x in data.samples("data", range(24)).images}
    assert kept == {x.numpy().tobytes() for x in torch.cat([IMAGES, fine])}


@pytest.mark.parametrize("whole", [True, False], ids=["a batch", "a loader of batches"])
def test_batches_of_several_domains_keep_them(whole):
    domains = torch.arange(N) % 2 + 3
    batch = Batch(IMAGES, LABELS, domains)
    halves = [batch.select(torch.arange(N)[at::2]) for at in (0, 1)]
    data = as_data(batch if whole else DataLoader(halves, batch_size=None))
    assert sorted(data.domains) == ["3", "4"]
    for name in data.domains:
        found = data.samples(name, range(N // 2)).images
        wanted = IMAGES[domains == int(name)]
        assert {x.numpy().tobytes() for x in found} == {x.numpy().tobytes() for x in wanted}
    assert as_data(replace(batch, domains=torch.full((N,), 3))).domains == ("data",)


def test_a_mask_that_is_none_or_empty_is_missing():
    empty = torch.zeros_like(MASKS[0])
    masks = [None, empty, *MASKS[2:]]
    data = as_data(Items(list(zip(IMAGES, LABELS, masks, strict=True))))
    assert data.masked("data") == [False, False] + [True] * (N - 2)
    assert data.samples("data", range(N)).has_mask.tolist() == data.masked("data")
    known = torch.arange(N) > 3
    assert InMemory(IMAGES, LABELS, MASKS, known).masked("data") == known.tolist()


def test_equal_images_are_in_one_part():
    twice = InMemory(torch.cat([IMAGES, IMAGES]), torch.cat([LABELS, LABELS]))
    parts = [
        {key for domain, at in twice.split("data", part).where for key in [twice.keys(domain)[at]]}
        for part in ("train", "validation")
    ]
    assert not parts[0] & parts[1]
    assert len(set(twice.keys("data"))) == N


def test_a_fingerprint_tells_images_labels_and_masks_apart():
    moved = MASKS.roll(1, -1)
    sets = [
        InMemory(IMAGES, LABELS),
        InMemory(1 - IMAGES, LABELS),
        InMemory(IMAGES, LABELS.flip(0)),
        InMemory(IMAGES, LABELS, MASKS),
        InMemory(IMAGES, LABELS, moved),
        InMemory(IMAGES, LABELS, MASKS, torch.arange(N) > 0),
        InMemory(IMAGES, LABELS, classes=["a", "b", "c"]),
    ]
    assert len({data.fingerprint("data") for data in sets}) == len(sets)
    assert InMemory(LEVELS, LABELS).fingerprint("data") == sets[0].fingerprint("data")


def test_the_data_set_knows_the_order_of_its_classes_best():
    named = Items(ITEMS.items, classes=["cat", "dog", "emu"])
    assert as_data(named).classes == ("cat", "dog", "emu")
    assert as_data(DataLoader(Subset(named, range(6)))).classes == ("cat", "dog", "emu")
    assert as_data(named, classes=["emu", "dog", "cat"]).classes == ("cat", "dog", "emu")
    assert as_data(named, classes=["x", "y", "z"]).classes == ("x", "y", "z")
    assert as_data((IMAGES, LABELS), classes=("x", "y", "z", "w")).classes == ("x", "y", "z", "w")


def test_classes_that_the_data_lack_are_found_by_name():
    named = Items(ITEMS.items, classes=["cat", "dog", "emu"])
    model = ["ant", "emu", "cat", "bee", "dog"]
    for data in (named, DataLoader(named, batch_size=4)):
        found = as_data(data, classes=model)
        assert found.classes == tuple(model)
        own = as_data(data)
        (domain,) = own.domains
        assert [model[label] for label in found.labels(domain)] == [
            own.classes[label] for label in own.labels(domain)
        ]
    with pytest.raises(UserError, match=r"classes cat, dog, fox; the data set's are cat, dog, emu"):
        as_data(named, classes=["cat", "dog", "fox"])


def test_what_is_data_already_stays_as_it_is(tmp_path):
    data = Blobs()
    assert as_data(data) is data
    assert isinstance(as_data("shortcut"), Shortcut)
    assert as_data("shortcut", image_size=40).image_size == 40
    with pytest.raises(UserError, match="Expected a folder of images"):
        as_data(tmp_path / "missing")


def norm(x: Tensor) -> Tensor:
    return (x - 0.45) / 0.22


SAMPLERS: dict[str, Any] = {
    "by weights": WeightedRandomSampler([1.0] * N, N),
    "by chance": RandomSampler(ITEMS, replacement=True),
    "some": RandomSampler(ITEMS, num_samples=5),
    "one process's": DistributedSampler(ITEMS, num_replicas=2, rank=0),
}

WRONG: dict[str, tuple[Any, str]] = {
    "normalised": ((norm(IMAGES), LABELS), r"Classifier\(network, classes, image_size, mean, std"),
    "levels as float": ((255 * IMAGES, LABELS), "divide them by 255"),
    "not finite": ((IMAGES / 0, LABELS), "NaN or infinity"),
    "levels as int": ((LEVELS.long(), LABELS), r"images.to\(torch.uint8\)"),
    "channels last": ((IMAGES.permute(0, 2, 3, 1), LABELS), r"permute\(0, 3, 1, 2\)"),
    "grey": ((IMAGES[:, :1], LABELS), "expand"),
    "one image": ((IMAGES[0], LABELS[:1]), r"images\[None\]"),
    "not square": ((IMAGES[..., :5], LABELS), "squares"),
    "no images": ((IMAGES[:0], LABELS[:0]), r"\(N, 3, S, S\)"),
    "text": (("a", LABELS), "Expected images as a tensor; got str"),
    "too few labels": ((IMAGES, LABELS[:5]), "Expected 12 labels"),
    "one-hot labels": ((IMAGES, torch.eye(3)[LABELS]), "argmax"),
    "labels as float": ((IMAGES, LABELS.float()), "long"),
    "labels below 0": ((IMAGES, LABELS - 1), "got -1"),
    "one class": ((IMAGES, 0 * LABELS), "two or more classes"),
    "no labels": ((IMAGES, None), "Expected labels"),
    "masks of another size": ((IMAGES, LABELS, MASKS[..., 1:]), "Expected masks of shape"),
    "masks beyond 1": ((IMAGES, LABELS, 1.5 * MASKS), "whole numbers or from 0 to 1"),
    "masks not finite": ((IMAGES, LABELS, MASKS / 0), "NaN or infinity"),
    "four things": ((IMAGES, LABELS, MASKS, MASKS), "got 4 things"),
    "a dict": (Items([{"image": IMAGES[0], "label": 0}]), "got dict"),
    "pictures": (Items([(np.zeros((8, 8, 3)), 0)]), "ToTensor"),
    "sizes in a batch": (Items([(IMAGES[0], 0), (IMAGES[0, :, 1:, 1:], 1)]), "of the same size"),
    "sizes of batches": (
        [(IMAGES[:1], LABELS[:1]), (IMAGES[:1, :, 1:, 1:], LABELS[:1])],
        "of the same size",
    ),
    "labels of different sizes": (
        Items([(IMAGES[0], 0), (IMAGES[1], torch.tensor([1]))]),
        "labels of the same size",
    ),
    "masks of different sizes": (
        Items([(IMAGES[0], 0, MASKS[0]), (IMAGES[1], 1, MASKS[0, :, 1:])]),
        "masks of the same size",
    ),
    "labels as text": (Items([(IMAGES[0], "cat")]), "labels as a tensor; got str, .*give numbers"),
    "labels of batches as text": (DataLoader(Items([(IMAGES[0], "cat")])), "labels .*; got tuple"),
    "labels as None": (Items([(IMAGES[0], None)]), "Expected labels as a tensor; got NoneType"),
    "labels of batches as None": (
        DataLoader(Items([(IMAGES[:1], None)]), batch_size=None),
        "Expected labels as a tensor; got NoneType",
    ),
    "one label for a batch": (
        DataLoader(Items([(IMAGES[:1], 0)]), batch_size=None),
        r"Expected 1 labels, one for each image; got shape \(\)",
    ),
    "drop_last": (DataLoader(ITEMS, 5, drop_last=True), "drop_last=False"),
    "drop_last of a batch sampler": (
        DataLoader(ITEMS, batch_sampler=BatchSampler(SequentialSampler(ITEMS), 5, drop_last=True)),
        "drop_last=False",
    ),
    **{
        f"{name}, {way}": (
            DataLoader(ITEMS, **given),
            f"{type(sampler).__name__} repeats or drops images: .* give fit balance_classes=True",
        )
        for name, sampler in SAMPLERS.items()
        for way, given in {
            "one by one": {"sampler": sampler, "batch_size": None},
            "in batches": {"sampler": sampler, "batch_size": 5},
            "in batches of its own": {"batch_sampler": BatchSampler(sampler, 5, False)},
        }.items()
    },
    "nothing": (Items([]), "is empty"),
    "a number": (3, "got int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_data_is_refused_with_the_mend(name):
    given, said = WRONG[name]
    if name == "sizes of batches":
        given = DataLoader(Items(given), batch_size=None)
    with pytest.raises(UserError, match=said) as caught:
        as_data(given)
    assert "\n" not in str(caught.value)


def test_labels_beyond_the_classes_and_arguments_without_sense_are_refused():
    with pytest.raises(UserError, match="0 to 1, one of 2 classes; got 2"):
        as_data((IMAGES, LABELS), classes=["a", "b"])
    with pytest.raises(UserError, match="Give either data"):
        as_data()
    with pytest.raises(UserError, match="belong to images"):
        as_data((IMAGES, LABELS), masks=MASKS)
    with pytest.raises(UserError, match="has_mask says"):
        as_data(images=IMAGES, labels=LABELS, has_mask=LABELS > 0)
    with pytest.raises(UserError, match="12 bools"):
        as_data(images=IMAGES, labels=LABELS, masks=MASKS, has_mask=LABELS)
    with pytest.raises(UserError, match="has_mask as a tensor; got str"):
        as_data(images=IMAGES, labels=LABELS, masks=MASKS, has_mask="all")
    with pytest.raises(UserError, match="one domain"):
        InMemory(IMAGES, LABELS, domain=["a", "b"])
    assert as_data(images=IMAGES, labels=LABELS, masks=MASKS, has_mask=LABELS > 0).has_masks


@pytest.mark.parametrize(
    "levels", [[0.2, 0.4, 0.6, 0.8], [0.4], [0.25, 0.5, 0.75], [0.0, 1.0, 0.2]]
)
def test_soft_masks_keep_their_levels(levels):
    masks = torch.tensor(levels)[torch.arange(N * SIZE * SIZE) % len(levels)].view(N, 1, SIZE, SIZE)
    found = as_data((IMAGES, LABELS, masks)).samples("data", range(N)).masks
    torch.testing.assert_close(found, masks, atol=1e-6, rtol=0)


@pytest.mark.parametrize("border", [False, True])
def test_class_numbers_divided_by_255_are_class_numbers(border):
    numbers = torch.arange(N * SIZE * SIZE).view(N, 1, SIZE, SIZE) % 3
    if border:
        numbers[:, :, 0] = 255
    whole, divided = (
        as_data((IMAGES, LABELS, masks)).samples("data", range(N))
        for masks in (numbers, numbers / 255)
    )
    assert torch.equal(whole.masks, divided.masks)
    assert border == (divided.ignored is not None)
