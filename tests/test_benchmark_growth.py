"""The projection of a full benchmark, against figures worked out by hand."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from lookright.benchmark.passes import Passes


@pytest.fixture(scope="module")
def projection():
    folder = str(Path(__file__).parent.parent / "benchmarks")
    sys.path.insert(0, folder)
    yield import_module("projection")
    sys.path.remove(folder)


PASSES = {
    "ERM": Passes(1, 1, 3.0),
    "IRM": Passes(1, 1, 3.0),
    "evaluated image": Passes(100, 100, 200.0),
}


@pytest.fixture
def assumed(projection):
    """A second for 1000 forward passes, and an image that is decoded in no time."""
    return projection.Assumed(
        macs=1.0, peak=2000.0, utilisation=1.0, steps=100, per_domain=10, seeds=2, decoded=1e12
    )


@pytest.fixture
def one_set(projection, monkeypatch):
    monkeypatch.setattr(projection, "DATA", (projection.DataSet("Two", (100, 300)),))


def test_jobs_and_hours_are_those_worked_out_by_hand(projection, assumed, one_set):
    single, left_out = projection.project(PASSES, assumed)
    training = 100 * 10 * 3.0 / 1000  # steps x images x work, in each protocol of two domains
    evaluated = {100: (400 - 85) * 0.2, 300: (400 - 255) * 0.2}  # by the images trained on
    total = sum(2 * (training + each) for each in evaluated.values())
    assert single.jobs == 2 * 2  # IRM compares domains
    assert left_out.jobs == 2 * 2 * 2
    assert single.hours[1] == pytest.approx(total / 3600)
    assert left_out.hours[1] == pytest.approx(2 * total / 3600)
    assert single.longest == pytest.approx((training + evaluated[100]) / 3600)
    assert single.hours[64] == pytest.approx(single.longest)
    assert single.waiting == pytest.approx(0, abs=1e-6)


def test_images_that_do_not_fit_in_memory_are_decoded_at_each_use(projection, one_set):
    options = {"macs": 1.0, "peak": 2000.0, "utilisation": 1.0, "steps": 100, "per_domain": 10}
    options |= {"seeds": 1, "decoded": 20.0}
    (once, _), (often, _) = (
        projection.project(PASSES, projection.Assumed(kept=kept, **options)) for kept in (1e12, 0)
    )
    work = sum(3 + (400 - 0.85 * images) * 0.2 for images in (100, 300))
    assert once.hours[1] == pytest.approx((work + (100 + 300) / 20) / 3600)
    assert often.hours[1] == pytest.approx((work + 2 * (1000 / 20 - 3)) / 3600)
    assert often.waiting == pytest.approx(2 * 47 / (work + 2 * 47))


def test_many_gpus_take_as_long_as_the_longest_job_or_their_share(projection):
    assert projection.makespan([3, 3, 3, 3], 1) == 12
    assert projection.makespan([3, 3, 3, 3], 2) == 6
    assert projection.makespan([5, 1, 1, 1], 64) == 5
    assert projection.makespan([4, 3, 3, 2, 2], 2) == 8  # the best possible is 7


def test_the_table_names_the_data_sets(projection, assumed):
    table = projection.projection_table(projection.project(PASSES, assumed))
    for name in ("VLCS, single source", "Terra Incognita, leave one out"):
        assert name in table
