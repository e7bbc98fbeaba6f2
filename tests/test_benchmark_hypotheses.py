"""Hypotheses: recorded once, tested by themselves, and told as what they are."""

import json
from dataclasses import replace

import pytest

import benchmark_fixtures as fake
from lookright.benchmark import Expected, Hypothesis, Recorded, write_down, write_tables
from lookright.benchmark.columns import INSIDE, OUTSIDE, Column
from lookright.benchmark.comparisons import ImageValues, of_column
from lookright.benchmark.findings import findings, sheet
from lookright.benchmark.hypotheses import RECORD, renamed
from lookright.benchmark.scheme import schemes
from lookright.drawing import p_value
from lookright.errors import UserError
from lookright.metrics.classification import ACCURACY
from lookright.statistics.pairwise import holm

TWO = ("art", "photo")
EGAT = Hypothesis("EGAT", "AT", "accuracy", OUTSIDE)
WRONG = Hypothesis("AT", "EGAT", "accuracy", OUTSIDE)
LEVEL = Hypothesis("ALIGN", "ERM", "accuracy", INSIDE)


def expected(hypothesis, seeds=(0, 1, 2), domains=TWO, compared="1"):
    return Expected(hypothesis, tuple(seeds), tuple((each,) for each in domains), compared)


def recorded(hypothesis, seeds=(0, 1, 2), evaluations=0, domains=TWO, **others):
    return Recorded(expected(hypothesis, seeds, domains), "2026-11-30", evaluations, **others)


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
    (alone,) = findings(values, [recorded(EGAT)])
    one, other = findings(values, [recorded(EGAT), recorded(absent)])
    assert (other.tested, other.verdict) == (None, "not measured")
    assert other.line.startswith("EGAT better than AT: ")
    assert other.line.endswith(", out of distribution: not measured.")
    p = alone.tested.comparisons[0].p
    assert one.tested.comparisons[0].p == pytest.approx(2 * p)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ({"seeds": (0, 1, 2, 3, 7)}, "3 of 5 seeds so far"),
        ({"seeds": (5, 6, 7)}, "0 of 3 seeds so far"),
        ({"domains": (*TWO, "sketch")}, "0 of 3 seeds so far"),
    ],
    ids=["seeds", "other seeds", "a training domain"],
)
def test_nothing_is_told_before_all_that_is_planned_is_there(values, missing, told):
    (found,) = findings(values, [recorded(EGAT, **missing)])
    assert found.tested is None
    assert found.line == f"EGAT better than AT: accuracy, out of distribution: {told}."
    assert [entry.value for entry in sheet([found]).rows[0].entries[:-2]] == [""] * 5


def test_a_training_that_is_missing_on_one_domain_leaves_its_seed_out(tmp_path):
    judged = fake.grid(
        tmp_path, trains=fake.single_source(TWO), domains=TWO, skip={("EGAT", ("photo",), 1)}
    )
    (scheme,) = schemes(judged)
    (found,) = findings(ImageValues(scheme), [recorded(EGAT)])
    assert found.verdict == "2 of 3 seeds so far"


def test_balanced_accuracy_is_tested_where_classes_are_balanced_too(tmp_path):
    judged = fake.grid(tmp_path, ("AT", "EGAT"), fake.single_source(TWO), domains=TWO)
    for _, result in judged:
        for here in result.domains.values():
            here.measures["balanced_accuracy"] = here.measures["accuracy"]
    (scheme,) = schemes(judged)
    assert "balanced_accuracy" not in scheme.measures
    plain, balanced = findings(
        ImageValues(scheme), [recorded(EGAT), recorded(replace(EGAT, measure="balanced_accuracy"))]
    )
    ours, others = (each.tested.comparisons[0].difference for each in (plain, balanced))
    assert others.value == pytest.approx(ours.value)
    assert balanced.verdict == "shown"


def test_two_seeds_find_nothing(tmp_path):
    judged = fake.grid(tmp_path, trains=[("art",)], domains=TWO, seeds=(0, 1))
    (scheme,) = schemes(judged)
    (found,) = findings(ImageValues(scheme), [recorded(EGAT, (0, 1), domains=["art"])])
    assert found.verdict == "fewer than 3 seeds"


