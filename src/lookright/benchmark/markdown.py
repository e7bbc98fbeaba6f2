"""The tables in Markdown, as GitHub reads it; every figure links to its runs."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

from lookright.benchmark.comparisons import Tested
from lookright.benchmark.contents import Contents
from lookright.benchmark.links import href
from lookright.benchmark.parts import Part
from lookright.benchmark.sheets import Entry, Head, Links, Sheet, marks_note
from lookright.drawing import count, p_value
from lookright.visible import visible

_FEW = 15
_ACTING = re.compile(r"([\\`*_{}\[\]#|~$@])")


def markdown(contents: Contents, folder: Path) -> str:
    """The text of a file in that folder, from which the links lead."""
    return visible("\n".join(_lines(contents, folder)) + "\n")


def escaped(text: str) -> str:
    """Text of which nothing acts in Markdown, on one line."""
    return _ACTING.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _lines(contents: Contents, folder: Path) -> Iterator[str]:
    yield f"# {escaped(contents.title)}"
    yield ""
    if contents.labelled:
        yield f"**{escaped(contents.labelled)}**"
        yield ""
    yield escaped(" ".join(contents.summary))
    yield ""
    for caution in contents.cautions:
        yield f"> {escaped(caution)}"
        yield ">"
    yield ""
    for method, about in contents.about:
        yield f"- {escaped(method)}: {escaped(about)}"
    yield ""
    yield escaped(marks_note("Bold", "Italic"))
    yield ""
    for part in contents.parts:
        yield f"## {escaped(part.scheme.name)}"
        yield ""
        for sheet in part.sheets:
            yield from _table(contents.named(sheet), sheet, folder)
        yield from _tests(part)
    if contents.published:
        yield "## Published figures"
        yield ""
        for sheet in contents.published:
            yield from _table(sheet.title, sheet, folder)


def _table(title: str, sheet: Sheet, folder: Path) -> Iterator[str]:
    yield f"### {escaped(title)}"
    yield ""
    yield _row([sheet.of, *(_head(head) for head in sheet.heads)])
    yield _row(["---", *("---:" for _ in sheet.heads)])
    for row in sheet.rows:
        yield _row([escaped(row.name), *(_entry(entry, folder) for entry in row.entries)])
    yield ""
    for note in sheet.notes:
        yield escaped(note)
        yield ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(head: Head) -> str:
    unit = f" ({head.unit})" if head.unit else ""
    group = f"{escaped(head.group)}: " if head.group else ""
    return f"{group}{escaped(head.title + unit)} {head.arrow}".strip()


def _entry(entry: Entry, folder: Path) -> str:
    if not entry.value:
        return ""
    sign = {"best": "**", "tied": "*", "": ""}[entry.mark]
    note = f"({entry.note})" if entry.note else ""
    parts = (f"{sign}{escaped(entry.value)}{sign}", entry.spread, note, _runs(entry.links, folder))
    return " ".join(filter(None, parts))


def _runs(links: Links, folder: Path) -> str:
    found = [f"[{escaped(name)}]({href(run, folder)})" for name, run in links]
    return f"<sub>{' '.join(found)}</sub>" if found else ""


def _tests(part: Part) -> Iterator[str]:
    if part.tested:
        yield "### Paired tests of the averages"
        yield ""
    for one in part.tested:
        yield from _of_column(one)


def _of_column(one: Tested) -> Iterator[str]:
    shown = one.comparisons if len(one.comparisons) <= _FEW else tuple(one.apart)
    told = f"{len(one.apart)} of {count(len(one.comparisons), 'pair')} told apart"
    yield f"**{escaped(one.title)}**: {told}"
    yield ""
    if not shown:
        return
    yield _row(
        [
            "First",
            "Second",
            "Difference",
            "95% interval",
            "p (Holm)",
            "Seeds",
            "Images",
            "The first is",
        ]
    )
    yield _row(["---", "---", "---:", "---:", "---:", "---:", "---:", "---"])
    for each in shown:
        found = each.difference
        yield _row(
            [
                escaped(each.first),
                escaped(each.second),
                one.signed(found.value),
                one.interval(found),
                escaped(p_value(each.p)),
                str(found.seeds),
                str(found.n),
                f"{each.verdict} the second",
            ]
        )
    yield ""
