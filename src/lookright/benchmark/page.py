"""The page of a benchmark: heat maps, ranks, tables and tests in one offline HTML file."""

from functools import partial
from pathlib import Path

from lookright.benchmark.book import Book
from lookright.benchmark.columns import columns
from lookright.benchmark.diagram import WIDTH, diagram
from lookright.benchmark.heat import heat_maps
from lookright.benchmark.links import href
from lookright.benchmark.sheets import marks_note
from lookright.report.page import page_environment
from lookright.visible import visible


def page(book: Book, folder: Path) -> str:
    """The text of a file in that folder, from which the links lead."""
    environment = page_environment()
    environment.filters["href"] = partial(href, folder=folder)
    shown = [
        {
            "part": part,
            "heat": list(heat_maps(part.scheme)),
            "diagrams": [diagram(ranking) for ranking in part.rankings],
        }
        for part in book.parts
    ]
    measures = {
        column.measure.key: column.measure
        for part in book.parts
        for column in columns(part.scheme.measures)
    }
    text = environment.get_template("benchmark.html.j2").render(
        book=book,
        shown=shown,
        measures=list(measures.values()),
        marks_note=marks_note("A filled dot", "an empty dot"),
        width=WIDTH,
    )
    return visible(text)
