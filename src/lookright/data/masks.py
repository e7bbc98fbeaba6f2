"""What the numbers in masks mean: the object, the background, or pixels to leave out.

A mask is read by the set of its numbers, and all masks of a folder, column or tensor must agree:

- 0 is the background, and a single other number is the object, whatever it is;
- few numbers are those of classes, up to eight of them above 31, and all but 0 are the object;
  beside class numbers up to 31, 255 (65535 with 16 bits) is a border to leave out, and so are
  negative numbers and VOC's void colour;
- many levels are soft edges, 255 on the object; if one mask of a set has soft edges, all have.

What remains ambiguous is refused; `MaskValues` then says what is meant.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lookright.data.images import File, read_mask, squared
from lookright.data.mask_numbers import Numbers, numbers_of
from lookright.errors import UserError
from lookright.models.preprocessing import Preprocessing

HIGHEST_CLASS: Final = 31
"""Numbers up to this one are classes; several higher ones, or one beside a 255, may be levels."""

_MANY_LEVELS: Final = 8

_FULL: Final = (255, 65535)

Seen = frozenset[int] | None
"""The distinct numbers of a mask; None if there are many, those of soft edges."""


@dataclass(frozen=True)
class MaskValues:
    """Which numbers in masks are the object and which are left out, where it cannot be seen.

    Args:
        object: numbers of the object, as [1]; all others are background. By default they are found
            by looking at all masks. [0] reads inverted masks.
        ignore: numbers of pixels that guidance and measures leave out, as [3].
        soft: grey levels are soft edges, although there are few.
    """

    object: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()
    soft: bool = False

    def __post_init__(self) -> None:
        if self.soft and self.object:
            raise UserError(
                "Expected either soft masks or numbers of the object; got both: leave out one."
            )
        if both := sorted({*self.object} & {*self.ignore}):
            raise UserError(
                f"Expected other numbers to ignore than those of the object; got {both[0]} as both."
            )


class MaskSet:
    """Masks that are all read in the same way.

    values: what the user says of their numbers. words: what they are in messages. option: the one
    that sets `values`, on the command line or in Python. smooth: whether masks are resized
    bilinearly, not to the nearest pixel.
    """

    def __init__(
        self, values: MaskValues | None, words: str, option: str, smooth: bool = False
    ) -> None:
        self.values = values or MaskValues()
        self._words, self._option, self._smooth = words, option, smooth
        self._soft = self.values.soft
        self._new: dict[str, Seen] = {}
        self._settled: dict[Seen, str] = {}

    @property
    def exact(self) -> bool:
        """Whether the user says what numbers mean."""
        return bool(self.values.object or self.values.ignore)

    def read(
        self, path: File, image_path: File, name: str, size: int, how: Preprocessing | None = None
    ) -> Tensor:
        """The mask, (1, size, size) uint8, or (2, size, size) if it leaves out pixels.

        The second plane is 255 on these pixels. It is made square as its image is, by `how`. `name`
        is the mask's name for `settle`. Raises
        UserError for a file that cannot be a mask, and the errors of `read_mask`.
        """
        grey, ignored = self.interpreted(
            numbers_of(read_mask(path, image_path), str(path), self.exact), name
        )
        if ignored is None:
            return squared(Image.fromarray(grey), size, how, self._smooth)
        if not self._smooth:
            planes = (grey, ignored.astype(np.uint8) * np.uint8(255))
            return torch.cat(
                [squared(Image.fromarray(each), size, how, soft=False) for each in planes]
            )
        kept = _shrunk(~ignored, size, how)
        level = (_shrunk(grey, size, how) / kept.clamp_min(1e-6)).clamp(0, 255)
        return torch.cat([(level * (kept >= 0.5)).round(), 255.0 * (kept < 0.5)]).byte()

    def interpreted(
        self, numbers: Numbers, name: str
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """The mask (H, W), 255 on the object, and the pixels (H, W) to leave out, None for none."""
        seen, values = numbers.seen, numbers.values
        if numbers.coloured and (self.values.object or self.values.soft):
            raise UserError(
                f"Expected numbers in the mask '{name}', since {self._option} gives some; it has "
                "colours: save it with one number per class, or leave the option out."
            )
        ignored = self.values.ignore
        if seen is not None:
            seen = frozenset(each for each in seen if each >= 0 and each not in ignored)
            seen = _alike(seen) if numbers.classes else seen
        if not self.values.object:
            self._new[name] = seen
        if self.values.object:
            grey = _where(np.isin(values, self.values.object))
        elif (border := _border(seen, self._soft and not numbers.classes)) is None:
            grey = numbers.grey
        else:
            ignored = (*ignored, *border)
            grey = numbers.grey if seen and seen <= {0, 255} else _where(values > 0)
        if not ignored and values.dtype == np.uint8:
            return grey, None
        outside = np.isin(values, ignored) | (values < 0)
        if not outside.any():
            return grey, None
        return np.where(outside, np.uint8(0), grey), outside

    def settle(self) -> set[str]:
        """Decide on the masks read so far; the names of those that must be read again.

        Raises:
            UserError: their meaning is ambiguous, or masks contradict each other.
        """
        new, self._new = self._new, {}
        named = self._settled | {seen: name for name, seen in new.items()}
        again: set[str] = set()
        if None in named and not self.values.soft:
            for seen, name in named.items():
                if seen and 1 < max(seen) <= HIGHEST_CLASS:
                    raise self._ambiguous(
                        f"'{name}' has only the values {_listed(seen)}, but '{named[None]}' has "
                        "soft edges",
                        "if all have soft edges",
                    )
        if None in named and not self._soft:
            changed = {seen for seen in named if _border(seen, True) != _border(seen, False)}
            for seen in changed & self._settled.keys():
                raise self._ambiguous(
                    f"'{self._settled[seen]}' has only the values {_listed(seen)}, but "
                    f"'{named[None]}' has soft edges",
                    "if all have soft edges",
                )
            again = {name for name, seen in new.items() if seen in changed}
            self._soft = True
        if not self._soft:
            self._check({seen: name for seen, name in named.items() if seen})
        self._settled = named
        return again

    def _check(self, named: dict[frozenset[int], str]) -> None:
        """Refuse what is ambiguous among masks with few numbers each."""
        whole: dict[int, str] = {}
        for seen, name in named.items():
            if _border(seen, False) is None:
                raise self._ambiguous(
                    f"'{name}' has the values {_listed(seen)}",
                    "if these are soft edges",
                )
            if (highest := max(seen)) in _FULL and seen <= {0, highest}:
                whole[highest] = name
        for seen, name in named.items():
            for number in whole.keys() & (_border(seen, False) or ()):
                raise self._ambiguous(
                    f"{number} is the object in '{whole[number]}', but seems to be a border beside "
                    f"the values {_listed(seen)} of '{name}'"
                )
            if len(seen) > 1 and not any(0 in each and len(each) > 1 for each in named):
                raise self._ambiguous(
                    f"'{name}' has the values {_listed(seen)}, and none has a 0 for the background"
                )

    def _ambiguous(self, why: str, if_soft: str = "") -> UserError:
        if self._option.startswith("--"):
            soft = f"{self._option}.soft true"
            numbers = f"{self._option}.object [1] {self._option}.ignore [3]"
        else:
            soft = f"as_data(..., {self._option}=MaskValues(soft=True))"
            numbers = f"as_data(..., {self._option}=MaskValues(object=(1,), ignore=(3,)))"
        mend = f"give {soft} {if_soft}, else " if if_soft else ""
        return UserError(
            f"Expected {self._words} whose values show where the object is; {why}: {mend}say which "
            f"values are the object and which to leave out, as in {numbers}."
        )


def _border(seen: Seen, soft: bool) -> frozenset[int] | None:
    """The numbers to leave out, if all others above 0 are the object; None for grey levels."""
    if seen is None:
        return None
    highest = max(seen, default=0)
    full = _FULL[highest > 255]
    high = [each for each in seen if each > HIGHEST_CLASS]
    if seen <= {0, 1} or seen <= {0, full}:
        return frozenset()
    if soft or len(high) > _MANY_LEVELS:
        return None
    if full not in seen or not seen - {0, full}:
        return frozenset()
    return None if high != [full] else frozenset({full})


def _alike(classes: frozenset[int]) -> frozenset[int]:
    """Class numbers with 1 for each, or 1 and 2 if there are several and no background."""
    others = classes - {0, 255}
    several = {2} if len(others) > 1 and 0 not in classes else set()
    return (classes & {0, 255}) | ({1} if others else set()) | several


def _where(there: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return there.view(np.uint8) * np.uint8(255)


def _shrunk(values: NDArray[Any], size: int, how: Preprocessing | None) -> Tensor:
    return squared(Image.fromarray(values.astype(np.float32)), size, how)


def _listed(seen: Seen) -> str:
    first, *others = sorted(seen or ())
    middle = others if len(others) < 8 else [*others[:5], "...", others[-1]]
    return ", ".join(map(str, [first, *middle]))
