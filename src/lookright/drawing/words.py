"""Numbers and lists as text for use in sentences."""

from collections.abc import Iterable, Sequence
from math import floor

LISTED = 8
_LETTERS = 20


def percent(value: float) -> str:
    """Whole per cent; values strictly between 0 and 1 are never shown as 0% or 100%."""
    whole = floor(100 * value + 0.5)
    if (whole == 0 and value > 0) or (whole == 100 and value < 1):
        return f"{100 * value:.1f}%"
    return f"{whole}%"


def pixel_levels(eps: float) -> str:
    """The size of a perturbation in 8-bit levels: 8/255 is '8'."""
    return f"{round(255 * eps, 2):g}"


def p_value(p: float) -> str:
    """A p-value with two significant digits, down to a ten-thousandth."""
    return f"{p:.2g}" if p >= 1e-4 else "< 0.0001"


def shortened(name: str) -> str:
    """At most `_LETTERS` characters; methods of one family often differ at the end."""
    if len(name) <= _LETTERS:
        return name
    end = _LETTERS // 2 - 2
    return f"{name[: _LETTERS - end - 1]}…{name[-end:]}"


def count(n: int, noun: str) -> str:
    """'1 image', '2 images'."""
    return f"{n} {noun}{'s' * (n != 1)}"


def span(numbers: Iterable[int]) -> str:
    """'3', or '3-5' for several numbers."""
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]}\N{EN DASH}{found[-1]}"


def listing(items: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'; long lists end in a count. Markup if the items are Markup."""
    if len(items) > LISTED:
        others = f"{len(items) - LISTED + 1} others"
        items = [*items[: LISTED - 1], type(items[0])(others)]
    *before, last = items
    return type(last)(", ").join(before) + " and " + last if before else last
