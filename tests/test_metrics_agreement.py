"""Quantus and captum on the same images: equal where the definitions agree, and known to differ."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("quantus", reason="Quantus is of the bench extra, not of the tests")
PATH = Path(__file__).parent.parent / "benchmarks" / "agreement.py"


@pytest.fixture(scope="module")
def rows():
    spec = importlib.util.spec_from_file_location("agreement", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rows()


@pytest.mark.filterwarnings("ignore")
def test_equal_where_the_definitions_agree(rows):
    assert {row.measure: row.gap for row in rows if row.same and row.gap > 1e-4} == {}
    assert len({row.measure for row in rows if row.same}) == 18


@pytest.mark.filterwarnings("ignore")
def test_what_is_said_to_differ_does(rows):
    assert [row.other for row in rows if not row.same and row.gap > 1e-2] == ["Quantus Infidelity"]
