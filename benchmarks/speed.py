"""Every benchmark in one run; the tables of docs/speed.md are written anew."""

from pathlib import Path

import gradcam
import pgd
import step
from timing import machine, options, report

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"
START, END = "<!-- tables -->", "<!-- end of tables -->"


def main() -> None:
    """Measure, print, write the JSON and put the tables into the page."""
    given = options(__file__, __doc__)
    tables = [table for benchmark in (pgd, gradcam, step) for table in benchmark.tables(given)]
    report(tables, given)
    before, _, rest = PAGE.read_text().partition(START)
    after = rest.partition(END)[2]
    parts = [START, f"Machine: {machine(given.device)}.", *(table.markdown() for table in tables)]
    PAGE.write_text(before + "\n\n".join([*parts, END]) + after)


if __name__ == "__main__":
    main()
