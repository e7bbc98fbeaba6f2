"""Makes figures, tables and the page from results."""

from lookright.evaluation.result import Examples, Result, read_examples, read_result
from lookright.report.page import write_page
from lookright.report.pictures import explanation_figure
from lookright.report.table import difference_table, method_table

__all__ = [
    "Examples",
    "Result",
    "difference_table",
    "explanation_figure",
    "method_table",
    "read_examples",
    "read_result",
    "write_page",
]
