"""`lookright report`: one page out of results that are there."""

from pathlib import Path

from rich.console import Console

from lookright.report import difference_table, method_table, read_result, write_page


def report(results: list[Path], page: Path = Path("report.html")) -> None:
    """Write one page, and print the table, out of results that are there.

    Args:
        results: folders of results, or of runs that were evaluated.
        page: where the page goes.
    """
    folders = [folder / "result" if (folder / "result").is_dir() else folder for folder in results]
    found = [read_result(folder) for folder in folders]
    Console().print(method_table(found))
    if differences := difference_table(found):
        Console().print(differences)
    print(f"The page: {write_page(folders, page)}")
