"""The images of a domain that an evaluation leaves out, and why."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lookright.data import ImageData, Seen
from lookright.data.dataset import unreadable
from lookright.errors import UserError
from lookright.evaluation.cache import BatchResult

GAVE_NAN: Final = "the model gives NaN or infinity for it"
_LISTED: Final = 10


def judgeable(data: ImageData, domain: str, seen: Seen, broken: Mapping[str, str]) -> list[int]:
    """The positions of the images on which the model can be judged; broken: of the data, by name.

    Raises:
        UserError: there is none.
    """
    unseen, names = seen.unseen(data, domain), data.names(domain)
    if not unseen:
        raise UserError(
            f"The model was trained or validated on all {len(names)} images of domain '{domain}' "
            f"of {data.name}: evaluate it on other images, or name other domains (--domains)."
        )
    whole = [at for at in unseen if names[at] not in broken]
    if not whole:
        raise UserError(
            f"Expected images in domain '{domain}' of {data.name}; none of {len(unseen)} can be "
            f"read, such as '{names[unseen[0]]}': replace them, or name other domains (--domains)."
        )
    return whole


def lost(
    data: ImageData, domain: str, where: Sequence[int], records: Iterable[BatchResult]
) -> dict[str, str]:
    """The images, by name, that have no row in the records, and why.

    Raises:
        UserError: no image has one.
    """
    names = data.names(domain)
    judged = (row for record in records for row in record.judged.tolist())
    missing = sorted(at for at, row in zip(where, judged, strict=True) if not row)
    found = {names[at]: unreadable(data, domain, at) or GAVE_NAN for at in missing}
    if len(missing) == len(where):
        raise UserError(
            f"Expected images in domain '{domain}' of {data.name} on which the model can be "
            f"judged; it can on none of {len(where)}: {in_words(found, len(where))}"
        )
    return found


def in_words(left: Mapping[str, str], total: int) -> str:
    """A sentence that names them; total: images of which they are."""
    named = ", ".join(f"'{name}' ({why.rstrip('.')})" for name, why in [*left.items()][:_LISTED])
    more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
    return f"{len(left)} of {total} images are left out: {named}{more}."
