"""Arrays as data URIs: pictures small enough for the page, saliency as a transparent overlay."""

from base64 import b64encode
from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXACT_SIDE = 64
PICTURE_SIDE = 144
OVERLAY_SIDE = 48
_LEVELS = 64


def picture_uri(image: NDArray[np.uint8]) -> str:
    """An (H, W, 3) image: lossless PNG up to 64 px, else a JPEG preview of at most 144 px."""
    picture = Image.fromarray(image)
    if max(picture.size) <= EXACT_SIDE:
        return _uri(picture, "PNG", optimize=True)
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    return _uri(picture, "JPEG", quality=88, optimize=True)


def overlay_uri(saliency: NDArray[np.uint8]) -> str:
    """An (h, w) map as a palette PNG; colour and opacity both increase with the saliency."""
    picture = Image.fromarray(saliency)
    picture.thumbnail((OVERLAY_SIDE, OVERLAY_SIDE), Image.Resampling.BOX)
    levels = np.asarray(picture) // (256 // _LEVELS)
    indexed = Image.fromarray(levels.astype(np.uint8), mode="P")
    colours, alpha = _palette()
    indexed.putpalette(colours)
    return _uri(indexed, "PNG", optimize=True, transparency=alpha)


def shade_uri(mask: NDArray[np.uint8]) -> str:
    """An (H, W) mask as a PNG that darkens everything outside the object."""
    picture = Image.fromarray(mask)
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.BOX)
    outside = 255 - np.asarray(picture, dtype=np.uint16)
    shade = np.zeros((*outside.shape, 2), np.uint8)
    shade[..., 1] = outside * 3 // 4
    return _uri(Image.fromarray(shade), "PNG", optimize=True)


@cache
def _palette() -> tuple[bytes, bytes]:
    from matplotlib import colormaps

    rgba = colormaps["inferno"](np.linspace(0.15, 0.95, _LEVELS), bytes=True)
    alpha = np.linspace(0, 255, _LEVELS).astype(np.uint8)
    return rgba[:, :3].tobytes(), alpha.tobytes()


def _uri(picture: Image.Image, kind: str, **options: object) -> str:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(buffer.getvalue()).decode('ascii')}"
