"""The numbers that a mask file stores, whether as grey levels, palette, colours or transparency."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookright.errors import UserError

FEW: Final = 32
"""A mask of more distinct levels than this has soft edges; one of fewer has a number per class."""

_VOID: Final = (224, 224, 192)
"""The colour of PASCAL VOC's border, which belongs neither to an object nor to the background."""

_LOSSY: Final = ("JPEG", "MPO")
_NOISE: Final = 8
_LOSSY_BLACK: Final = 32
_DARK: Final = 0.25


@dataclass(frozen=True)
class Numbers:
    """The number of each pixel (H, W): a grey level, class number, palette index or opacity.

    0 is black or transparent; numbers below 0 are left out. seen: the distinct numbers, or None if
    there are more than FEW, which are then the levels of a soft mask. classes: they cannot be grey
    levels. coloured: they only tell colours apart.
    """

    values: NDArray[Any]
    seen: frozenset[int] | None
    classes: bool = False
    coloured: bool = False

    @property
    def grey(self) -> NDArray[np.uint8]:
        """The numbers as grey levels (H, W), from 0 to 255; those above 65535 are 255."""
        if self.values.dtype == np.uint8:
            return self.values
        levels = self.values.clip(0, 65535)
        if levels.max(initial=0) > 255:
            levels = (levels.astype(np.int64) + 128) // 257
        return levels.astype(np.uint8)


def numbers_of(mask: Image.Image, name: str, exact: bool = False) -> Numbers:
    """The numbers of a mask of any mode; `name` stands in messages, and `exact` says that they mean
    what they are, none of them noise.

    Raises UserError for a file that cannot be a mask, such as a photograph.
    """
    lossy = mask.format in _LOSSY
    if mask.mode == "P" and not mask.has_transparency_data:
        found = _of_palette(mask)
        if found is not None:
            return found
    if mask.has_transparency_data:
        return _of_cut_out(np.array(mask.convert("RGBA")), name)
    if mask.mode == "F":
        return levels_of(_whole(np.array(mask), name), name)
    if mask.mode in ("1", "L") or mask.mode.startswith("I"):
        values = np.array(mask)
        values = values.astype(np.uint8 if mask.mode in ("1", "L") else np.int64, copy=False)
        return levels_of(values, name, lossy, exact)
    return _of_colours(np.array(mask.convert("RGB")), name, lossy)


def levels_of(values: NDArray[Any], name: str, lossy: bool = False, exact: bool = False) -> Numbers:
    """Integers (H, W) as numbers, without the noise of a lossy format if all are nearly 0 or 255.

    Raises UserError for many levels that are neither class numbers nor grey levels, and for the
    class numbers of a lossy file, which its compression has changed.
    """
    if (binary := _binary(values)) is not None:
        return Numbers(values, binary)
    if values.dtype == np.uint8:
        counts = np.bincount(values.ravel(), minlength=256)
        levels = np.flatnonzero(counts)
    else:
        levels = np.unique(values)
    seen = frozenset(levels.tolist())
    if lossy:
        return _of_lossy(values, counts, name)
    middle = seen.difference(range(_NOISE + 1), range(255 - _NOISE, 256))
    if len(seen) > 2 and not exact and not middle and not seen.isdisjoint(range(255 - _NOISE, 255)):
        return _halved(values, 128)
    if len(seen) <= FEW:
        return Numbers(values, seen)
    least, most = min(seen), max(seen)
    if not _DARK <= most / (255 if most <= 255 else 65535) <= 1:
        raise UserError(
            f"Expected the mask '{name}' with one number per class, or with grey levels up to 255 "
            f"or 65535; it has {len(seen)} values from {least} to {most}: save it with 255 on the "
            "object and 0 elsewhere."
        )
    return Numbers(values, None)


def _binary(values: NDArray[Any]) -> frozenset[int] | None:
    """The distinct values of a mask of only 0 and 1, or only 0 and 255; None for any other."""
    least, most = int(values.min()), int(values.max())
    if least >= 0 and (most <= 1 or (most == 255 and ((values == 0) | (values == 255)).all())):
        return frozenset({least, most})
    return None


