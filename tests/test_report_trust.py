"""Baselines in the tables, verdicts beside robust figures, claims as sentences."""

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


def has_baselines(name, value, random):
    raw = one(name, comprehensiveness_blur=fake.score(value))
    raw["domains"]["here"]["baselines"] = {"random": {"comprehensiveness_blur": fake.score(random)}}
    return raw


def baseline_rows(html):
    rows = re.findall(r'<tr class="(baseline[^"]*)">(.*?)</tr>', html, re.DOTALL)
    return [(kind, words(row)) for kind, row in rows]


def test_a_baseline_is_a_row_that_spans_the_models_and_opens_to_each(tmp_path):
    html = page(tmp_path, has_baselines("ERM", 0.3, 0.1), has_baselines("AT", 0.4, 0.1234))
    assert baseline_rows(html) == [
        ("baseline", "A random map on each model 0.100\N{EN DASH}0.123"),
        ("baseline own", "ERM 0.100"),
        ("baseline own", "AT 0.123"),
    ]
    alike = page(tmp_path / "b", has_baselines("ERM", 0.3, 0.1), has_baselines("AT", 0.4, 0.1))
    assert baseline_rows(alike) == [("baseline", "A random map 0.100")]


def against(*tests, seed=0, key="comprehensiveness_blur"):
    """A result with these counts against a random map, and against the middle of the image."""
    raw = one("ERM", **{key: fake.score(0.3)}) | {"seed": seed}
    by_name = dict(zip(("random", "centre"), tests, strict=False))
    raw["domains"]["here"]["baselines"] = {name: {key: fake.score(0.3)} for name in by_name}
    raw["domains"]["here"]["paired"] = {name: {key: test} for name, test in by_name.items()}
    return raw


BETTER, EVEN, WORSE = fake.counts(200), fake.counts(155), fake.counts(90, 200)


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ([BETTER], "better than a random map"),
        ([EVEN], "not told apart from a random map"),
        ([WORSE], "worse than a random map"),
        ([BETTER, BETTER], "better than the baselines"),
        ([BETTER, EVEN], "not told apart from a baseline"),
        ([WORSE, EVEN], "worse than a baseline"),
        ([], None),
    ],
)
def test_a_figure_says_the_least_that_the_sign_test_says_of_it(tmp_path, tests, said):
    html = page(tmp_path, against(*tests))
    marks = re.findall(r'<span class="against( beaten)?" title="([^"]*)">([^<]*)<', html)
    assert [words for *_, words in marks] == ([said] if said else [])
    assert [bool(beaten) for beaten, *_ in marks] == ["better" in words for *_, words in marks]
    if tests == [WORSE, EVEN]:
        assert marks[0][1] == (
            "Worse than a random map: better on 90 and worse on 200 of 300 images, p &lt; 0.0001. "
            "Not told apart from the middle of the image: better on 155 and worse on 145 of 300 "
            "images, p = 0.6."
        )


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((BETTER, BETTER), "better than a random map"),
        ((BETTER, EVEN), "not told apart from a random map"),
        ((WORSE, BETTER), "not told apart from a random map"),
    ],
)
def test_of_several_seeds_each_has_to_say_so(tmp_path, seeds, said):
    html = page(tmp_path, *[against(test, seed=seed) for seed, test in enumerate(seeds)])
    (mark,) = re.findall(r'<span class="against[^"]*" title="([^"]*)">([^<]*)<', html)
    assert mark[1] == said
    assert "seed 0: better on" in mark[0]
    assert "; seed 1: better on" in mark[0]


def test_the_verdict_stands_beside_each_robust_figure_with_its_reason(tmp_path):
    raw = one("AT")
    raw["domains"]["here"]["stages"]["diagnostics"] = [
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


def test_a_warning_is_a_note_and_no_verdict(tmp_path):
    raw = fake.result_json("AT", domains=("here",), full=False)
    raw["domains"]["here"]["warnings"] = ["9% of the maps are empty."]
    html = page(tmp_path, raw)
    assert not part(html, "trust")
    assert '<p class="caution" id="note-1-1">' in html
    assert html.count('class="mark-note"') == 1
    raw["domains"]["here"]["warnings"] = []
    quiet = page(tmp_path / "quiet", raw)
    assert 'class="verdict' not in quiet
    assert "mark-note" not in quiet.split("</style>")[1]


def test_the_seed_of_a_suspicion_is_named(tmp_path):
    raws = [fake.result_json("AT", seed, domains=("here",)) for seed in (3, 4)]
    raws[1]["domains"]["here"]["stages"]["diagnostics"][1] |= {
        "verdict": "suspect",
        "reason": "it beats",
    }
    told = words(part(page(tmp_path, *raws), "trust"))
    assert "AT suspect Black box. Seed 3: Square finds no image that PGD misses; seed 4: it" in told
