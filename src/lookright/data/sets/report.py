"""What a comparison with the published set shows: a table, the mistakes, and what to know."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from lookright.data.sets.check import Contents, Found
from lookright.errors import printable

_FEW = 12
"""Classes that all have a row in the table; of more, only those that differ."""


def counts_table(found: Found) -> Table:
    """The images of each class in each domain, and the published number where it is another."""
    version, counts, domains = found.version, found.counts, found.domains
    table = Table(
        title=Text(f"{found.published.title} in {printable(str(found.root))}"),
        caption=Text(f"Published (found/published): {version.total:,}, {version.source}"),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Class", no_wrap=True)
    for domain in (*found.published.domains, "all"):
        table.add_column(domain, justify="right", no_wrap=True)
    inner = [version.classes.get(domain, {}) for domain in found.published.domains]
    differing = {label for _, label in found.differences(version)}
    few = len(found.published.classes) <= _FEW
    for label in found.published.classes:
        if few or label in differing:
            seen = [counts[domain, label] for domain in found.published.domains]
            _add(table, label, seen, [of.get(label) for of in inner])
    seen = [domains[domain] for domain in found.published.domains]
    _add(table, "all", seen, [version.domains.get(domain) for domain in found.published.domains])
    return table


def mistakes(found: Found, contents: Contents, listed: int) -> list[str]:
    """In what the folder is not the published set, a line for each kind."""
    published, version, counts = found.published, found.version, found.counts
    absent = [domain for domain in published.domains if not found.domains[domain]]
    lacking = [
        f"{label} in {domain}"
        for domain in published.domains
        if domain not in absent
        for label in published.classes
        if not counts[domain, label]
        and (domain not in version.classes or version.classes[domain].get(label))
    ]
    wrong = [
        f"{found.domains[domain]:,} images in {domain}, published {version.domains[domain]:,}"
        for domain, label in found.differences(version)
        if not label and domain not in absent
    ]
    inner = [where for where in found.differences(version) if where[1] and where[0] not in absent]
    if inner and not wrong:
        wrong = [
            f"{counts[domain, label]:,} of {label} in {domain}, published "
            f"{version.classes[domain][label]:,}"
            for domain, label in inner
        ]
    several = [" and ".join(map(printable, of)) for of in found.names.values() if len(of) > 1]
    extra = [f"{printable(folder)} ({count:,} images)" for folder, count in found.extra.items()]
    unreadable = [f"{printable(name)}: {why}" for name, why in contents.unreadable.items()]
    return [
        *_line("Missing domains", absent, listed),
        *_line("Missing classes", lacking, listed),
        *_line("Other counts", wrong, listed),
        *_line("Several names for one domain or class", several, listed),
        *_line("Folders that are no domain or class of the set", extra, listed),
        *_line("Files that are no readable image", unreadable, listed),
        *_line("The same file in several domains, a leak", _groups(contents.across), listed),
    ]


def remarks(found: Found, contents: Contents, listed: int) -> list[str]:
    """What a user should know, though the folder may be the published set."""
    spelled = [
        f"{printable(name)} is {own}"
        for own, names in found.names.items()
        for name in names
        if name != own
    ]
    others = [each for each in found.published.versions if each is not found.version]
    elsewhere = [f"{found.elsewhere:,} in other folders"] if found.elsewhere else []
    return [
        *_line("Other names", spelled, listed),
        *_line("The same file more than once in a domain", _groups(contents.within), listed),
        *_line("Also published", [f"{each.total:,}, {each.source}" for each in others], listed),
        *_line("Not looked at", [*elsewhere, *found.passed_over], listed),
    ]


def _line(what: str, each: Sequence[str], listed: int) -> list[str]:
    if not each:
        return []
    shown = each if listed <= 0 else each[:listed]
    more = f"; and {len(each) - len(shown):,} more" if len(shown) < len(each) else ""
    return [f"{what} ({len(each):,}): {'; '.join(shown)}{more}"]


def _groups(alike: Sequence[Sequence[str]]) -> list[str]:
    return [" = ".join(map(printable, group)) for group in alike]


def _add(table: Table, name: str, counts: Sequence[int], expected: Sequence[int | None]) -> None:
    """A row; numbers that are not the published ones stand out."""
    cells = []
    for count, wanted in zip(counts, expected, strict=True):
        wrong = wanted is not None and wanted != count
        cells.append(Text(f"{count:,}/{wanted:,}" if wrong else f"{count:,}", "bold red" * wrong))
    table.add_row(name, *cells, f"{sum(counts):,}")
