"""Hypotheses: recorded once, tested by themselves, and told as what they are."""

import json
from dataclasses import replace

import pytest

import benchmark_fixtures as fake
from lookright.benchmark import Hypothesis, write_down, write_tables
from lookright.benchmark.columns import INSIDE, OUTSIDE, Column
from lookright.benchmark.comparisons import ImageValues, of_column
from lookright.benchmark.findings import findings, sheet
from lookright.benchmark.hypotheses import RECORD, Recorded, renamed
from lookright.benchmark.scheme import schemes
from lookright.drawing import p_value
from lookright.errors import UserError
from lookright.metrics.classification import ACCURACY
from lookright.statistics.pairwise import holm

TWO = ("art", "photo")
EGAT = Hypothesis("EGAT", "AT", "accuracy", OUTSIDE)
WRONG = Hypothesis("AT", "EGAT", "accuracy", OUTSIDE)
LEVEL = Hypothesis("ALIGN", "ERM", "accuracy", INSIDE)


def recorded(hypothesis, seeds=(0, 1, 2), evaluations=0, **others):
    return Recorded(hypothesis, "2026-11-30", evaluations, tuple(seeds), **others)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    root = tmp_path_factory.mktemp("judged")
    return fake.grid(root, trains=fake.single_source(TWO), domains=TWO)


@pytest.fixture(scope="module")
def values(judged):
    (scheme,) = schemes(judged)
    return ImageValues(scheme)


def of_two(judged, first, second, measure, where):
    """The comparison that the tables make of two methods."""
    (scheme,) = schemes([each for each in judged if each[1].name in (first, second)])
    (one,) = of_column(ImageValues(scheme), Column("", "", measure, where))
    return one if one.first == first else one.turned


def test_a_hypothesis_is_tested_as_its_pair_and_corrected_for_the_hypotheses_alone(judged, values):
    found = findings(values, [recorded(each) for each in (EGAT, WRONG, LEVEL)])
    alone = [
        of_two(judged, "EGAT", "AT", ACCURACY, OUTSIDE),
        of_two(judged, "AT", "EGAT", ACCURACY, OUTSIDE),
        of_two(judged, "ALIGN", "ERM", ACCURACY, INSIDE),
    ]
    ones = [each.tested.comparisons[0] for each in found]
    assert [one.difference for one in ones] == [one.difference for one in alone]
    raw = [one.difference.p for one in ones]
    assert [one.p for one in ones] == pytest.approx(holm(raw))
    assert ones[0].p > raw[0] > 0
    assert [each.verdict for each in found] == ["shown", "the opposite is shown", "not shown"]


def test_one_that_no_image_can_tell_costs_the_others_as_much(values):
    absent = replace(EGAT, measure="localisation_iou")
    alone, (one, other) = (
        findings(values, [recorded(EGAT)])[0],
        findings(values, [recorded(EGAT), recorded(absent)]),
    )
    assert other.tested is None
    assert other.verdict == "not measured"
    assert other.line == "EGAT better than AT: localisation_iou, out of distribution: not measured."
    p = alone.tested.comparisons[0].p
    assert one.tested.comparisons[0].p == pytest.approx(2 * p)


def test_nothing_is_found_before_every_seed_of_the_record_is_there(values):
    (found,) = findings(values, [recorded(EGAT, (0, 1, 2, 3, 7))])
    assert found.verdict == "3 of 5 seeds so far"
    assert "3 of 5 seeds so far" in found.line
    assert sheet([found]).rows[0].entries[-2].mark == ""


def test_two_seeds_find_nothing(tmp_path):
    judged = fake.grid(tmp_path, trains=[("art",)], domains=TWO, seeds=(0, 1))
    (scheme,) = schemes(judged)
    (found,) = findings(ImageValues(scheme), [recorded(EGAT, (0, 1))])
    assert found.verdict == "fewer than 3 seeds"


def test_seeds_that_were_not_written_down_are_told(values):
    (found,) = findings(values, [recorded(EGAT, (0, 1))])
    (note,) = (note for note in sheet([found]).notes if "make p too small" in note)
    assert "tested too, 1 seed (2)" in note
    assert not any("too small" in note for note in sheet(findings(values, [recorded(EGAT)])).notes)


def test_the_table_says_when_it_was_written_down(values):
    kinds = [recorded(EGAT), recorded(LEVEL, evaluations=7, asked=False)]
    first, second = sheet(findings(values, kinds)).rows
    assert first.entries[-1].spread == "before any evaluation"
    assert second.entries[-1].spread == "after 7 evaluations"
    assert second.name == "ALIGN better than ERM: accuracy, in distribution (no longer in the file)"
    (alone,) = findings(values, [recorded(EGAT)])
    assert first.entries[2].value == p_value(alone.tested.comparisons[0].p)
    assert first.entries[4].value == "3, 400"
    assert first.entries[-2].mark == "best"


@pytest.mark.parametrize("name", ["table.md", "table.tex", "report.html"])
def test_every_writer_has_them_above_all_else(judged, tmp_path, name):
    write_tables(judged, tmp_path, "Four", hypotheses=[recorded(EGAT)])
    text = (tmp_path / name).read_text()
    assert "EGAT better than AT: accuracy, out of distribution" in text
    assert text.index("Hypothes") < text.index("Averages over domain pairs")
    write_tables(judged, tmp_path, "Four")
    assert "Hypothes" not in (tmp_path / name).read_text()


def evaluated(folder, n):
    for place in range(n):
        about = folder / f"run-{place}" / "jobs" / "evaluation-1"
        about.mkdir(parents=True, exist_ok=True)
        (about / "done.json").write_text("{}")


def test_what_is_written_down_before_any_evaluation_may_change(tmp_path):
    (first,) = write_down(tmp_path, [EGAT], (0, 1, 2))
    assert (first.evaluations, first.seeds, first.asked) == (0, (0, 1, 2), True)
    (other,) = write_down(tmp_path, [LEVEL], (5, 6, 7))
    assert (other.hypothesis, other.seeds) == (LEVEL, (5, 6, 7))
    assert write_down(tmp_path, [], (0,)) == ()
    assert json.loads((tmp_path / RECORD).read_text()) == []


def test_after_an_evaluation_the_record_stays(tmp_path):
    before = write_down(tmp_path, [EGAT], (0, 1, 2))
    evaluated(tmp_path, 4)
    assert write_down(tmp_path, [EGAT], (0, 1, 2, 3)) == before
    later, gone = write_down(tmp_path, [LEVEL], (0, 1, 2, 3))
    assert (later.hypothesis, later.evaluations, later.seeds) == (LEVEL, 4, (0, 1, 2, 3))
    assert gone == replace(before[0], asked=False)
    evaluated(tmp_path, 9)
    again = write_down(tmp_path, [EGAT, LEVEL], (0,))
    assert again == (*before, later)


def test_without_hypotheses_nothing_is_recorded(tmp_path):
    assert write_down(tmp_path, [], (0, 1)) == ()
    assert not (tmp_path / RECORD).exists()


@pytest.mark.parametrize("text", ["", "[{}]", '{"a": 1}', '[{"hypothesis": {"method": "EGAT"}}]'])
def test_a_damaged_record_is_one_clear_error(tmp_path, text):
    evaluated(tmp_path, 1)
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match=r"hypotheses\.json is damaged .*take it from a copy"):
        write_down(tmp_path, [EGAT], (0,))


def test_methods_are_named_as_in_the_tables():
    (found,) = renamed([recorded(EGAT)], {"EGAT": "EGAT (oracle)", "AT": "AT"})
    assert found.hypothesis == replace(EGAT, method="EGAT (oracle)")
