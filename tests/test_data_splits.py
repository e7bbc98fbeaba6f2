"""Parts follow from each sample's key alone, and loaders hand out what the parts hold."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lookright.batch import Batch, collate
from lookright.data import ImageData
from lookright.data.dataset import part_of
from lookright.errors import UserError


class Planted(ImageData):
    """Images whose every pixel says which sample they are."""

    name = "Planted"
    classes = ("a", "b")
    image_size = 2
    has_masks = False

    def __init__(self, keys: dict[str, list[str]]) -> None:
        self.domains = tuple(keys)
        self._keys = keys

    def keys(self, domain: str) -> Sequence[str]:
        return self._keys[domain]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        at = torch.tensor(indices)
        images = (at / 100 + number / 10).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
        return Batch(images, at % 2, torch.full_like(at, number))


names = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=30)


@given(names, names)
def test_added_samples_move_no_others(old, new):
    before = {key: part_of(key) for key in old}
    after = {key: part_of(key) for key in [*new, *old]}
    assert before.items() <= after.items()


def test_parts_are_disjoint_complete_and_of_the_promised_size():
    data = Planted({"one": [f"dog/{i}.jpg" for i in range(4000)]})
    parts = [set(data.split("one", part).where) for part in ("train", "validation", "test")]
    assert set.union(*parts) == set(data.split("one", "all").where)
    assert sum(map(len, parts)) == 4000
    assert [len(part) / 4000 for part in parts] == pytest.approx([0.70, 0.15, 0.15], abs=0.03)


def test_parts_never_change_between_versions():
    keys = ["photo/dog/1.jpg", "photo/dog/2.jpg", "dog/a b.png", "digit 0", "digit 5", "digit 9"]
    expected = ["train", "train", "train", "train", "validation", "test"]
    assert [part_of(key) for key in keys] == expected


def test_a_name_is_the_same_however_its_accents_are_encoded():
    composed = [f"dog/\u00e9{i}.jpg" for i in range(20)]
    apart = [f"dog/e\u0301{i}.jpg" for i in range(20)]
    assert [part_of(key) for key in composed] == [part_of(key) for key in apart]


def test_items_are_batches_of_one_and_loaders_keep_the_order_over_domains():
    data = Planted({"one": ["a", "b", "c"], "two": ["d", "e"]})
    split = data.split(["two", "one"], "all")
    alone = collate([split[i] for i in range(len(split))])
    assert len(split[0]) == 1
    (together,) = list(data.loader(["two", "one"], "all", batch_size=8))
    assert torch.equal(alone.images, together.images)
    assert together.domains.tolist() == [1, 1, 0, 0, 0]
    assert together.images[:, 0, 0, 0].tolist() == pytest.approx([0.1, 0.11, 0, 0.01, 0.02])


def test_batches_join_and_part_field_by_field():
    guided = Batch(
        torch.rand(3, 3, 2, 2),
        torch.arange(3),
        tool_masks=torch.rand(3, 1, 2, 2),
        has_tool_mask=torch.tensor([True, False, True]),
    )
    joined = collate([guided.select(slice(0, 1)), guided.select(torch.tensor([1, 2]))])
    assert torch.equal(joined.tool_masks, guided.tool_masks)
    assert torch.equal(joined.has_tool_mask, guided.has_tool_mask)
    assert joined.masks is None
    assert guided.select(guided.has_tool_mask).has_tool_mask.tolist() == [True, True]
    assert guided.to("meta").tool_masks.device.type == "meta"
    assert collate([guided, Batch(guided.images, guided.labels)]).tool_masks is None


def test_shuffling_follows_the_generator():
    data = Planted({"one": [str(i) for i in range(30)]})

    def order(seed: int) -> list[float]:
        generator = torch.Generator().manual_seed(seed)
        loader = data.loader("one", "all", 7, shuffle=True, generator=generator)
        return [float(value) for batch in loader for value in batch.images[:, 0, 0, 0]]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == sorted(order(2))


@pytest.mark.parametrize(
    ("domain", "part", "says"),
    [
        ("onne", "all", "Did you mean 'one'"),
        ("one", "tests", "Did you mean 'test'"),
        ("empty", "all", "add images"),
        (["one", "zzz"], "all", "got 'zzz'"),
    ],
)
def test_a_wrong_domain_or_part_is_one_line(domain, part, says):
    data = Planted({"one": ["a", "b"], "empty": []})
    with pytest.raises(UserError, match=says) as caught:
        data.split(domain, part)
    assert "\n" not in str(caught.value)