def test_seeds_that_were_not_written_down_are_told(tmp_path):
    judged = fake.grid(tmp_path, ("AT", "EGAT"), [("art",)], (0, 1, 9, 10), domains=TWO)
    (scheme,) = schemes(judged)
    (found,) = findings(ImageValues(scheme), [recorded(EGAT, (0, 1), domains=["art"])])
    (note,) = (note for note in sheet([found]).notes if "make p too small" in note)
    assert "tested too, 2 seeds (9 and 10)" in note
    (found,) = findings(ImageValues(scheme), [recorded(EGAT, (0, 1, 9, 10), domains=["art"])])
    assert not any("too small" in note for note in sheet([found]).notes)


def test_the_table_and_the_line_say_when_it_was_written_down(values):
    kinds = [recorded(EGAT), recorded(EGAT, evaluations=7, asked=False)]
    found = findings(values, kinds)
    first, second = sheet(found).rows
    assert first.entries[-1].spread == "before any evaluation"
    assert second.entries[-1].spread == "after 7 evaluations"
    assert (
        second.name == "EGAT better than AT: accuracy, out of distribution (no longer in the file)"
    )
    (alone,) = findings(values, [recorded(EGAT)])
    assert first.entries[2].value == p_value(alone.tested.comparisons[0].p)
    assert first.entries[4].value == "3, 400"
    assert (first.entries[-2].mark, second.entries[-2].mark) == ("best", "")
    assert first.entries[0].value in found[0].line
    assert f"points ({first.entries[1].value}), p (Holm) = " in found[0].line
    assert found[0].line.endswith(": shown.")
    assert found[1].line.endswith(": shown (written down after 7 evaluations).")


@pytest.mark.parametrize("name", ["table.md", "table.tex", "report.html"])
def test_every_writer_has_them_above_all_else(judged, tmp_path, name):
    write_tables(judged, tmp_path, "Four", hypotheses=[recorded(EGAT)])
    text = (tmp_path / name).read_text()
    assert "EGAT better than AT: accuracy, out of distribution" in text
    assert text.index("Hypothes") < text.index("Averages over domain pairs")
    write_tables(judged, tmp_path, "Four")
    assert "Hypothes" not in (tmp_path / name).read_text()


def test_methods_may_have_any_name(judged, tmp_path):
    odd = "<b>A|T</b> & *_$"
    renamed_too = [(run, replace(of, name=odd) if of.name == "AT" else of) for run, of in judged]
    write_tables(
        renamed_too, tmp_path, "Four", hypotheses=[recorded(replace(EGAT, better_than=odd))]
    )
    assert "better than <b>" not in (tmp_path / "report.html").read_text()
    assert "EGAT better than &lt;b&gt;A\\|T" in (tmp_path / "table.md").read_text()
    assert "EGAT better than \\textless{}b" in (tmp_path / "table.tex").read_text()


def evaluated(folder, n):
    for place in range(n):
        result = folder / f"run-{place}" / "results" / "1"
        result.mkdir(parents=True, exist_ok=True)
        (result / "result.json").write_text("{}")


def test_what_is_written_down_before_any_evaluation_may_change(tmp_path):
    (first,) = write_down(tmp_path, [expected(EGAT)])
    assert (first.evaluations, first.expected, first.asked) == (0, expected(EGAT), True)
    (other,) = write_down(tmp_path, [expected(LEVEL, (5, 6, 7))])
    assert other.expected == expected(LEVEL, (5, 6, 7))
    assert write_down(tmp_path, []) == ()
    assert json.loads((tmp_path / RECORD).read_text()) == []


def test_the_day_is_that_of_the_first_reading(tmp_path):
    write_down(tmp_path, [expected(EGAT), expected(LEVEL)])
    path = tmp_path / RECORD
    today = json.loads(path.read_text())[0]["day"]
    path.write_text(path.read_text().replace(today, "2026-01-02"))
    kept, changed = write_down(tmp_path, [expected(EGAT), expected(LEVEL, (0, 1, 2, 3))])
    assert (kept.day, changed.day) == ("2026-01-02", today)


