"""Controls in the tables, verdicts beside robust figures, certificates as sentences."""

import re

import pytest

import report_fixtures as fake
from lookright.report import write_page


def page(tmp_path, *raws):
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    return write_page(folders, tmp_path / "p.html").read_text(encoding="utf-8")


def part(html, name):
    """The section of that name, or ''."""
    found = re.search(rf'<section aria-labelledby="{name}">.*?</main>', html, re.DOTALL)
    return "" if found is None else re.split(r"\n<section ", found[0])[0]


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def one(name, **measures):
    """A result of one domain, its measures changed."""
    raw = fake.result_json(name, domains=("here",))
    raw["domains"]["here"]["measures"] |= measures
    return raw


def controlled(name, value, random):
    raw = one(name, comprehensiveness_blur=fake.score(value))
    raw["domains"]["here"]["controls"] = {"random": {"comprehensiveness_blur": fake.score(random)}}
    return raw


def control_rows(html):
    rows = re.findall(r'<tr class="(control[^"]*)">(.*?)</tr>', html, re.DOTALL)
    return [(kind, words(row)) for kind, row in rows]


def test_a_control_is_a_row_that_spans_the_models_and_opens_to_each(tmp_path):
    html = page(tmp_path, controlled("ERM", 0.3, 0.1), controlled("AT", 0.4, 0.1234))
    assert control_rows(html) == [
        ("control", "A random map on each model 0.100\N{EN DASH}0.123"),
        ("control own", "ERM 0.100"),
        ("control own", "AT 0.123"),
    ]
    alike = page(tmp_path / "b", controlled("ERM", 0.3, 0.1), controlled("AT", 0.4, 0.1))
    assert control_rows(alike) == [("control", "A random map 0.100")]


@pytest.mark.parametrize(
    ("key", "value", "control", "beaten"),
    [
        ("comprehensiveness_blur", 0.3, 0.2996, True),
        ("comprehensiveness_blur", 0.3, 0.29, False),
        ("sufficiency_blur", 0.3, 0.29, True),
        ("sufficiency_blur", 0.3, 0.31, False),
        ("of_no_known_direction", 0.3, 0.4, False),
    ],
)
def test_a_figure_that_a_control_reaches_is_marked(tmp_path, key, value, control, beaten):
    raw = one("ERM", **{key: fake.score(value)})
    raw["domains"]["here"]["controls"] = {"random": {key: fake.score(control)}}
    assert page(tmp_path, raw).count('class="as-good"') == beaten


def test_the_verdict_stands_beside_each_robust_figure_with_its_reason(tmp_path):
    raw = one("AT")
    raw["domains"]["here"]["diagnostics"] = [
        {"name": "black box", "verdict": "suspect", "reason": "Square < 31%"},
        {"name": "gradients", "verdict": "fine", "reason": "none is zero"},
    ]
    html = page(tmp_path, raw, one("ERM"))
    robust = len([key for key in raw["domains"]["here"]["measures"] if key.startswith("accuracy_")])
    marks = re.findall(r'<a class="verdict (\w+)" href="#trust-1" title="([^"]*)"', html)
    assert [word for word, _ in marks] == ["suspect"] * robust + ["fine"] * robust
    assert marks[0][1] == "Square &lt; 31%"
    told = words(part(html, "trust"))
    assert "AT suspect Black box. Square &lt; 31% 1 check fine Gradients. None is zero" in told
    assert "ERM fine 3 checks fine" in told
    assert "The robust figures of AT in “here” are suspect" in words(html)


def test_old_warnings_are_verdicts_where_they_say_so_and_notes_where_not(tmp_path):
    raw = fake.result_json("AT", domains=("here",), full=False)
    raw["domains"]["here"]["warnings"] = ["suspect: accuracy rises.", "9% of the maps are empty."]
    html = page(tmp_path, raw)
    assert "AT suspect Accuracy rises." in words(part(html, "trust"))
    assert "9% of the maps" not in part(html, "trust")
    assert '<p class="caution" id="note-1-1">' in html
    assert html.count('class="mark-note"') == 1
    raw["domains"]["here"]["warnings"] = []
    quiet = page(tmp_path / "quiet", raw)
    assert not part(quiet, "trust")
    assert 'class="verdict' not in quiet
    assert "mark-note" not in quiet.split("</style>")[1]


def test_the_seed_of_a_suspicion_is_named(tmp_path):
    raws = [fake.result_json("AT", seed, domains=("here",)) for seed in (3, 4)]
    raws[1]["domains"]["here"]["diagnostics"][1] |= {"verdict": "suspect", "reason": "it beats"}
    told = words(part(page(tmp_path, *raws), "trust"))
    assert "AT suspect Black box. Seed 3: Square finds no image that PGD misses; seed 4: it" in told
