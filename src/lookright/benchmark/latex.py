"""The tables in LaTeX, for `\\input` into a paper that loads booktabs and graphicx."""

import unicodedata
from collections.abc import Iterator, Sequence

from lookright.benchmark.contents import Contents
from lookright.benchmark.sheets import Entry, Head, Row, Sheet, marks_note

_ACTING = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    '"': r"\char34{}",
    "|": r"\textbar{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "`": "{`}",
    "'": "{'}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "-": "{-}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "\N{EN DASH}": "{--}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "“": "``",
    "”": "''",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


def latex(contents: Contents) -> str:
    """The text of a file that any LaTeX compiles, in ASCII."""
    return "\n".join(_lines(contents)) + "\n"


def escaped(text: str) -> str:
    """Text of which nothing acts in LaTeX; what has no command there becomes its code point."""
    return "".join(_character(one) for one in unicodedata.normalize("NFC", " ".join(text.split())))


def _character(one: str) -> str:
    if one in _ACTING:
        return _ACTING[one]
    if one.isascii():
        return one if one.isprintable() else _code_point(one)
    base, *marks = list(unicodedata.normalize("NFD", one))
    if base.isascii() and base.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        letter = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"\\{_ACCENTS[marks[0]]}{{{letter}}}"
    return _code_point(one)


def _code_point(one: str) -> str:
    return f"{{[}}U+{ord(one):04X}{{]}}"


def _lines(contents: Contents) -> Iterator[str]:
    yield f"% {escaped(contents.title)}"
    yield r"% needs \usepackage{booktabs} and \usepackage{graphicx}"
    for line in (*contents.summary, *contents.cautions):
        yield f"% {escaped(line)}"
    for part in contents.parts:
        for sheet in part.sheets:
            yield from _table(
                f"{part.scheme.name}: {contents.named(sheet)}", sheet, contents.cautions
            )
    for sheet in contents.published:
        yield from _table(sheet.title, sheet, ())


def _table(title: str, sheet: Sheet, cautions: Sequence[str]) -> Iterator[str]:
    marks = [marks_note("Bold", "underlined")] if sheet.tested else []
    told = [f"{title}.", *sheet.notes, *cautions, *marks]
    yield ""
    yield r"\begin{table}[htbp]"
    yield r"\centering"
    yield rf"\caption{{{escaped(' '.join(told))}}}"
    yield r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
    yield rf"\begin{{tabular}}{{l{'r' * len(sheet.heads)}}}"
    yield r"\toprule"
    if sheet.groups:
        spans = [rf"\multicolumn{{{n}}}{{c}}{{{escaped(name)}}}" for name, n in sheet.groups]
        yield _row(["", *spans])
        yield "".join(_rules(sheet))
    yield _row([sheet.of, *(_head(head) for head in sheet.heads)])
    yield r"\midrule"
    kind = ""
    for row in sheet.rows:
        if row.kind != kind:
            yield r"\midrule"
            kind = row.kind
        yield _figures(row)
    yield r"\bottomrule"
    yield r"\end{tabular}}"
    yield r"\end{table}"


def _rules(sheet: Sheet) -> Iterator[str]:
    at = 2
    for _, n in sheet.groups:
        yield rf"\cmidrule(lr){{{at}-{at + n - 1}}}"
        at += n


def _row(cells: list[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _head(head: Head) -> str:
    unit = f" ({head.unit})" if head.unit else ""
    return escaped(f"{head.title}{unit} {head.arrow}")


def _figures(row: Row) -> str:
    return _row([escaped(row.name), *(_entry(entry) for entry in row.entries)])


def _entry(entry: Entry) -> str:
    if not entry.value:
        return ""
    value = escaped(entry.value)
    value = {"best": rf"\textbf{{{value}}}", "tied": rf"\underline{{{value}}}", "": value}[
        entry.mark
    ]
    note = f"({entry.note})" if entry.note else ""
    return " ".join(filter(None, (value, escaped(entry.spread), escaped(note))))
