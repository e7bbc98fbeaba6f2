"""Every kind of image file comes in right, and every damaged one as one clear line."""

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lookright.data.images import (
    UnreadableImageError,
    check_image,
    load_image,
    read_image,
    read_mask,
    shown_size,
    square,
    stored_size,
)
from lookright.errors import UserError

RED, BLUE = (255, 0, 0), (0, 0, 255)
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def colour(path: Path, xy: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    return read_image(path).getpixel(xy)


def halves() -> Image.Image:
    """16 wide, 8 high; red on the left, blue on the right."""
    image = Image.new("RGB", (16, 8), RED)
    image.paste(BLUE, (8, 0, 16, 8))
    return image


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif"])
def test_every_format_keeps_the_picture(tmp_path, suffix):
    halves().save(path := tmp_path / f"image.{suffix}")
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (16, 8))
    assert image.getpixel((2, 4)) == pytest.approx(RED, abs=25)
    assert image.getpixel((13, 4)) == pytest.approx(BLUE, abs=25)


def test_sixteen_bit_grey_is_scaled(tmp_path):
    grey = np.array([[0, 32768, 65535, 257 * 100]], dtype=np.uint16)
    Image.fromarray(grey).save(path := tmp_path / "deep.png")
    assert np.array(read_image(path))[0].tolist() == [[0] * 3, [128] * 3, [255] * 3, [100] * 3]
    Image.fromarray(grey).save(path := tmp_path / "deep.tif")
    assert np.array(read_image(path))[0, :, 0].tolist() == [0, 128, 255, 100]


def test_cmyk_red_is_red(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path := tmp_path / "print.jpg")
    assert colour(path) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize(
    ("mode", "paint", "expected"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("LA", (0, 0), (255, 255, 255)),
        ("LA", (90, 255), (90, 90, 90)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
    ],
)
def test_alpha_is_laid_on_white_and_grey_is_spread(tmp_path, mode, paint, expected):
    Image.new(mode, (4, 4), paint).save(path := tmp_path / "image.png")
    assert colour(path) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("transparent", "expected"), [(None, RED), (0, (255, 255, 255))])
def test_palettes_give_their_colours(tmp_path, transparent, expected):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, *BLUE])
    extra = {} if transparent is None else {"transparency": transparent}
    image.save(path := tmp_path / "palette.png", **extra)
    assert colour(path) == expected


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path, orientation, suffix):
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:4, :8] = 255
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    shown = np.array(read_image(path)).astype(int)
    assert shown.shape == upright.shape
    assert np.abs(shown - upright).max() < 40
    assert shown_size(*stored_size(path)) == (16, 8)
    mask = tmp_path / "mask.png"
    Image.fromarray(upright[..., 0]).save(mask)
    assert (np.array(read_mask(mask, path)) == upright[..., 0]).all()


