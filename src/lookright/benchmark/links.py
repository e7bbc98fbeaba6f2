"""Ways from the tables to the runs behind their figures."""

import os
from pathlib import Path
from urllib.parse import quote


def href(run: Path, folder: Path) -> str:
    """The way from the folder to the page of a run, or to the run where it has none."""
    page = run / "report.html"
    found = page.is_file()
    way = Path(os.path.relpath(page if found else run, folder)).as_posix()
    return quote(way) + "/" * (not found)