def test_after_an_evaluation_the_record_stays(tmp_path):
    before = write_down(tmp_path, [expected(EGAT)])
    evaluated(tmp_path, 4)
    assert write_down(tmp_path, [expected(EGAT, (0, 1, 2, 3))]) == before
    later, gone = write_down(tmp_path, [expected(LEVEL, (0, 1, 2, 3))])
    assert (later.expected, later.evaluations) == (expected(LEVEL, (0, 1, 2, 3)), 4)
    assert gone == replace(before[0], asked=False)
    evaluated(tmp_path, 9)
    again = write_down(tmp_path, [expected(EGAT), expected(LEVEL)])
    assert again == (*before, later)
    assert [each.asked for each in write_down(tmp_path, [])] == [False, False]


def test_methods_that_are_something_else_by_now_make_a_new_hypothesis(tmp_path):
    write_down(tmp_path, [expected(EGAT)])
    evaluated(tmp_path, 6)
    (found,) = write_down(tmp_path, [expected(EGAT, compared="2")])
    assert (found.expected.compared, found.evaluations) == ("2", 6)
    (found,) = write_down(tmp_path, [expected(EGAT, domains=["art"], compared="2")])
    assert found.expected.trained_on == (("art",),)


def test_so_does_one_that_the_file_asks_no_more(tmp_path):
    write_down(tmp_path, [expected(EGAT), expected(LEVEL)])
    evaluated(tmp_path, 6)
    others = {EGAT: expected(EGAT, compared="2"), LEVEL: expected(LEVEL, (7, 8, 9))}
    changed, kept = write_down(tmp_path, [], others.get)
    assert (changed.expected.compared, changed.evaluations, changed.asked) == ("2", 6, False)
    assert (kept.expected, kept.evaluations) == (expected(LEVEL), 0)
    assert write_down(tmp_path, []) == (changed, kept)


def test_without_hypotheses_nothing_is_recorded(tmp_path):
    assert write_down(str(tmp_path), []) == ()
    assert not (tmp_path / RECORD).exists()


def test_of_what_an_expectation_consists_is_checked():
    with pytest.raises(UserError, match="got EGAT twice"):
        Hypothesis("EGAT", "EGAT", "accuracy", INSIDE)
    with pytest.raises(UserError, match=r"in distribution.* for where, got 'abroad'"):
        Hypothesis("EGAT", "AT", "accuracy", "abroad")


GOOD = {
    "expected": {
        "hypothesis": vars(EGAT), "seeds": [0], "trained_on": [["art"]], "compared": "1",
    },
    "day": "2026-11-30", "evaluations": 0, "asked": True,
}  # fmt: skip

DAMAGED = {
    "empty": "",
    "no list": "{}",
    "a list of lists": "[[]]",
    "nothing in it": "[{}]",
    "a list for a name": json.dumps(
        [GOOD | {"expected": GOOD["expected"] | {"hypothesis": vars(EGAT) | {"method": ["a"]}}}]
    ),
    "infinity": json.dumps([GOOD | {"evaluations": float("inf")}]),
    "one method": json.dumps(
        [GOOD | {"expected": GOOD["expected"] | {"hypothesis": vars(EGAT) | {"method": "AT"}}}]
    ),
    "code": json.dumps([GOOD | {"expected": {"class_path": "os.system", "init_args": {}}}]),
}


def test_a_record_of_before_is_read(tmp_path):
    (tmp_path / RECORD).write_text(json.dumps([GOOD]))
    evaluated(tmp_path, 1)
    (found,) = write_down(tmp_path, [])
    assert found.expected == expected(EGAT, (0,), ("art",))


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_one_clear_error(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(UserError, match=r"hypotheses\.json is damaged .*from a copy, or delete"):
        write_down(tmp_path, [expected(EGAT)])


def test_methods_are_named_as_in_the_tables():
    (found,) = renamed([recorded(EGAT)], {"EGAT": "EGAT (oracle)", "AT": "AT"})
    assert found.expected.hypothesis == replace(EGAT, method="EGAT (oracle)")
