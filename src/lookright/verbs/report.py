"""`lookright report`: one page out of results that are there."""

from pathlib import Path

from rich.console import Console

from lookright.report import method_table, read_result, write_page


def report(results: list[Path], page: Path = Path("report.html")) -> None:
    """Write one page, and print the table, out of results that are there.

    Args:
        results: folders of results, or of runs that were evaluated.
        page: where the page goes.
    """
    folders = [folder / "result" if (folder / "result").is_dir() else folder for folder in results]
    Console().print(method_table([read_result(folder) for folder in folders]))
    print(f"The page: {write_page(folders, page)}")
