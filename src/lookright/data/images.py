"""Reading image and mask files correctly in any format, colour mode and orientation."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from lookright.errors import UserError, did_you_mean
from lookright.files import as_path, regular
from lookright.models.preprocessing import Preprocessing

SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif"}
)

FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF") + ("AVIF",) * bool(
    features.check("avif")
)
"""The formats that are read, by the content of a file; Pillow knows others that run programs."""

PIXELS: Final = 64_000_000
"""Largest number of pixels of an image: decoding takes up to 14 bytes for each."""

_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    RuntimeError,
    TypeError,
    OverflowError,
    Image.DecompressionBombError,
)
_JPEG_END: Final = b"\xff\xd9"
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(UserError):
    """A file that is not an image, or a damaged image; `reason` says so without its path."""

    def __init__(self, message: str, reason: str = "it cannot be read") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Encoded:
    """The content of an image file stored inside another file, and its name in messages."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name


File = Path | Encoded


def read_image(path: File) -> Image.Image:
    """The image in 8-bit RGB, with its EXIF orientation applied.

    Transparent images are put on white; 16-bit grey is scaled, not clipped; the first frame of an
    animation is used; colour profiles are not applied. Raises UnreadableImageError with the file's
    name.
    """
    image, orientation = _decode(path)
    if image.has_transparency_data:
        image = _laid_on(image, "white")
    return turned(image.convert("RGB"), orientation)


def read_mask(path: File, image_path: File) -> Image.Image:
    """The mask as it is stored, in its own mode and `format`, turned like its image.

    The mask's own EXIF orientation is applied; if its size then fits the image before its
    orientation is applied but not after, the mask is turned like the image. Raises UserError with
    both sizes if they differ, and UnreadableImageError if either file cannot be read.
    """
    mask = read_stored(path)
    stored, image_orientation = stored_size(image_path)
    shown = shown_size(stored, image_orientation)
    if mask.size != shown:
        if mask.size != stored:
            raise UserError(
                f"Expected a mask of {shown[0]}x{shown[1]} pixels, the size of its image "
                f"'{image_path}'; '{path}' has {mask.width}x{mask.height}: export the mask at the "
                "image's size."
            )
        return turned(mask, image_orientation)
    return mask


def read_stored(path: File) -> Image.Image:
    """The image in its own mode and with its `format`, its EXIF orientation applied.

    Raises UnreadableImageError with the file's name.
    """
    return turned(*_decode(path, _as_stored))


def stored_size(path: File) -> tuple[tuple[int, int], int]:
    """(width, height) of the image as its file stores it, and the EXIF orientation to apply.

    Raises UnreadableImageError with the file's name.
    """
    try:
        with _opened(_stream(path)) as image:
            orientation = _orientation(image)
            if image.format == "TIFF" and orientation in _UPRIGHT:
                image.load()  # turns it; versions of Pillow differ about its size before
                return image.size, _orientation(image)
            return image.size, orientation
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def shown_size(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) after the EXIF orientation is applied."""
    return stored[::-1] if orientation >= 5 else stored


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image with that EXIF orientation applied; keeps its `format`."""
    if orientation not in _UPRIGHT:
        return image
    upright = image.transpose(_UPRIGHT[orientation])
    upright.format = image.format
    return upright


def square(image: Image.Image, size: int, soft: bool = True) -> Tensor:
    """(C, size, size) uint8: the shorter side resized to `size`, the longer side cropped centrally.

    Resized bilinearly with antialiasing, or, without `soft`, to the nearest pixel, which keeps a
    binary mask binary.
    """
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    method = Image.Resampling.BILINEAR if soft else Image.Resampling.NEAREST
    box = (left, top, left + side, top + side)
    pixels = np.array(image.resize((size, size), method, box=box))
    return torch.from_numpy(pixels.reshape(size, size, -1)).permute(2, 0, 1).contiguous()


