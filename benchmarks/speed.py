"""Every benchmark in one run; the tables of docs/speed.md and docs/methods.md are written anew."""

from pathlib import Path

import cost
import gradcam
import pgd
import step
from timing import machine, options, report, write

PAGE = Path(__file__).parent.parent / "docs" / "speed.md"


def main() -> None:
    """Measure, print, write the JSON and put the tables into the pages."""
    given = options(__file__, __doc__)
    tables = [table for benchmark in (pgd, gradcam, step) for table in benchmark.tables(given)]
    costs = cost.tables(given)
    report([*tables, *costs], given)
    where = f"Machine: {machine(given.device)}."
    write(PAGE, [where, *(table.markdown() for table in tables)])
    write(cost.PAGE, [table.markdown() for table in costs])


if __name__ == "__main__":
    main()
