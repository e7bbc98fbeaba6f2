"""`lookright report`: one page from existing results."""

import warnings
from pathlib import Path

from lookright.console import say, show
from lookright.errors import some
from lookright.evaluation import Stage
from lookright.evaluation.places import results_in
from lookright.registry import member
from lookright.report import difference_table, method_table, read_result, write_page
from lookright.spec import ClassPath


def report(
    results: list[Path], page: Path = Path("report.html"), stages: list[ClassPath] | None = None
) -> None:
    """Write one page, and print the table, from existing results.

    Args:
        results: folders of results, or of runs that were evaluated; where a run has several
            results, the newest is taken. Other files beside them, as in benchmark/*, are passed
            over.
        page: where the page goes.
        stages: your own stages whose sections the page should show, as package.module.Name,...;
            they are imported.
    """
    for stage in stages or ():
        member(stage, Stage)
    named = [each.parent if each.name == "result.json" else each for each in results]
    homes = [each for each in named if not each.is_file()]
    if homes and len(homes) < len(named):
        files = some([str(each) for each in named if each.is_file()])
        warnings.warn(f"Passed over, as they are no results: {files}.", stacklevel=2)
    folders = [_newest(folder) for folder in homes or named]
    found = [read_result(folder) for folder in folders]
    show(method_table(found))
    if differences := difference_table(found):
        show(differences)
    say(f"The page: {write_page(folders, page)}")


def _newest(folder: Path) -> Path:
    """The result to show from a folder that may hold several."""
    newest, *others = results_in(folder)
    if others:
        names = ", ".join(str(other) for other in others)
        warnings.warn(
            f"{folder} holds {len(others) + 1} results, and the newest is shown, {newest}; name "
            f"another to show it instead: {names}.",
            stacklevel=2,
        )
    return newest
