"""What the classes of a model are called, by itself and by the data that it is tried on."""

import json
import re
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Literal
from unicodedata import normalize

from lookright.errors import UserError, some
from lookright.models.classifier import Classifier

ClassOrder = Literal["alphabetical", "numerical"]


def named_after(
    model: Classifier, wanted: Sequence[str], order: ClassOrder | None
) -> tuple[str, ...]:
    """The names of a model's classes, as data of the classes `wanted` call them.

    Names that differ in the form of their characters alone (NFC, NFD) are those of the data.
    ImageNet's classes may be called by their WordNet ids. Classes without names are the data's if
    there are as many, in the order given, or else in the data's own.

    Raises:
        UserError: classes without names, no order given, and numbers in the data's names, so that
            the order in which they were trained is not known.
    """
    own = model.classes
    if not model.nameless:
        ids = _wordnet_ids() if own == imagenet_classes(len(own)) else ()
        spelled = {normalize("NFC", name): name for name in wanted}
        named = tuple(spelled.get(normalize("NFC", name), name) for name in own)
        return ids if set(wanted) <= set(ids) else named
    if len(own) != len(wanted):
        return own
    orders = {"alphabetical": tuple(sorted(wanted)), "numerical": _numerical(wanted)}
    if order is None and len(set(orders.values())) > 1:
        said = (f"{each} ({', '.join(names[:5])}, ...)" for each, names in orders.items())
        raise UserError(
            f"The model's {len(own)} classes have no names here; those of the data have numbers, "
            f"and may be in {' or '.join(said)} order: say which by --class_order (torchvision's "
            "ImageFolder is alphabetical), or name them by --classes FILE."
        )
    names = tuple(wanted) if order is None else orders[order]
    if names != own:
        warnings.warn(
            f"The model's {len(own)} classes have no names here and are taken in the order of the "
            f"data's ({some(names)}): name them by --classes if that is wrong.",
            stacklevel=4,
        )
    return names


def example_map(model: Classifier, wanted: Sequence[str]) -> str:
    """The content of a class map for two or more of the data's classes.

    Names that differ only in case, spaces, hyphens and underscores are put together, if there are
    two such; otherwise the first classes of both.
    """
    own = model.classes
    plain: dict[str, list[int]] = {}
    for index, name in enumerate(own):
        plain.setdefault(_bare(name), []).append(index)
    alike = {name: found[0] for name in wanted if len(found := plain.get(_bare(name), [])) == 1}
    if len(set(alike.values())) < max(2, len(alike)):
        alike = dict(zip(wanted, range(2), strict=False))
    pairs = list(alike.items())[:10]
    sure = not model.nameless and all(own.count(own[index]) == 1 for _, index in pairs)
    return json.dumps(
        {name: [own[index] if sure else index] for name, index in pairs}, ensure_ascii=False
    )


@cache
def imagenet_classes(count: int) -> tuple[str, ...] | None:
    """The names of ImageNet-1k's classes if `count` is 1000, otherwise None."""
    if count != 1000:
        return None
    from timm.data import ImageNetInfo

    about = ImageNetInfo("imagenet-1k")
    return tuple(about.index_to_description(index) for index in range(count))


@cache
def _wordnet_ids() -> tuple[str, ...]:
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


def _numerical(names: Sequence[str]) -> tuple[str, ...]:
    """Sorted with the numbers in them in order: 2 before 10."""

    def parts(name: str) -> list[str | int]:
        return [int(part) if at % 2 else part for at, part in enumerate(re.split(r"(\d+)", name))]

    return tuple(sorted(sorted(names), key=parts))


def _bare(name: str) -> str:
    return re.sub(r"[\s_-]", "", name.casefold())
