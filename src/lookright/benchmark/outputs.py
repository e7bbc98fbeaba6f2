"""The files of a benchmark: what it has given so far."""

from pathlib import Path

from lookright.benchmark.run import Judged
from lookright.report import write_page


def write(judged: Judged, output: Path, title: str) -> Path | None:
    """Write the tables and the page of what is finished; gives the page, None without results."""
    by_cell: dict[tuple[str, ...], list[Path]] = {}
    for _, result in judged:
        by_cell.setdefault(result.train_domain, []).append(result.folder)
    for cell, folders in by_cell.items():
        page = write_page(folders, output / f"{'-'.join(cell)}.html")
    return page if by_cell else None
