"""Benchmarks: tables over methods, domains and seeds, from one file, and what they cost."""

from lookright.benchmark.plan import Benchmark, Contender, Source
from lookright.benchmark.read import read_benchmark
from lookright.benchmark.search import Listed, Range

__all__ = ["Benchmark", "Contender", "Listed", "Range", "Source", "read_benchmark"]