@given(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mode_and_shape_becomes_a_square_in_range(tmp_path, mode, width, height):
    NOISE.resize((width, height)).convert(mode).save(path := tmp_path / "any.png")
    image = load_image(path, 5)
    assert (image.shape, image.dtype) == ((3, 5, 5), torch.float32)
    assert 0 <= image.min() <= image.max() <= 1


def test_the_central_square_is_kept():
    strip = Image.new("RGB", (30, 10))
    strip.paste(RED, (10, 0, 20, 10))
    for image in (strip, strip.rotate(90, expand=True)):
        pixels = square(image, 5)
        assert (pixels[:, 1:-1, 1:-1] == torch.tensor(RED).view(3, 1, 1)).all()
        assert pixels[0].min() > 200


def test_resizing_averages_images_and_never_mixes_masks():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert square(Image.fromarray(board).convert("RGB"), 8).float().std() < 10
    assert set(square(Image.fromarray(board), 9, soft=False).unique().tolist()) <= {0, 255}


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_is_the_users_error_or_a_picture_never_a_crash(tmp_path, data):
    path = tmp_path / f"hurt.{data.draw(st.sampled_from(['jpg', 'png', 'webp', 'bmp', 'tif']))}"
    NOISE.crop((0, 0, 24, 20)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(UnreadableImageError):
        assert read_image(path).mode == "RGB"


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tif"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_lost_pixels_are_noticed_in_every_format(tmp_path, suffix, kept):
    NOISE.save(path := tmp_path / f"cut.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UnreadableImageError, match="replace or remove"):
        read_image(path)


def tagged(path: Path, mode: str, tag: int, kind: int, value: bytes = b"") -> Path:
    """A TIFF of grey 100 or of noise, with one of its tags of another type, or of another value."""
    image = Image.new("LA", (4, 4), (100, 255)) if mode == "LA" else NOISE.convert(mode)
    image.save(path)
    content = bytearray(path.read_bytes())
    (at,) = struct.unpack("<I", content[4:8])
    while struct.unpack("<H", content[at + 2 : at + 4]) != (tag,):
        at += 12
    content[at + 4 : at + 6] = struct.pack("<H", kind)
    content[at + 10 : at + 10 + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("mode", "tag", "kind"),
    [("RGB", 273, 2), ("RGB", 273, 11), ("P", 320, 8)],
    ids=["an offset of text", "an offset of floats", "a palette below 0"],
)
def test_a_tag_of_another_type_is_damage(tmp_path, mode, tag, kind):
    path = tagged(tmp_path / "image.tif", mode, tag, kind)
    for read in (read_image, check_image, lambda path: read_mask(path, path)):
        with pytest.raises(UnreadableImageError, match="replace or remove"):
            read(path)


def test_grey_multiplied_by_its_opacity_is_grey(tmp_path):
    path = tagged(tmp_path / "image.tif", "LA", 338, 3, b"\1")
    assert colour(path) == (100, 100, 100)
    assert read_mask(path, path).mode == "LA"


def test_truncated_fake_missing_and_unbounded_files_are_named(tmp_path):
    whole = tmp_path / "whole.jpg"
    NOISE.save(whole)
    (cut := tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:700])
    (fake := tmp_path / "fake.png").write_text("<html>404</html>")
    (empty := tmp_path / "empty.png").touch()
    Image.fromarray(np.ones((4, 4), np.float32)).save(floating := tmp_path / "float.tif")
    (folder := tmp_path / "folder.jpg").mkdir()
    cases = [
        (cut, "truncated"),
        (fake, "no known image format"),
        (empty, "no known image format"),
        (floating, "8 or 16 bits"),
        (folder, "directory"),
        (tmp_path / "whoole.jpg", "Did you mean 'whole.jpg'"),
    ]
    for path, says in cases:
        with pytest.raises(UnreadableImageError, match=says) as caught:
            read_image(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def saved(path: Path, pixels: np.ndarray, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif)
    return path


def corner(height: int, width: int, value: int = 255) -> np.ndarray:
    """A mask whose top left quarter is the object."""
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2, : width // 2] = value
    return mask


def test_a_mask_follows_its_turned_image(tmp_path):
    upright = corner(8, 16)
    stored = upright.T[::-1]
    image = saved(tmp_path / "image.png", np.stack([stored] * 3, -1), orientation=6)
    as_shown = saved(tmp_path / "shown.png", upright)
    as_stored = saved(tmp_path / "stored.png", stored)
    tagged = saved(tmp_path / "tagged.png", stored, orientation=6)
    for mask in (as_shown, as_stored, tagged):
        assert (np.array(read_mask(mask, image)) == upright).all()
        assert (np.array(read_image(image))[:, :, 0] == upright).all()


def test_a_mask_of_another_size_names_both(tmp_path):
    image = saved(tmp_path / "image.png", np.zeros((8, 16, 3), np.uint8))
    mask = saved(tmp_path / "mask.png", corner(4, 8))
    with pytest.raises(UserError, match=r"16x8.*8x4") as caught:
        read_mask(mask, image)
    assert str(image) in str(caught.value)
    assert str(mask) in str(caught.value)
