"""A table of what was found in the data, for a user to read before anything is trained or
judged."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from lookright.data.dataset import ImageData, SplitName
from lookright.data.seen import Seen
from lookright.errors import UserError

_PARTS: tuple[SplitName, ...] = ("train", "validation", "test")


def training_table(data: ImageData, trained: Sequence[str]) -> Table:
    """Each domain, with its images in each part if it is trained on."""
    table = _table(data, ("train", "validation", "test"))
    for domain in data.domains:
        if domain in trained:
            counts = Counter(data.parts(domain))
            parts = [str(counts[part]) for part in _PARTS]
            table.add_row(Text(domain), "trained on", str(len(data.labels(domain))), *parts)
        else:
            table.add_row(Text(domain), "", str(len(data.labels(domain))))
    return table


def judged_table(data: ImageData, judged: Mapping[str, int], seen: Seen) -> Table:
    """Each domain, with the number of its images on which a model is judged.

    seen: the images of its training; where these are not known, no domain is called unseen.
    """
    table = _table(data, ("judged",))
    for domain, count in judged.items():
        other = "unseen" if seen.home else ""
        said = "in distribution" if seen.in_distribution(data, domain) else other
        table.add_row(Text(domain), said, str(len(data.labels(domain))), str(count))
    return table


def require_classes(data: ImageData, trained: Sequence[str]) -> None:
    """Raise UserError for a class without an image in the train part of these domains."""
    found: dict[SplitName, set[int]] = {part: set() for part in _PARTS}
    for domain in trained:
        for part, label in zip(data.parts(domain), data.labels(domain), strict=False):
            found[part].add(label)
    lacking = [name for at, name in enumerate(data.classes) if at not in found["train"]]
    if lacking:
        raise UserError(
            f"Expected images of every class in the train part of {', '.join(trained)}; there is "
            f"none of {', '.join(lacking)}: add images, leave the class out, or train without them "
            "by --incomplete."
        )


def _table(data: ImageData, columns: Sequence[str]) -> Table:
    """Without rows; what was left out is its caption."""
    names = ", ".join(data.classes[:8]) + (", ..." if len(data.classes) > 8 else "")
    left = "".join(f"\nLeft out: {line}" for line in data.passed_over)
    table = Table(
        title=Text(f"{data.name}: {len(data.classes)} classes ({names})"),
        caption=Text(left.strip()) if left else None,
        box=box.SIMPLE_HEAD,
        show_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Domain")
    table.add_column("")
    for name in ("images", *columns):
        table.add_column(name, justify="right")
    return table
