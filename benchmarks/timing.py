"""Time contenders side by side in one run, so that their ratios mean something."""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

Contenders = Mapping[str, Callable[[], object]]


@dataclass(frozen=True)
class Spread:
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return Spread(median, low, high)


@dataclass(frozen=True)
class Timing:
    """One contender: wall and processor time in ms, and its ratio to the first one."""

    name: str
    wall: Spread
    cpu: Spread
    ratio: Spread
    cpu_ratio: Spread


@dataclass(frozen=True)
class Table:
    """The timings of one comparison; `notes` say whether the results were equal."""

    title: str
    rounds: int
    timings: list[Timing]
    notes: list[str]

    def markdown(self) -> str:
        """The table as the documents show it; a ratio above 1 is slower than the first row."""
        first = self.timings[0].name
        lines = [
            f"### {self.title}",
            "",
            f"| | wall, ms | processor, ms | wall / {first} | processor / {first} |",
            "|---|---|---|---|---|",
        ]
        for row in self.timings:
            cells = (
                f"{row.wall.median:.1f} ({row.wall.low:.1f} to {row.wall.high:.1f})",
                f"{row.cpu.median:.1f}",
                f"{row.ratio.median:.2f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})",
                f"{row.cpu_ratio.median:.2f}",
            )
            lines.append(f"| {row.name} | {' | '.join(cells)} |")
        spread = f"Median of {self.rounds} interleaved rounds (first to third quartile)."
        return "\n".join([*lines, "", " ".join([spread, *self.notes])])


def compare(
    title: str,
    contenders: Contenders,
    rounds: int,
    device: torch.device,
    notes: Sequence[str] = (),
) -> Table:
    """Every contender's time, and its ratio to the first one's within a round."""
    wall, cpu = measure(contenders, rounds, device)
    first = next(iter(contenders))
    timings = [
        Timing(
            name,
            Spread.of(wall[name]),
            Spread.of(cpu[name]),
            ratio(wall[name], wall[first]),
            ratio(cpu[name], cpu[first]),
        )
        for name in contenders
    ]
    return Table(title, rounds, timings, list(notes))


def measure(
    contenders: Contenders, rounds: int, device: torch.device
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Run every contender once per round, in rotating order: wall and processor times in ms."""
    names = list(contenders)
    for name in names:
        contenders[name]()
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            _wait(device)
            start, start_cpu = time.perf_counter(), time.process_time()
            contenders[name]()
            _wait(device)
            wall[name].append(1e3 * (time.perf_counter() - start))
            cpu[name].append(1e3 * (time.process_time() - start_cpu))
    return wall, cpu


def ratio(values: Sequence[float], first: Sequence[float]) -> Spread:
    """The ratios within each round."""
    return Spread.of([value / base for value, base in zip(values, first, strict=True)])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Options:
    """The command-line options of every benchmark."""

    device: torch.device
    rounds: int
    out: Path


def options(benchmark: str, description: str | None, rounds: int = 15) -> Options:
    """Read the command line of one benchmark."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=rounds, help="interleaved repeats")
    parser.add_argument(
        "--out", type=Path, default=Path(benchmark).with_suffix(".json"), help="the JSON written"
    )
    given = parser.parse_args()
    return Options(torch.device(given.device), given.rounds, given.out)


def machine(device: torch.device) -> str:
    """The machine and the versions, in one line."""
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        where = f"{os.cpu_count()}-core {platform.machine()} CPU, {torch.get_num_threads()} threads"
    return f"{where}, torch {torch.__version__}, Python {platform.python_version()}"


def report(tables: Sequence[Table], given: Options) -> None:
    """Print the tables and write them as JSON."""
    print(f"{machine(given.device)}\n")
    for table in tables:
        print(table.markdown(), end="\n\n")
    result = {"machine": machine(given.device), "tables": [asdict(table) for table in tables]}
    given.out.write_text(json.dumps(result, indent=1))


def write(page: Path, parts: Sequence[str]) -> None:
    """Put the parts where the page's tables are."""
    before, start, rest = page.read_text().partition("<!-- tables -->")
    _, end, after = rest.partition("<!-- end of tables -->")
    page.write_text(before + "\n\n".join([start, *parts, end]) + after)
