"""The data sets that papers on domain generalisation use: what is published of them, and how to
check and prepare them."""

from collections.abc import Mapping
from typing import Final

from lookright.data.sets.check import Contents, Found, compare_contents, find
from lookright.data.sets.office_home import OFFICE_HOME
from lookright.data.sets.pacs import PACS
from lookright.data.sets.prepare import IMAGES, MASKS, Prepared, prepare
from lookright.data.sets.published import PublishedSet, bare
from lookright.data.sets.report import counts_table, mistakes, remarks
from lookright.data.sets.terra_incognita import TERRA_INCOGNITA
from lookright.data.sets.vlcs import VLCS
from lookright.errors import UserError, did_you_mean

SETS: Final[Mapping[str, PublishedSet]] = {
    "vlcs": VLCS,
    "pacs": PACS,
    "office_home": OFFICE_HOME,
    "terra_incognita": TERRA_INCOGNITA,
}
"""By the name that a user gives, in any spelling."""


def published_set(name: str) -> PublishedSet:
    """The set of that name.

    Raises:
        UserError: there is none.
    """
    for known, found in SETS.items():
        if bare(known) == bare(name):
            return found
    raise UserError(
        f"Expected the name of a published set: {', '.join(SETS)}; got '{name}'."
        f"{did_you_mean(name, SETS)}"
    )


__all__ = [
    "IMAGES",
    "MASKS",
    "SETS",
    "Contents",
    "Found",
    "Prepared",
    "PublishedSet",
    "bare",
    "compare_contents",
    "counts_table",
    "find",
    "mistakes",
    "prepare",
    "published_set",
    "remarks",
]
