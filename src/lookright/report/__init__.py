"""Figures, tables and the page out of results."""

from lookright.report.page import write_page
from lookright.report.pictures import explanation_figure
from lookright.report.table import method_table
from lookright.result import Examples, Result, read_examples, read_result

__all__ = [
    "Examples",
    "Result",
    "explanation_figure",
    "method_table",
    "read_examples",
    "read_result",
    "write_page",
]
