"""Benchmarks: methods by training domains and seeds, and their tables."""

from lookright.benchmark.published import Published, published_for
from lookright.benchmark.terminal import terminal_table
from lookright.benchmark.write import write_tables

__all__ = ["Published", "published_for", "terminal_table", "write_tables"]
