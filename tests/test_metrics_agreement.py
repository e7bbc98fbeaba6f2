"""Quantus and captum on the same images: equal where the definitions agree, and known to differ.

Quantus is of the bench extra, as it brings OpenCV and scikit-image; `quantus.json` has its numbers,
written by benchmarks/agreement.py.
"""

import importlib.util
import json
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
QUANTUS = json.loads((HERE / "quantus.json").read_text())
QUANTUS.pop("quantus")  # its version


@pytest.fixture(scope="module")
def agreement():
    path = HERE.parent / "benchmarks" / "agreement.py"
    spec = importlib.util.spec_from_file_location("agreement", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scene(agreement):
    return agreement.Scene()


@pytest.fixture(scope="module")
def ours(agreement, scene):
    return agreement.ours(scene)


def test_every_score_has_its_counterpart(ours):
    assert ours.keys() == QUANTUS.keys()
    assert len(ours) == 18


@pytest.mark.parametrize("measure", QUANTUS)
def test_quantus_gives_the_same(ours, measure):
    theirs = torch.tensor(QUANTUS[measure], dtype=torch.float64)
    assert len(theirs.unique()) > 1
    torch.testing.assert_close(ours[measure].double(), theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_captum_gives_the_same(agreement, scene):
    rows = list(agreement.captum_rows(scene))
    assert [row.measure for row in rows] == 4 * ["infidelity"] + ["max_sensitivity"]
    for row in rows:
        torch.testing.assert_close(row.ours, row.theirs, rtol=1e-4, atol=0, msg=row.how)


@pytest.mark.filterwarnings("ignore")
def test_the_numbers_kept_are_quantuss_and_what_is_said_to_differ_does(agreement, scene):
    pytest.importorskip("quantus", reason="Quantus is of the bench extra, not of the tests")
    *same, alone = agreement.quantus_rows(scene)
    for row in same:
        kept = torch.tensor(QUANTUS[row.measure], dtype=torch.float64)
        torch.testing.assert_close(row.theirs.double(), kept, rtol=1e-5, atol=1e-7, msg=row.measure)
    assert not alone.same
    assert alone.gap > 1e-2
