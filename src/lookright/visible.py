"""Names as text that may be shown: nothing in them acts on a terminal or on a page's text."""

import re

_ACTING = re.compile(
    "["
    "\0-\b\v-\x1f\x7f-\x9f"  # control characters but tab and newline; terminals obey them
    "\u2028\u2029"  # line separators
    "\u202a-\u202e\u2066-\u2069"  # they turn the direction of the text that follows
    "\ud800-\udfff"  # bytes of file names that are not UTF-8; no encoding can write them
    "]"
)


def visible(text: str) -> str:
    r"""The text with each character that acts, or cannot be written, as its escape, such as \x1b.

    Tabs and newlines are kept.
    """
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
