"""Benchmarks: methods by training domains and seeds, from one file, in tables; what they cost."""

from lookright.benchmark.hypotheses import Expected, Hypothesis, Recorded, write_down
from lookright.benchmark.images import Images
from lookright.benchmark.plan import Benchmark, Contender
from lookright.benchmark.published import Published, published_for
from lookright.benchmark.read import read_benchmark
from lookright.benchmark.search import Listed, Range
from lookright.benchmark.terminal import terminal_table
from lookright.benchmark.write import write_tables

__all__ = [
    "Benchmark",
    "Contender",
    "Expected",
    "Hypothesis",
    "Images",
    "Listed",
    "Published",
    "Range",
    "Recorded",
    "published_for",
    "read_benchmark",
    "terminal_table",
    "write_down",
    "write_tables",
]
