"""Folders of images: layouts, masks, damaged files, and every mistake as one line."""

import random
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookright.data import Folder, load_data
from lookright.errors import UserError

ARCHIVE = Path(__file__).parents[2] / "shared" / "data" / "pacs128.tar"


def paint(path: Path, level: int = 200, size: tuple[int, int] = (12, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)
    return path


def grow(root: Path, *names: str, n: int = 3) -> Path:
    """A tree with `n` PNG images in each of the folders."""
    for name in names:
        for i in range(n):
            paint(root / name / f"{i}.png", 10 * i)
    return root


@pytest.fixture
def pets(tmp_path) -> Path:
    return grow(tmp_path / "pets", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog")


def refused(says: str, *args, **options) -> str:
    with pytest.raises(UserError, match=says) as caught:
        load_data(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_domains_and_classes_come_from_the_tree(pets):
    data = load_data(pets, image_size=8)
    assert isinstance(data, Folder)
    assert (data.name, data.domains, data.classes) == ("pets", ("photo", "sketch"), ("cat", "dog"))
    assert data.has_masks is False
    assert list(data.keys("sketch")) == [
        f"sketch/{c}/{i}.png" for c in ("cat", "dog") for i in range(3)
    ]
    batch = data.samples("sketch", [5, 0])
    assert batch.images.shape == (2, 3, 8, 8)
    assert (batch.labels.tolist(), batch.domains.tolist()) == ([1, 0], [1, 1])
    assert batch.images[0, 0, 0, 0] == pytest.approx(20 / 255)
    assert batch.masks is None
    assert batch.has_mask is None


def test_a_tree_of_classes_is_one_domain_named_as_its_folder(tmp_path):
    data = load_data(str(grow(tmp_path / "birds", "wren", "crow")), image_size=4)
    assert (data.domains, data.classes) == (("birds",), ("crow", "wren"))
    assert data.keys("birds")[0] == "crow/0.png"


def test_hidden_and_other_files_are_ignored_and_links_followed(pets, tmp_path):
    paint(pets / "photo" / "cat" / "._0.png")
    paint(pets / ".cache" / "cat" / "0.png")
    (pets / "photo" / "cat" / "notes.txt").write_text("none")
    (pets / "README.md").write_text("none")
    (pets / "photo" / "cow").symlink_to(grow(tmp_path / "far", "cow") / "cow")
    (pets / "photo" / "dog" / "x.png").symlink_to(pets / "photo" / "cat" / "0.png")
    with pytest.warns(UserWarning, match="'sketch' of .* has no images of cow"):
        data = load_data(pets, image_size=4)
    assert data.classes == ("cat", "cow", "dog")
    assert len(data.keys("photo")) == 10


def test_added_files_and_a_moved_root_change_no_part(pets, tmp_path):
    grow(pets, "photo/cat", n=40)
    before = set(load_data(pets, image_size=4).split("photo", "train").where)
    keys = load_data(pets, image_size=4).keys("photo")
    trained = {keys[i] for _, i in before}
    moved = pets.rename(tmp_path / "elsewhere")
    grow(moved, "photo/cat", "photo/dog", n=60)
    data = load_data(moved, image_size=4)
    now = {data.keys("photo")[i] for _, i in data.split("photo", "train").where}
    assert trained == now & set(keys)


@pytest.mark.parametrize("cache", [True, False])
def test_the_cache_changes_speed_only(pets, cache):
    data = load_data(pets, image_size=4, cache=cache)
    expected = load_data(pets, image_size=4).samples("photo", range(6)).images
    paint(pets / "photo" / "cat" / "2.png", 250)
    again = data.samples("photo", range(6)).images
    assert torch.equal(again[[0, 1, 3]], expected[[0, 1, 3]])
    assert torch.equal(again[2], expected[2]) is cache


def test_too_many_images_for_the_cache_are_decoded_at_each_use(pets, monkeypatch):
    monkeypatch.setattr("lookright.data.folder.CACHE_LIMIT", 12 * 3 * 16 - 1)
    data = load_data(pets, image_size=4)
    paint(pets / "photo" / "cat" / "2.png", 250)
    assert data.samples("photo", [2]).images.max() == pytest.approx(250 / 255)


def test_workers_read_the_same(pets):
    data = load_data(pets, image_size=4)
    alone = list(data.loader("photo", "all", 2))
    shared = list(data.loader("photo", "all", 2, workers=1))
    assert all(torch.equal(a.images, b.images) for a, b in zip(alone, shared, strict=True))


def test_masks_are_found_by_path_and_a_missing_one_is_not_empty(pets):
    masks = pets / "masks"
    paint(masks / "photo/cat/0.jpg", 255)
    paint(masks / "sketch/dog/2.png", 0)
    data = load_data(pets, image_size=6, masks=masks)
    assert data.domains == ("photo", "sketch")
    assert data.has_masks
    photo = data.samples("photo", range(6))
    assert photo.has_mask.tolist() == [True, False, False, False, False, False]
    assert photo.masks.mean((1, 2, 3)).tolist() == [1, 0, 0, 0, 0, 0]
    assert data.samples("sketch", [5]).has_mask.tolist() == [True]


def test_image_and_mask_are_cut_alike(tmp_path):
    root, masks = grow(tmp_path / "data", "a", "b"), tmp_path / "masks"
    pixels = np.zeros((20, 50), np.uint8)
    pixels[4:16, 21:37] = 255
    Image.fromarray(pixels).convert("RGB").save(root / "a" / "0.png")
    (masks / "a").mkdir(parents=True)
    Image.fromarray(pixels).save(masks / "a" / "0.png")
    batch = load_data(root, image_size=10, masks=masks).samples("data", [0])
    assert torch.equal((batch.images[:, :1] > 0.5).float(), batch.masks)
    assert 0.3 < batch.masks.mean() < 0.7


def test_masks_that_fit_no_image_are_counted(pets):
    masks = pets.parent / "masks"
    paint(masks / "photo/cat/0.png")
    paint(masks / "photo/cat/none.png")
    with pytest.warns(UserWarning, match=r"1 of 2 masks .*none\.png"):
        load_data(pets, image_size=4, masks=masks)


def test_mistakes_with_masks(pets, tmp_path):
    masks = tmp_path / "masks"
    refused("Expected a folder of masks", pets, masks=masks)
    masks.mkdir()
    refused("holds no images", pets, masks=masks)
    paint(masks / "cat/0.png")
    refused(r"such as '.*photo/cat/0\.png'; .*cat/0\.png' fits none", pets, masks=masks)
    (masks / "cat/0.png").unlink()
    paint(masks / "photo/cat/0.png", size=(6, 12))
    refused("12x12 pixels.*has 6x12", pets, masks=masks, skip_unreadable=True)
    paint(masks / "photo/cat/0.bmp")
    refused("Expected one mask", pets, masks=masks)


def spoil(*paths: Path) -> None:
    for i, path in enumerate(paths):
        content = path.read_bytes()
        path.write_bytes(b"no image" if i % 2 else content[:-28])


def test_all_unreadable_files_are_listed_at_once(pets):
    grow(pets, "photo/cat", n=20)
    spoil(*sorted((pets / "photo/cat").iterdir())[:12])
    says = refused("12 of 29 are damaged or no images", pets)
    assert says.count(".png'") == 10
    assert "'photo/cat/0.png', 'photo/cat/1.png', 'photo/cat/10.png'" in says
    assert "and 2 more" in says
    assert "--skip-unreadable" in says


def test_one_unreadable_file_is_named_with_its_reason(pets):
    spoil(pets / "photo/cat/1.png")
    says = refused("truncated", pets)
    assert "cat/1.png" in says
    assert "--skip-unreadable" in says


@pytest.mark.parametrize("cache", [True, False])
def test_unreadable_files_can_be_skipped_and_are_counted(pets, cache):
    spoil(pets / "photo/cat/1.png", pets / "sketch/dog/0.png")
    (pets / "photo/dog/gone.png").symlink_to(pets / "nowhere.png")
    with pytest.warns(UserWarning, match="Left out 3 of 13 images"):
        data = load_data(pets, image_size=4, skip_unreadable=True, cache=cache)
    assert [len(data.keys(domain)) for domain in data.domains] == [5, 5]
    assert data.samples("photo", [1]).images.mean() == pytest.approx(20 / 255)


def test_a_class_that_loses_all_its_images_is_refused(pets):
    spoil(*(pets / "photo/cat").iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        refused("class 'cat' of domain 'photo'", pets, skip_unreadable=True)


def test_mistakes_with_the_folder(tmp_path, pets):
    refused("Did you mean 'pets'", tmp_path / "petz")
    refused("Did you mean 'Shortcut'", str(tmp_path / "Shortcutt"))
    refused("it is a file", pets / "photo/cat/0.png")
    refused("they lie deeper. Did you mean '.*pets'", tmp_path)
    refused("lie in it directly", pets / "photo" / "cat")
    refused("only 'cat'", grow(tmp_path / "one", "photo/cat", "sketch/cat"))
    (tmp_path / "none").mkdir()
    refused(r"found none ending in \.bmp", tmp_path / "none")
    refused("image size of 1 pixel or more; got 0", pets, image_size=0)
    (pets / "photo/cow").mkdir()
    refused("class 'cow' of domain 'photo'", pets)
    (pets / "photo/cow").rmdir()
    (pets / "cartoon").mkdir()
    refused("class folders in domain 'cartoon'", pets)
    paint(pets / "cartoon" / "0.png")
    refused("either <domain>/<class>/\\* or <class>/\\*", pets)


def test_real_images_of_pacs(tmp_path):
    if not ARCHIVE.exists():
        pytest.skip("the PACS archive is not in ../shared/data")
    with tarfile.open(ARCHIVE) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        kept = random.Random(0).sample(files, 400)
        archive.extractall(tmp_path, kept, filter="data")
    data = load_data(tmp_path / "PACS", image_size=64)
    assert data.domains == ("art_painting", "cartoon", "photo", "sketch")
    assert data.classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    batches = list(data.loader(data.domains, "all", batch_size=64))
    assert sum(map(len, batches)) == 400
    brightness = {domain: data.samples(domain, range(20)).images.mean() for domain in data.domains}
    assert max(brightness, key=brightness.__getitem__) == "sketch"
    assert all(0.02 < batch.images.std() < 0.6 for batch in batches)