def _of_lossy(values: NDArray[Any], counts: NDArray[Any], name: str) -> Numbers:
    most = int(np.flatnonzero(counts)[-1])
    low, high = most // 4 + 1, 3 * most // 4
    between, bright = counts[low:high].sum(), counts[most // 2 + 1 :].sum()
    if most > FEW and between <= 0.1 * bright:
        return _halved(values, most // 2 + 1)
    mode = low + int(counts[low:high].argmax()) if high > low else 0
    if most <= FEW or counts[max(low, mode - _NOISE) : mode + _NOISE].sum() > between / 2:
        raise UserError(
            f"Expected the mask '{name}' as PNG; it seems to hold one number per class, which JPEG "
            "changes: save it as PNG from its source."
        )
    return Numbers(values, None)


def _halved(values: NDArray[Any], least: int) -> Numbers:
    halved = np.where(values >= least, 255, 0).astype(np.uint8)
    return Numbers(halved, frozenset(np.unique(halved).tolist()))


def _of_palette(mask: Image.Image) -> Numbers | None:
    """Indices; None if the palette is one of greys, or has many colours in use."""
    palette = np.array(mask.getpalette("RGB"), np.uint8).reshape(-1, 3)
    indices = np.array(mask)
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    if len(used) > FEW or (palette == palette[:, :1]).all():
        return None
    numbers = np.arange(256)
    black = np.flatnonzero((palette == 0).all(1))
    numbers[[0] if 0 in black else black] = 0
    if 0 not in black:
        numbers[0] = 256
    numbers[np.flatnonzero((palette == _VOID).all(1))] = -1
    return Numbers(numbers[indices], frozenset(numbers[used].tolist()), classes=True)


def _of_cut_out(pixels: NDArray[np.uint8], name: str) -> Numbers:
    """The opacity, unless what is visible has few colours of which one is black."""
    colours, alpha = pixels[..., :3].copy(), pixels[..., 3]
    visible = _packed(colours[alpha > 0])
    distinct = np.unique(visible)
    if alpha.min() == 255 or (1 < len(distinct) <= FEW and 0 in distinct):
        colours[alpha == 0] = 0
        return _of_colours(colours, name, lossy=False)
    if len(distinct) > 1 and _packed(np.array(_VOID)) in distinct:
        outside = (colours == _VOID).all(-1) & (alpha > 0)
        return levels_of(np.where(outside, -1, alpha.astype(np.int64)), name)
    return levels_of(alpha, name)


def _of_colours(pixels: NDArray[np.uint8], name: str, lossy: bool) -> Numbers:
    """A number for each colour, 0 for black; the levels themselves if all are grey."""
    highest = pixels.max(-1)
    spread = (highest - pixels.min(-1)).max()
    if spread <= (_LOSSY_BLACK if lossy else 0):
        return levels_of(pixels[..., 1].copy(), name, lossy)
    distinct, numbers = np.unique(_packed(pixels), return_inverse=True)
    if len(distinct) <= FEW:
        named = np.arange(len(distinct)) + (distinct[0] != 0)
        if len(distinct) > 1:
            named[distinct == _packed(np.array(_VOID))] = -1
        return Numbers(named[numbers.reshape(highest.shape)], frozenset(named.tolist()), True, True)
    coloured = highest > (_LOSSY_BLACK if lossy else _NOISE)
    if coloured.mean() > 0.99:
        raise UserError(
            f"Expected a mask in '{name}', black where the object is not; it looks like a "
            "photograph: give the folder of masks."
        )
    return Numbers(coloured.astype(np.uint8), frozenset({0, int(coloured.max())}), True, True)


def _packed(colours: NDArray[Any]) -> NDArray[np.int64]:
    """(..., 3) to (...): one integer for each colour, 0 for black."""
    return colours.astype(np.int64) @ np.array([65536, 256, 1])


def _whole(values: NDArray[np.floating[Any]], name: str) -> NDArray[Any]:
    """Floating-point numbers as integers; those from 0 to 1 as grey levels."""
    if np.isfinite(values).all():
        if (values == values.round()).all():
            return values.astype(np.int64)
        if values.min() >= 0 and values.max() <= 1:
            return (values * 255).round().astype(np.uint8)
    raise UserError(
        f"Expected whole numbers, or numbers from 0 to 1, in the mask '{name}'; got floating-point "
        "values of another range: save it with 255 on the object and 0 elsewhere."
    )
