"""`lookright benchmark`: the table of a protocol over domains, from one file, resumable."""

from functools import partial
from pathlib import Path
from shlex import quote

from lookright.benchmark import read_benchmark, terminal_table
from lookright.benchmark.check import check
from lookright.benchmark.estimate import plan_table, planned
from lookright.benchmark.hypotheses import write_down
from lookright.benchmark.live import Display
from lookright.benchmark.run import Standing, run
from lookright.benchmark.selection import expected, rows
from lookright.console import say, show
from lookright.drawing import count
from lookright.errors import UserError
from lookright.files import require_writable
from lookright.jobs.launchers import computing_with
from lookright.options import command_line


def benchmark(
    file: Path,
    data: Path | None = None,
    weights: Path | None = None,
    output: Path | None = None,
    workers: int | None = None,
    ray: str | None = None,
    seeds: int | None = None,
    dry_run: bool = False,
    trust_config: bool = False,
) -> None:
    """Train and evaluate methods on domains as a file says, and write the table.

    If it is stopped, start it again: it continues where it was. The files are in examples/;
    docs/benchmark.md describes them.

    Args:
        file: YAML file that says what is compared on which data.
        data: folder of the data set, in place of the one that the file names.
        weights: file of weights that the model begins with, in place of the one in the file.
        output: folder of the runs, the table and the page; by default runs/<name of the file>.
        workers: jobs at the same time, each in a process of its own; 1 is this process.
        ray: address of a Ray cluster that does the jobs.
        seeds: how many times everything is trained, with seeds 0, 1, ...
        dry_run: list the jobs, how far each is, and an estimate of the time, and do nothing.
        trust_config: let the file name code of your own, as package.module.Name.
    """
    written = read_benchmark(file, trust_config)
    asked = written.located(file.parent, data, weights, seeds)
    output = output or Path("runs") / file.stem
    images = asked.load()
    words = f"lookright benchmark {quote(file.name)}"
    grid = asked.grid(images, command_line(words, data=data, weights=weights, seeds=seeds))
    wanted = rows(asked, grid)
    check(asked, wanted, images, output)
    launcher = asked.launch.launcher(workers, ray)
    if dry_run:
        with computing_with(launcher.threads):
            return show(plan_table(planned(wanted, output), launcher.slots))
    require_writable(output)
    now = partial(expected, asked, grid, written.all_seeds)
    recorded = write_down(output, [found for one in asked.hypotheses if (found := now(one))], now)
    display, failures = Display(asked, recorded), []
    standing = Standing(wanted, output, display.changed)
    try:
        with display.shown() as bar:
            failures = run(standing, launcher, bar, asked.title)
    finally:
        page = display.finish(standing, failures)
    if page:
        show(terminal_table(standing.judged, asked.label))
        for each in display.findings:
            say(each)
        say(f"The tables, and the page: {page}")
    for failure in failures:
        say(f"{failure.job.title} failed: {failure.error}")
    if failures:
        raise UserError(
            f"{count(len(failures), 'job')} failed, as said above, and what needs them is missing; "
            "the others are done. The same command tries these again."
        )