def squared(
    image: Image.Image, size: int, preprocessing: Preprocessing | None, soft: bool = True
) -> Tensor:
    """(C, size, size) uint8, by the preprocessing of a library's weights, else by `square`."""
    return preprocessing(image, size, soft) if preprocessing else square(image, size, soft)


def load_image(
    path: Path | str, image_size: int, preprocessing: Preprocessing | None = None
) -> Tensor:
    """(3, image_size, image_size) float32 in [0, 1]: `read_image`, then `squared`."""
    return squared(read_image(as_path(path)), image_size, preprocessing).float() / 255


def check_image(path: File) -> str:
    """A hash of the file's bytes; raises UnreadableImageError if it is damaged or not an image.

    For a JPEG the header and the end marker are checked, for a PNG the checksums, which takes a
    fraction of the time of decoding. Files that fail this check, and other formats, are decoded.
    Damage that is still not found is reported when the pixels are first used.
    """
    content = read_bytes(path)
    if not _seems_whole(content):
        _decode(path)
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: File) -> bytes:
    """The bytes of the file; raises UnreadableImageError if it cannot be read."""
    try:
        if isinstance(path, Encoded):
            return path.content
        return regular(path).read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _seems_whole(content: bytes) -> bool:
    """Whether a file is known to be intact without decoding it; if False, it may still be."""
    try:
        with _opened(BytesIO(content)) as image:
            if image.format == "PNG" and not image.mode.startswith(("I", "F")):
                image.verify()
                return True
            return image.format == "JPEG" and content[-64:].rstrip(b"\0").endswith(_JPEG_END)
    except _DAMAGED:
        return False


def _decode(
    path: File, kept: Callable[[Image.Image], Image.Image] | None = None
) -> tuple[Image.Image, int]:
    """The pixels as stored, in an 8-bit mode, and the EXIF orientation still to be applied.

    kept: makes a copy of the open image, instead of one in an 8-bit mode.
    """
    try:
        with _opened(_stream(path)) as image:
            image.load()
            return (kept or _eight_bit)(image), _orientation(image)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _opened(file: Path | BytesIO) -> Image.Image:
    """The image, not yet decoded."""
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > PIXELS:
        image.close()
        raise ValueError(
            f"it has {image.width}x{image.height} pixels, more than {PIXELS // 10**6} million"
        )
    return image


def _stream(path: File) -> Path | BytesIO:
    return BytesIO(path.content) if isinstance(path, Encoded) else regular(path)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError(
            "floating-point pixels have no known range; save the image with 8 or 16 bits"
        )
    if not image.mode.startswith("I"):
        return _copied(image)
    levels = np.array(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError("32-bit pixels above 65535; save the image with 8 or 16 bits")
    return Image.fromarray(((levels + 128) // 257).astype(np.uint8))


def _as_stored(image: Image.Image) -> Image.Image:
    copy = _copied(image)
    copy.format = image.format
    return copy


def _copied(image: Image.Image) -> Image.Image:
    """A copy; of grey multiplied by its opacity, which Pillow converts to nothing else, as LA."""
    return image.convert("LA") if image.mode == "La" else image.copy()


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation; 1 (upright) if it is absent, damaged or unknown."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGED:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _laid_on(image: Image.Image, colour: str) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image).convert("RGB")


def _unreadable(path: File, error: Exception) -> UnreadableImageError:
    if isinstance(path, Path) and not path.exists():
        siblings = [file.name for file in path.parent.glob("*") if file.suffix.lower() in SUFFIXES]
        return UnreadableImageError(
            f"Expected an image at '{path}', which does not "
            f"exist.{did_you_mean(path.name, siblings)}"
        )
    fake = isinstance(error, Image.UnidentifiedImageError)
    reason = "its content is no known image format" if fake else str(error) or "it is damaged"
    return UnreadableImageError(
        f"Expected a readable image at '{path}'; {reason}: replace or remove the file.", reason
    )
