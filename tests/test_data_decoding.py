"""From disk to the device: what a check finds without decoding, workers, and shared memory."""

import os
import pickle
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from torch.utils.data import get_worker_info

from lookright.batch import Batch
from lookright.data import Folder, ImageData, InMemory, Selected, Shortcut, load_data
from lookright.data.images import Encoded, UnreadableImageError, check_image, read_image, read_mask
from lookright.data.loaders import default_workers, stored_loader, to_device
from lookright.data.shared import SharedRows
from lookright.errors import UserError
from lookright.spec import build, spec_of
from test_data_folder import grow, paint

CPU = torch.device("cpu")


def picture(size: tuple[int, int] = (40, 30)) -> Image.Image:
    random = np.random.default_rng(0)
    return Image.fromarray(random.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """The files that were decoded."""
    found: list[str] = []

    def noted(kind):
        real = kind.load

        def load(image):
            if image.tile:
                found.append(kind.__name__)
            return real(image)

        monkeypatch.setattr(kind, "load", load)

    noted(JpegImageFile)
    noted(PngImageFile)
    return found


SUFFIXES = ("jpg", "png", "webp", "gif", "bmp", "tif")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_cut_file_is_found_and_a_whole_one_is_not_taken_for_it(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    picture().save(path)
    content = path.read_bytes()
    assert len(check_image(path)) == 64
    for kept in (len(content) // 2, len(content) - 40):
        path.write_bytes(content[:kept])
        with pytest.raises(UnreadableImageError, match=r"readable image at .*image\."):
            check_image(path)
        with pytest.raises(UnreadableImageError):
            read_image(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_what_is_whole_is_not_decoded(tmp_path, decoded, suffix):
    path = tmp_path / f"image.{suffix}"
    picture().save(path)
    check_image(path)
    assert decoded == []
    read_image(path)
    assert len(decoded) == 1


def test_a_jpeg_that_ends_in_another_way_is_decoded_and_may_be_fine(tmp_path, decoded):
    path = tmp_path / "image.jpg"
    picture().save(path)
    for tail, doubtful in ((b"\0" * 9, False), (b"maker's notes", True)):
        padded = Encoded("padded", path.read_bytes() + tail)
        check_image(padded)
        assert bool(decoded) is doubtful
        assert read_image(padded).size == (40, 30)
        decoded.clear()


def test_a_png_with_a_wrong_checksum_is_found(tmp_path):
    path = tmp_path / "image.png"
    picture().save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError):
        check_image(path)


def hide_damage(path: Path) -> None:
    """A PNG whose pixels do not decompress, with checksums that are right."""
    chunk = b"IDAT" + b"no pixels at all"
    content = path.read_bytes()
    start, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    size, check = (len(chunk) - 4).to_bytes(4, "big"), zlib.crc32(chunk).to_bytes(4, "big")
    path.write_bytes(content[:start] + size + chunk + check + content[end:])


@pytest.fixture
def hidden(tmp_path) -> Path:
    root = grow(tmp_path / "pets", "photo/cat", "photo/dog")
    hide_damage(root / "photo/cat/1.png")
    return root


@pytest.mark.parametrize("workers", [0, 1])
def test_hidden_damage_is_named_when_it_is_met(hidden, workers):
    data = load_data(hidden, image_size=4)
    assert len(data.samples("photo", [0, 2, 3])) == 3
    loader = stored_loader(data.split("photo", "all"), 2, CPU, workers)
    with pytest.raises(UserError, match=r"readable image at '.*/photo/cat/1.png'; ") as caught:
        list(loader)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("Expected")


def test_hidden_damage_is_left_out_from_the_start(hidden):
    with pytest.warns(UserWarning, match="Left out 1 of 6 images"):
        data = load_data(hidden, image_size=4, skip_unreadable=True)
    assert data.undecoded(["photo"]) == 0, "all were decoded for it, and kept"
    assert len(list(stored_loader(data.split("photo", "all"), 1, CPU))) == 5


def test_rows_are_shared_with_forked_workers_and_sent_to_no_other():
    rows = SharedRows(3, (2, 2))
    rows.put(0, torch.full((2, 2), 7))
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        rows.put(2, torch.full((2, 2), 9))
        os._exit(0)
    assert [rows.get(row) is not None for row in range(3)] == [True, False, True]
    assert rows.get(2).tolist() == [[9, 9], [9, 9]]
    sent = pickle.loads(pickle.dumps(rows))
    sent.put(0, torch.zeros(2, 2))
    assert sent.get(0) is None


@pytest.fixture
def pets(tmp_path) -> Path:
    """Images of two domains, one of them with a mask and a tool mask."""
    root = grow(tmp_path / "pets", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    for index, path in enumerate(sorted(root.rglob("*.png"))):
        picture((12 + index, 12)).save(path)
    paint(tmp_path / "masks/photo/cat/0.png", size=(12, 12))
    paint(tmp_path / "tools/photo/cat/0.png", 99, size=(12, 12))
    return root


def masked(root: Path, **options) -> Folder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_data(
            root, image_size=6, masks=root.parent / "masks", tool_masks=root.parent / "tools",
            **options,
        )  # fmt: skip


def test_what_workers_decode_is_kept_for_all(pets):
    data = masked(pets)
    part = data.split(["photo", "sketch"], "all")
    assert data.undecoded(data.domains) == 12
    loaded = list(stored_loader(part, 5, CPU, workers=2))
    assert data.undecoded(data.domains) == 0
    uncached = masked(pets, cache=False).split(["photo", "sketch"], "all")
    alone = list(stored_loader(uncached, 5, CPU))
    for a, b in zip(loaded, alone, strict=True):
        for name in ("images", "masks", "tool_masks", "has_mask", "has_tool_mask", "labels"):
            assert torch.equal(getattr(a, name), getattr(b, name))
        assert a.images.dtype == a.masks.dtype == torch.uint8


@pytest.mark.parametrize("cache", [True, False])
def test_the_cache_changes_speed_only(pets, cache):
    data = load_data(pets, image_size=4, cache=cache)
    expected = data.samples("photo", range(6)).images
    assert data.undecoded(["photo", "sketch"]) == (6 if cache else 12)
    paint(pets / "photo" / "cat" / "2.png", 250)
    again = data.samples("photo", range(6)).images
    assert torch.equal(again[[0, 1, 3]], expected[[0, 1, 3]])
    assert torch.equal(again[2], expected[2]) is cache


def test_too_many_images_for_the_cache_are_decoded_at_each_use(pets, monkeypatch):
    monkeypatch.setattr("lookright.data.decoded.CACHE_LIMIT", 12 * 3 * 16 - 1)
    data = load_data(pets, image_size=4)
    data.samples("photo", [2])
    assert data.undecoded(data.domains) == 12
    paint(pets / "photo" / "cat" / "2.png", 250)
    assert data.samples("photo", [2]).images.max() == pytest.approx(250 / 255)


def test_masks_are_decoded_once(pets, monkeypatch):
    read = []

    def noted(path, image_path):
        read.append(path.parent.parent.parent.name)
        return read_mask(path, image_path)

    monkeypatch.setattr("lookright.data.masks.read_mask", noted)
    data = masked(pets)
    for _ in range(3):
        assert data.samples("photo", range(6)).has_mask.sum() == 1
    assert sorted(read) == ["masks", "tools"]
    uncached = masked(pets, cache=False)
    uncached.samples("photo", range(6))
    assert sorted(read[2:]) == ["masks", "masks", "tools", "tools"]


SETS = {
    "Shortcut": lambda _: Shortcut(),
    "Folder": masked,
    "Selected": lambda root: Selected(masked(root), ["dog"]),
    "InMemory": lambda _: InMemory(torch.rand(6, 3, 4, 4), torch.arange(6) % 2),
}


@pytest.mark.parametrize("name", SETS)
def test_what_is_stored_is_what_is_used(pets, name):
    data = SETS[name](pets)
    domain, indices = data.domains[0], [2, 0]
    there, used = data.stored(domain, indices).to("cpu"), data.samples(domain, indices)
    assert used.images.dtype == torch.float32
    for field in vars(used):
        one, other = getattr(there, field), getattr(used, field)
        assert one is other is None or torch.equal(one, other)
    if name != "InMemory":
        assert data.stored(domain, indices).images.dtype == torch.uint8


def test_workers_are_started_only_for_what_is_to_be_decoded(pets, monkeypatch):
    monkeypatch.setattr("lookright.data.loaders._WORTH_WORKERS", 6)
    monkeypatch.setattr("lookright.data.loaders._cores", lambda: 3)
    data = masked(pets)
    assert default_workers(data.split(["photo", "sketch"], "all")) == 3
    assert default_workers(data.split("photo", "train")) == 0, "too few"
    assert default_workers(Selected(data, ["cat", "dog"]).split("photo", "all")) == 3
    data.samples("photo", [0])
    assert default_workers(data.split("photo", "all")) == 0, "one is there already"
    assert default_workers(masked(pets, cache=False).split("photo", "all")) == 3
    assert default_workers(Shortcut().split("train", "all")) == 0
    monkeypatch.setattr("lookright.data.loaders._cores", lambda: 64)
    assert default_workers(data.split(["photo", "sketch"], "all")) == 4


class Where(ImageData):
    """Says in its labels which worker gave a batch."""

    name, classes, domains, image_size, has_masks = "Where", ("a", "b"), ("all",), 4, False

    def keys(self, domain):
        return list(map(str, range(8)))

    def samples(self, domain, indices):
        worker = get_worker_info()
        label = 0 if worker is None else 1 + worker.id
        return Batch(torch.zeros(len(indices), 3, 4, 4), torch.full((len(indices),), label))


@pytest.mark.parametrize(("workers", "who"), [(None, {0}), (0, {0}), (2, {1, 2})])
def test_batches_are_made_where_they_should(workers, who):
    loader = stored_loader(Where().split("all", "all"), 2, CPU, workers)
    assert {int(label) for batch in loader for label in batch.labels} == who
    assert not loader.pin_memory


def test_memory_is_pinned_for_a_gpu():
    loader = stored_loader(Where().split("all", "all"), 2, torch.device("cuda"))
    assert loader.pin_memory


def test_a_pinned_batch_has_all_that_it_had(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    batch = Batch(torch.zeros(1, 3, 2, 2), torch.tensor([0]), masks=torch.ones(1, 1, 2, 2))
    assert vars(batch.pin_memory()) == vars(batch)
    assert len(pinned) == 4


def test_the_whole_way_gives_what_samples_gives(pets):
    data = masked(pets)
    part = data.split("photo", "all")
    there = list(to_device(stored_loader(part, 4, CPU), CPU))
    whole = data.samples("photo", range(6))
    assert torch.equal(torch.cat([batch.images for batch in there]), whole.images)
    assert torch.equal(torch.cat([batch.tool_masks for batch in there]), whole.tool_masks)


def test_data_sets_are_built_again_from_their_spec(pets):
    folder = masked(pets)
    hidden = {"skip_unreadable": True, "image_size": 9}
    for data in (Shortcut(40, 0.5, 3), folder, Folder(pets, **hidden), Selected(folder, ["dog"])):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            again = build(spec_of(data))
        assert spec_of(again) == spec_of(data)
        assert [again.fingerprint(d) for d in again.domains] == [
            data.fingerprint(d) for d in data.domains
        ]
