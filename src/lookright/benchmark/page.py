"""The page of a benchmark: heat maps, ranks, tables and tests in one offline HTML file."""

from functools import partial
from pathlib import Path

from lookright.benchmark.columns import columns
from lookright.benchmark.contents import Contents
from lookright.benchmark.diagram import WIDTH, diagram
from lookright.benchmark.forest import forest
from lookright.benchmark.heat_maps import heat_maps
from lookright.benchmark.links import href
from lookright.benchmark.sheets import marks_note
from lookright.report.page import page_environment
from lookright.visible import visible


def page(contents: Contents, folder: Path) -> str:
    """The text of a file in that folder, from which the links lead."""
    environment = page_environment()
    environment.filters["href"] = partial(href, folder=folder)
    shown = [
        {
            "part": part,
            "heat": list(heat_maps(part.scheme)),
            "forests": [forest(one, part.scheme.methods) for one in part.compared],
            "diagrams": [diagram(ranking) for ranking in part.rankings],
        }
        for part in contents.parts
    ]
    measures = {
        column.measure.key: column.measure
        for part in contents.parts
        for column in columns(part.scheme.measures)
    }
    text = environment.get_template("benchmark.html.j2").render(
        contents=contents,
        shown=shown,
        measures=list(measures.values()),
        marks_note=marks_note("A filled dot", "an empty dot"),
        width=WIDTH,
    )
    return visible(text)
