"""Folders of images: layouts, masks, damaged files, and every mistake as one line."""

import random
import re
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookright.data import Folder, load_data
from lookright.data.images import check_image, read_image
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
    assert list(data.names("sketch")) == [
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
    assert data.names("birds")[0] == "crow/0.png"


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


def test_a_domain_is_checked_when_it_is_first_used_and_decoded_image_by_image(pets, monkeypatch):
    checked, decoded = [], []

    def noted(function, log):
        def call(path):
            log.append(path.relative_to(pets).parts[0])
            return function(path)

        return call

    monkeypatch.setattr("lookright.data.folder.check_image", noted(check_image, checked))
    monkeypatch.setattr("lookright.data.folder.read_image", noted(read_image, decoded))
    data = load_data(pets, image_size=4, read=False)
    assert data.domains == ("photo", "sketch")
    assert len(data.keys("photo")) == len(data.labels("photo")) == 6
    assert checked == []
    whole = data.samples("sketch", [5, 0])
    data.samples("sketch", [0, 5])
    assert data.masked("sketch") == [False] * 6
    data.fingerprint("sketch")
    assert checked == ["sketch"] * 6
    assert decoded == ["sketch"] * 2
    data.read(["photo", "sketch"])
    assert checked == ["sketch"] * 6 + ["photo"] * 6
    assert decoded == ["sketch"] * 2
    assert torch.equal(load_data(pets, image_size=4).samples("sketch", [5, 0]).images, whole.images)
    with pytest.raises(UserError, match="Did you mean 'photo'"):
        data.read(["phot"])


def test_of_a_domain_read_late_only_its_own_damage_is_told(pets):
    spoil(pets / "photo/cat/1.png")
    data = load_data(pets, image_size=4, read=False)
    assert len(data.samples("sketch", range(6))) == 6
    with pytest.raises(UserError, match="truncated"):
        data.samples("photo", [0])
    data = load_data(pets, image_size=4, skip_unreadable=True, read=False)
    with pytest.warns(UserWarning, match="Left out 1 of 6 images"):
        assert data.names("photo")[1] == "photo/cat/2.png"
    assert data.labels("photo") == [0, 0, 1, 1, 1]


def test_a_fingerprint_tells_which_part_an_image_is_in(tmp_path):
    root = tmp_path / "set"
    for number in range(8):
        part = "train" if number < 6 else "test"
        for name in ("cat", "dog"):
            paint(root / part / name / f"{number}.png", 20 * number + 9 * (name == "dog"))
    before = load_data(root, image_size=4, layout="parts")
    for name in ("cat", "dog"):  # the order of all images remains
        (root / "train" / name / "5.png").rename(root / "test" / name / "5.png")
    after = load_data(root, image_size=4, layout="parts")
    (domain,) = before.domains
    assert sorted(before.keys(domain)) == sorted(after.keys(domain))
    assert before.fingerprint(domain) != after.fingerprint(domain)


def test_a_fingerprint_tells_other_images_and_masks_of_the_same_names(pets, tmp_path):
    def found(**options):
        data = load_data(pets, image_size=4, **options)
        return [data.fingerprint(domain) for domain in data.domains]

    before, masks = found(), tmp_path / "masks"
    assert before == found(cache=False)
    assert len(set(before)) == 2
    pets = pets.rename(tmp_path / "elsewhere")
    assert before == found()
    paint(pets / "photo/cat/0.png", 99)
    assert [a == b for a, b in zip(before, found(), strict=True)] == [False, True]
    for level in (255, 100):
        paint(masks / "sketch/dog/1.png", level)
        with_masks = found(masks=masks)
        assert with_masks[1] not in before
        before.append(with_masks[1])


def test_workers_read_the_same(pets):
    data = load_data(pets, image_size=4)
    alone = list(data.loader("photo", "all", 2))
    shared = list(data.loader("photo", "all", 2, workers=1))
    assert all(torch.equal(a.images, b.images) for a, b in zip(alone, shared, strict=True))


def known_in(data, domain: str) -> tuple[list[bool], list[bool]]:
    """Which samples have a mask, and a guide: told without decoding, and seen in the batch."""
    batch = data.samples(domain, range(len(data.keys(domain))))
    none = torch.zeros(len(batch), dtype=torch.bool)
    masks = none if batch.has_mask is None else batch.has_mask
    guides = none if batch.has_tool_mask is None else batch.has_tool_mask
    assert list(data.masked(domain)) == masks.tolist()
    assert list(data.tool_masked(domain)) == guides.tolist()
    return masks.tolist(), guides.tolist()


@pytest.mark.parametrize("cache", [True, False])
def test_masks_are_found_by_path_and_a_missing_or_empty_one_is_unknown(pets, cache):
    masks = pets / "masks"
    paint(masks / "photo/cat/0.jpg", 255)
    paint(masks / "sketch/dog/1.png", 255)
    paint(masks / "sketch/dog/2.png", 0)
    with pytest.warns(
        UserWarning, match=r"1 of 3 masks in .* empty, such as '.*dog/2.png'"
    ) as told:
        data = load_data(pets, image_size=6, masks=masks, cache=cache)
    assert len(told) == 1
    assert data.domains == ("photo", "sketch")
    assert data.has_masks
    photo = data.samples("photo", range(6))
    assert photo.masks.mean((1, 2, 3)).tolist() == [1, 0, 0, 0, 0, 0]
    assert known_in(data, "photo") == ([True] + [False] * 5, [False] * 6)
    assert known_in(data, "sketch")[0] == [False] * 4 + [True, False]


def test_a_mask_that_is_cut_away_counts_as_missing(tmp_path):
    root = grow(tmp_path / "data", "a", "b")
    paint(root / "a" / "0.png", size=(40, 10))
    (tmp_path / "masks" / "a").mkdir(parents=True)
    pixels = np.zeros((10, 40), np.uint8)
    pixels[:, :9] = 255
    Image.fromarray(pixels).save(tmp_path / "masks" / "a" / "0.png")
    with pytest.warns(UserWarning, match="1 of 1 masks"):
        data = load_data(root, image_size=8, masks=tmp_path / "masks")
    assert not any(known_in(data, "data")[0])


def test_guides_lie_beside_masks_and_keep_their_grey_levels(pets):
    masks, guides = pets / "masks", pets / "sam"
    paint(masks / "photo/cat/0.png", 255)
    paint(guides / "photo/cat/1.png")
    ramp = np.linspace(0, 102, 144).round().astype(np.uint8).reshape(12, 12)
    Image.fromarray(ramp).save(guides / "photo/cat/1.png")
    paint(guides / "sketch/cat/0.png", 0)
    with pytest.warns(UserWarning, match="guide") as told:
        data = load_data(pets, image_size=4, masks=masks, tool_masks=guides)
    assert [re.sub(r"in '.*?'", "in it", str(each.message)) for each in told] == [
        f"1 of 2 tool masks in it are empty, such as '{guides / 'sketch/cat/0.png'}', and count as "
        "missing.",
        "10 of 12 images have no tool mask in it, such as 'photo/cat/0.png': their explanations "
        "are not guided.",
    ]
    assert data.domains == ("photo", "sketch")
    batch = data.samples("photo", range(6))
    assert batch.masks.mean((1, 2, 3)).tolist() == [1, 0, 0, 0, 0, 0]
    assert batch.tool_masks.mean((1, 2, 3)).tolist() == pytest.approx(
        [0, 0.2, 0, 0, 0, 0], abs=0.005
    )
    assert known_in(data, "photo") == ([True] + [False] * 5, [False, True] + [False] * 4)
    assert known_in(data, "sketch") == ([False] * 6, [False] * 6)


def test_a_guide_is_resized_softly_and_a_mask_is_not(tmp_path):
    root = grow(tmp_path / "data", "a", "b")
    Image.fromarray(np.indices((12, 12)).sum(0).astype(np.uint8) % 2 * 255).save(
        paint(tmp_path / "maps/a/0.png")
    )
    with pytest.warns(UserWarning, match="5 of 6 images have no tool mask"):
        data = load_data(root, image_size=5, masks=tmp_path / "maps", tool_masks=tmp_path / "maps")
    batch = data.samples("data", [0])
    assert set(batch.masks.unique().tolist()) == {0.0, 1.0}
    assert batch.tool_masks.std() < 0.1


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
    with pytest.warns(UserWarning, match=r"no tool mask|1 of 2 tool masks .*none\.png") as told:
        load_data(pets, image_size=4, tool_masks=masks)
    assert len(told) == 2


@pytest.mark.parametrize("what", ["masks", "tool_masks"])
def test_mistakes_with_masks_and_guides(pets, tmp_path, what):
    maps, words = tmp_path / "maps", what.replace("_", " ")
    given = {what: maps}
    refused(f"Expected a folder of {words}", pets, **given)
    maps.mkdir()
    refused(f"Expected {words} in .*contains no images.*leave out {words}", pets, **given)
    paint(maps / "cat/0.png")
    refused(r"such as '.*photo/cat/0\.png'; .*cat/0\.png' belongs to no image", pets, **given)
    (maps / "cat/0.png").unlink()
    paint(maps / "photo/cat/0.png", size=(6, 12))
    refused("12x12 pixels.*has 6x12", pets, **given, skip_unreadable=True)
    paint(maps / "photo/cat/0.bmp")
    refused(f"Expected one file of {words}", pets, **given)


def spoil(*paths: Path) -> None:
    for i, path in enumerate(paths):
        content = path.read_bytes()
        path.write_bytes(b"no image" if i % 2 else content[:-28])


def test_all_unreadable_files_are_listed_at_once(pets):
    grow(pets, "photo/cat", n=20)
    spoil(*sorted((pets / "photo/cat").iterdir())[:12])
    says = refused("12 of 29 are damaged or not images", pets)
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
    refused("they are in deeper folders. Did you mean '.*pets'", tmp_path)
    refused("they are directly in it", pets / "photo" / "cat")
    refused("only 'cat'", grow(tmp_path / "one", "photo/cat", "sketch/cat"))
    (tmp_path / "none").mkdir()
    refused(r"found none ending in \.avif, \.bmp", tmp_path / "none")
    refused("image size of 1 to 8192 pixels; got 0", pets, image_size=0)
    refused("image size of 1 to 8192 pixels; got 8193", pets, image_size=8193)
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


def test_of_two_images_of_one_stem_the_one_of_the_masks_kind_has_it(pets, tmp_path):
    paint(pets / "photo/cat/0.jpg", 90)
    masks = tmp_path / "masks"
    paint(masks / "photo/cat/0.png")
    data = load_data(pets, image_size=8, masks=masks)
    masked = dict(zip(data.names("photo"), data.masked("photo"), strict=True))
    assert masked["photo/cat/0.png"]
    assert not masked["photo/cat/0.jpg"]


def test_a_mask_of_several_images_is_told(pets, tmp_path):
    paint(pets / "photo/cat/0.jpg", 90)
    paint((masks := tmp_path / "masks") / "photo/cat/0.bmp")
    with pytest.warns(UserWarning, match=r"1 masks in '.*' belong to several images each"):
        load_data(pets, image_size=8, masks=masks)
