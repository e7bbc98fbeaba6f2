"""Data sets that Hugging Face's datasets has saved: columns, domains, keys, and every mistake."""

import builtins
import io

import numpy as np
import pytest
import torch
from PIL import Image

from lookright.data import Folder, HuggingFace, load_data
from lookright.errors import UserError
from lookright.spec import build, spec_of

datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def pictures(count, seed=0, size=(10, 8)):
    random = np.random.default_rng(seed)
    return [
        Image.fromarray(random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
        for _ in range(count)
    ]


def table(count=6, seed=0, **more):
    """Rows of an image and a ClassLabel, with more columns (a feature and its values)."""
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    rows = {"image": pictures(count, seed), "label": [at % 2 for at in range(count)]}
    for name, (feature, values) in more.items():
        features[name], rows[name] = feature, values
    rows = {name: values for name, values in rows.items() if features.get(name) is not None}
    features = {name: feature for name, feature in features.items() if feature is not None}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()


@pytest.fixture
def saved(tmp_path):
    def save(content):
        content.save_to_disk(tmp_path / "pets")
        return tmp_path / "pets"

    return save


def refused(says, *args, **options):
    with pytest.raises(UserError, match=says) as caught:
        load_data(*args, **options)
    assert "\n" not in str(caught.value)


def test_a_single_set_is_one_domain(saved):
    data = load_data(saved(table()), image_size=8)
    assert isinstance(data, HuggingFace)
    assert (data.name, data.domains, data.classes) == ("pets", ("pets",), ("cat", "dog"))
    assert not data.has_masks
    assert data.labels("pets") == [0, 1] * 3
    batch = data.samples("pets", [3, 0])
    assert batch.images.shape == (2, 3, 8, 8)
    assert batch.labels.tolist() == [1, 0]
    assert batch.masks is None


def test_images_are_cut_as_those_of_a_folder(saved, tmp_path):
    data = load_data(saved(table()), image_size=7)
    for index, (image, label) in enumerate(zip(pictures(6), ["cat", "dog"] * 3, strict=True)):
        path = tmp_path / "files" / label / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    folder = Folder(tmp_path / "files", 7)
    theirs = {key: at for at, key in enumerate(folder.names("files"))}
    at = [theirs[f"{label}/{i}.png"] for i, label in enumerate(["cat", "dog"] * 3)]
    ours = data.samples("pets", range(6))
    assert torch.equal(ours.images, folder.samples("files", at).images)
    assert ours.labels.tolist() == folder.samples("files", at).labels.tolist()


def test_splits_are_domains_unless_a_column_says_them(saved):
    sets = datasets.DatasetDict({"train": table(4), "test": table(6, seed=1)})
    data = load_data(saved(sets), image_size=8, layout="domains")
    assert data.domains == ("train", "test")
    assert [len(data.keys(domain)) for domain in data.domains] == [4, 6]
    style = (datasets.Value("string"), ["photo", "photo", "sketch", "sketch"])
    sets = datasets.DatasetDict(
        {"train": table(4, domain=style), "test": table(4, 1, domain=style)}
    )
    data = load_data(saved(sets), image_size=8, layout="domains")
    assert data.domains == ("photo", "sketch")
    assert data.labels("photo") == [0, 1, 0, 1]
    assert len(set(data.keys("photo")) | set(data.keys("sketch"))) == 8


def test_a_key_is_the_image_wherever_it_stands(saved):
    keys = load_data(saved(table()), image_size=8).keys("pets")
    assert len(set(keys)) == 6
    turned = load_data(saved(table().select([5, 3, 1, 0, 2, 4])), image_size=4).keys("pets")
    assert list(turned) == [keys[at] for at in (5, 3, 1, 0, 2, 4)]


@pytest.mark.parametrize("cache", [True, False])
def test_masks_are_a_column(saved, cache):
    half = np.zeros((8, 10), np.uint8)
    half[:, :5] = 255
    empty = np.zeros((8, 10), np.uint8)
    masks = [encoded(Image.fromarray(half)), encoded(Image.fromarray(empty)), None] * 2
    data = load_data(saved(table(mask=(datasets.Image(), masks))), image_size=8, cache=cache)
    assert data.has_masks
    assert data.masked("pets") == [True, False, False] * 2
    batch = data.samples("pets", range(6))
    assert batch.has_mask.tolist() == [True, False, False] * 2
    assert batch.masks[0, 0].mean(0).tolist() == [1.0] * 4 + [0.0] * 4


def test_columns_are_named_behind_the_path(saved):
    kinds = (datasets.Value("string"), ["b", "a", "b", "a", "c", "c"])
    more = (datasets.Image(), pictures(6, seed=5))
    root = saved(table(kind=kinds, other=more))
    data = load_data(f"{root}?image=other&label=kind&domain=label", image_size=8)
    assert data.classes == ("a", "b", "c")
    assert data.domains == ("cat", "dog")
    assert data.labels("dog") == [0, 0, 2]
    assert data.columns == "image=other&label=kind&domain=label"
    again = load_data(f"{root}?{data.columns}", image_size=8)
    assert again.keys("dog") == data.keys("dog")
    assert data.keys("dog") != load_data(root, image_size=8).keys("pets")[1::2]


def test_a_set_is_built_again_from_its_spec(saved):
    kinds = (datasets.Value("string"), ["b", "a", "b", "a", "c", "c"])
    data = HuggingFace(saved(table(kind=kinds)), 8, label="kind", skip_unreadable=True)
    spec = spec_of(data)
    assert spec["init_args"]["label"] == "kind"
    assert spec["init_args"]["image"] == "image"
    assert build(spec).fingerprint("pets") == data.fingerprint("pets")


def test_classes_may_be_numbers_or_words(saved):
    numbers = (datasets.Value("int64"), [7, 3, 7, 3, 7, 3])
    assert load_data(saved(table(label=numbers)), image_size=8).classes == ("3", "7")


@pytest.mark.filterwarnings("always::UserWarning")
def test_damaged_images_are_named_or_left_out(saved):
    rows = table(4)
    broken = [encoded(each) for each in pictures(4)]
    broken[2]["bytes"] = broken[2]["bytes"][:60]
    root = saved(rows.remove_columns("image").add_column("image", broken, feature=datasets.Image()))
    refused(r"readable image at 'pets\[2\]'.*--skip-unreadable", root, image_size=8)
    assert load_data(root, image_size=8, read=False).labels("pets") == [0, 1, 0, 1]
    with pytest.warns(UserWarning, match="Left out 1 of 4 images"):
        data = load_data(root, image_size=8, skip_unreadable=True)
    assert data.labels("pets") == [0, 1, 1]


@pytest.mark.filterwarnings("ignore:Left out:UserWarning")
def test_a_domain_of_damaged_images_is_refused(saved):
    style = (datasets.Value("string"), ["photo", "photo", "sketch", "sketch"])
    broken = [encoded(each) for each in pictures(4)]
    for row in broken[2:]:
        row["bytes"] = b"no image"
    rows = table(4, domain=style).remove_columns("image")
    root = saved(rows.add_column("image", broken, feature=datasets.Image()))
    refused("images in domain 'sketch' of .*; none of them can", root, 8, skip_unreadable=True)
    data = load_data(root, image_size=8, skip_unreadable=True, read=False)
    assert len(data.samples("photo", [0, 1])) == 2
    for _ in range(2):
        with pytest.raises(UserError, match="none of them can be read"):
            data.masked("sketch")


def test_every_mistake_is_one_clear_line(saved, tmp_path):
    root = saved(table())
    refused("Expected no folder of masks .* a column of", root, masks=tmp_path)
    refused("Expected no folder of tool masks", root, tool_masks=tmp_path)
    refused(
        "no column 'imgae' that can be the image; possible columns: image. Did you",
        f"{root}?image=imgae",
    )
    for what, other in (("image", "label"), ("mask", "label"), ("label", "image")):
        refused(
            f"no column '{other}' that can be the {what}; possible columns:",
            f"{root}?{what}={other}",
        )
    refused(
        "no column 'image' that can be the domain; possible columns: label", f"{root}?domain=image"
    )
    refused("got 'lable'. Did you mean 'label'", f"{root}?lable=image")
    refused("folder of images at .*none", f"{tmp_path}/none?label=kind")
    (tmp_path / "plain" / "cat").mkdir(parents=True)
    refused(r"leave out \?label=kind", f"{tmp_path}/plain?label=kind")
    more = (datasets.Image(), pictures(6))
    root = saved(table(image=(None, []), one=more, two=more))
    refused(r"is the image: one, two\? Name it as in '.*\?image=one'", root)
    more = (datasets.Value("string"), ["cat", "dog"] * 3)
    root = saved(table(label=(None, []), one=more, two=more))
    refused(r"is the label: one, two\? Name it as in '.*\?label=one'", root)
    root = saved(table(image=(None, [])))
    refused("no column that can be the image: add one and save", root)
    root = saved(table(label=(datasets.Value("string"), ["cat"] * 6)))
    refused("two or more classes in column 'label' of .*, got cat", root)
    root = saved(table(label=(datasets.ClassLabel(names=["cat", "dog"]), [0, 1, -1] * 2)))
    refused("column 'label' has none in 2 rows", root)
    root = saved(table())
    (root / "data-00000-of-00001.arrow").write_bytes(b"no table")
    refused("cannot be read by datasets", root)


def test_without_the_extra_the_error_says_what_to_install(saved, monkeypatch):
    root, real = saved(table()), builtins.__import__

    def without(name, *more):
        if name == "datasets":
            raise ModuleNotFoundError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    refused(r"pip install 'lookright\[datasets\]'", root)
