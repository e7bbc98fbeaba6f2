"""Writes the tables of a benchmark: Markdown, LaTeX, comma-separated values and a page."""

from collections.abc import Sequence
from pathlib import Path

from lookright.benchmark.contents import Contents, contents
from lookright.benchmark.csv_table import csv_table
from lookright.benchmark.hypotheses import Recorded
from lookright.benchmark.latex import latex
from lookright.benchmark.markdown import markdown
from lookright.benchmark.page import page
from lookright.benchmark.published import Published
from lookright.evaluation.result import Result
from lookright.files import as_path, together
from lookright.locks import locked
from lookright.training import Run

PAGE = "report.html"


def write_tables(
    judged: Sequence[tuple[Run, Result]],
    folder: Path | str,
    title: str,
    published: Sequence[Published] = (),
    labelled: str = "",
    missing: Sequence[str] = (),
    against: str = "",
    hypotheses: Sequence[Recorded] = (),
) -> Path:
    """Write table.md, table.tex, table.csv and report.html, all of them or none; gives the page.

    Args:
        judged: each run with its result; of one method and training domains, one for each seed.
        folder: where the files go; links lead from there to the runs.
        published: figures of papers to show beside one's own, such as `published_for("VLCS")`.
        labelled: what must be said with every figure, such as "oracle selection".
        missing: a line for each job that gave no result.
        against: the method from which the differences of the others are shown, with tests.
        hypotheses: what was expected, as `write_down` has recorded it; each is tested by itself.

    Raises:
        UserError: no results; two of one method, training domains and seed; damaged files; no place
            to write.
    """
    found = contents(judged, title, published, labelled, missing, against, hypotheses)
    return write_contents(found, as_path(folder))


def write_contents(found: Contents, folder: Path) -> Path:
    """The files of `write_tables`; gives the page."""
    texts = {
        "table.md": markdown(found, folder),
        "table.tex": latex(found),
        "table.csv": csv_table([part.scheme for part in found.parts], found.labelled),
        PAGE: page(found, folder),
    }
    with locked(folder), together(folder) as staged:
        for name, text in texts.items():
            (staged / name).write_text(text, encoding="utf-8", newline="")
    return folder / PAGE
