"""What measures declare of themselves: found without a list, complete, and kept by a result."""

import json
import sys
from types import ModuleType

import pytest

import report_fixtures as fake
from lookright.errors import UserError
from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.result import read_result, write_result
from lookright.metrics import MEASURES, Measure
from lookright.metrics.findings import AcrossDomains, AgainstBaselines, Kept, Levels
from lookright.metrics.measure import as_data, collected, from_data, in_order
from lookright.metrics.questions import FAITHFUL, OTHER, RIGHT, Question
from lookright.report import write_page

every_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)

CALIBRATED = Question("Does it know how sure it is?", 15)
OWN = Measure(
    "calibration",
    "Calibration <gap>",
    False,
    "score",
    "Gap between confidence & accuracy.",
    question=CALIBRATED,
    terminal="column",
    finding=Levels("How sure they are", "Gap of <confidence>", "is calibrated best", percent=False),
)


@every_measure
def test_a_measure_says_what_it_is_and_answers_a_question(measure):
    assert measure.title
    assert measure.description.endswith(".")
    assert measure.question is not OTHER
    assert set(measure.beats) <= {"random", "centre"}
    neutral = measure.key in ("mask_area", "mask_coverage", "stability_others")
    assert (measure.higher_is_better is None) == neutral


@every_measure
def test_a_declaration_is_the_same_after_json(measure):
    assert from_data(json.loads(json.dumps(as_data(measure)))) == measure


@pytest.mark.parametrize("finding", [
    None, AcrossDomains("h"), AgainstBaselines("h"), Kept("h", OWN, "p"),
    Levels("h", "s", "p", beside=(OWN, "covers {}")),
])  # fmt: skip
def test_every_kind_of_sentence_is_the_same_after_json(finding):
    measure = Measure("k", "t", True, "rate", "d.", chance=OWN, finding=finding)
    assert from_data(json.loads(json.dumps(as_data(measure)))) == measure


@pytest.mark.parametrize("data", [None, 3, {}, {"kind": "Popen"}, as_data(RIGHT), {"kind": []}])
def test_what_declares_no_measure_is_refused(data):
    with pytest.raises((KeyError, TypeError)):
        from_data(data)


def test_measures_are_those_of_the_modules_each_once_and_in_the_order_of_their_questions():
    keys = [measure.key for measure in MEASURES]
    assert len(keys) == len(set(keys))
    modules = [each for name, each in sys.modules.items() if name.startswith("lookright.metrics.")]
    assert set(keys) == {one.key for module in modules for one in collected(vars(module))}
    places = [(measure.question.place, measure.order) for measure in MEASURES]
    assert places == sorted(places)
    assert keys[:3] == ["accuracy", "balanced_accuracy", "auc"]


def test_a_module_s_measures_are_found_alone_and_in_dictionaries():
    module = ModuleType("mine")
    module.ONE, module.SEVERAL, module.OTHER = OWN, {"a": OWN, "b": 3}, {"x": "y"}
    assert list(collected(vars(module))) == [OWN, OWN]


def test_order_is_by_question_then_number_then_as_given():
    made = {
        key: Measure(key, key, True, "rate", "", question=question, order=order)
        for key, question, order in (
            ("last", FAITHFUL, 1), ("b", RIGHT, 2), ("c", RIGHT, 2), ("a", RIGHT, 1),
        )
    }  # fmt: skip
    assert [measure.key for measure in in_order(made)] == ["a", "b", "c", "last"]


def result_with(tmp_path, name, value, declared):
    raw = fake.result_json(name, domains=("here",))
    raw["domains"]["here"]["measures"]["calibration"] = fake.score(value)
    return fake.write(tmp_path / name, raw | {"declared": declared})


def test_the_page_of_a_user_s_own_measure_has_its_title_arrow_question_and_sentence(tmp_path):
    declared = {"calibration": as_data(OWN)}
    folders = [result_with(tmp_path, name, v, declared) for name, v in (("AT", 0.1), ("ERM", 0.3))]
    html = write_page(folders, tmp_path / "p.html").read_text(encoding="utf-8")
    assert 'title="Gap between confidence &amp; accuracy.">Calibration &lt;gap&gt; ' in html
    column = html.split("Calibration &lt;gap&gt;")[1]
    assert column.startswith(' <span class="arrow" aria-hidden="true">↓</span>')
    headings = [each for each in html.split(">") if "?" in each]
    asked = [
        each.split("<")[0] for each in headings if each.startswith(("Is it right?", "Does it know"))
    ]
    assert asked[:2] == ["Is it right?", "Does it know how sure it is?"]
    assert (
        "Gap of &lt;confidence&gt;: <b>AT</b> 0.10 and <b>ERM</b> 0.30. <b>AT</b> is cali" in html
    )
    bare = write_page([result_with(tmp_path / "b", "AT", 0.1, {})], tmp_path / "q.html")
    assert "Other measures" in bare.read_text(encoding="utf-8")


def test_a_result_keeps_the_declaration(tmp_path):
    folder = result_with(tmp_path, "AT", 0.1, {"calibration": as_data(OWN)})
    result = read_result(folder)
    assert result.declared == {"calibration": OWN}
    write_result(result)
    assert read_result(folder).declared == result.declared
    assert ResultSet.of([result]).measures["calibration"] == OWN


def test_a_damaged_declaration_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is damaged"):
        read_result(result_with(tmp_path, "AT", 0.1, {"calibration": {"kind": "Popen"}}))
