"""The star, heat maps, removal curves and manipulations are there when, and as, the data is."""

import json
import re

import pytest

import report_fixtures as fake
from lookright.errors import UserError
from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.stages.attacks_section import curve_panels
from lookright.evaluation.stages.corruptions import heat_maps
from lookright.evaluation.stages.explanation_attacks import manipulated_galleries
from lookright.evaluation.stages.explanations_section import removals
from lookright.report import read_result, write_page

SECTIONS = ("trust", "corruptions", "removal", "manipulated", "claims")


def comparison(root, *raws, arrays=None):
    folders = [fake.write(root / str(i), raw, arrays) for i, raw in enumerate(raws)]
    return ResultSet.of([read_result(folder) for folder in folders])


def plain(name="ERM", seed=0, **changes):
    """A result of one domain with nothing new but baselines, and what stages tell, by name."""
    raw = fake.result_json(name, seed, domains=("here",), full=False)
    here = raw["domains"]["here"]
    for key, value in changes.items():
        (here if key == "baselines" else here["stages"])[key] = value
    return raw


def corrupted(family, severity, accuracy, stability=0.5):
    accuracy, stability = fake.rate(accuracy), fake.score(stability)
    return {"family": family, "severity": severity, "accuracy": accuracy, "stability": stability}


@pytest.mark.parametrize("full", [True, False])
def test_a_section_is_there_only_where_there_is_something_to_show(tmp_path, full):
    raw, arrays = fake.result_json("AT", full=full), fake.examples("AT", full=full)
    html = write_page([fake.write(tmp_path / "r", raw, arrays)], tmp_path / "p.html").read_text()
    for name in SECTIONS:
        assert (f'<h2 id="{name}">' in html) == full, name
    body = html.split("</style>")[1]
    assert ("is the accuracy under AutoAttack" in body) == full
    assert ("A random map" in body) == full
    assert 'id="gallery"' in body


def test_the_page_takes_old_and_new_results_together(tmp_path):
    old, new = fake.result_json("ERM", full=False), fake.result_json("AT")
    folders = [
        fake.write(tmp_path / "o", old, fake.examples("ERM", full=False)),
        fake.write(tmp_path / "n", new, fake.examples("AT")),
    ]
    html = write_page(folders, tmp_path / "p.html").read_text()
    heat = html.split('<h2 id="corruptions">')[1].split("</section>")[0]
    assert 'data-method="AT"' in heat
    assert 'data-method="ERM"' not in heat
    manipulated = html.split('<h2 id="manipulated">')[1].split("<h2 ")[0]
    assert 'data-method="ERM"' not in manipulated


def test_autoattack_is_a_star_at_its_own_size(tmp_path):
    raw = plain()
    raw["domains"]["here"]["measures"]["accuracy_autoattack"] = fake.rate(0.25)
    raw["domains"]["here"]["stages"]["attacks"]["eps"] = 6 / 255  # no point of the curve
    (panel,) = curve_panels(comparison(tmp_path, raw, plain("AT")))
    erm, at = panel.series
    assert at.star is None
    assert "6" in [tick.label for tick in panel.x_ticks]
    tick = next(tick for tick in panel.x_ticks if tick.label == "6")
    quarter = next(tick for tick in panel.y_ticks if tick.label == "25%")
    assert (erm.star.x, erm.star.y) == (tick.position, quarter.position)
    assert erm.star.text.startswith("ERM under AutoAttack, 6/255: 25.0%")
    assert "(AutoAttack 25.0%)" in panel.description


def test_attacks_of_other_norms_have_panels_of_their_own(tmp_path):
    raw, other = plain(), plain("AT")
    attacks = other["domains"]["here"]["stages"]["attacks"]
    attacks |= {"eps": 0.5, "norm": "L2"}
    attacks["curve"] = [{"eps": eps, "accuracy": fake.rate(0.9 - eps)} for eps in (0, 0.25, 0.5)]
    found = comparison(tmp_path, raw, other)
    pixels, length = curve_panels(found)
    assert [one.name for one in pixels.series] == ["ERM"]
    assert pixels.x_title == "size of the attack, in 1/255"
    assert [one.name for one in length.series] == ["AT"]
    assert length.x_title == "size of the attack, L2"
    assert [tick.label for tick in length.x_ticks] == ["0", "0.25", "0.5"]
    assert length.series[0].points[-1].text.startswith("AT, 0.5 (L2): 40.0%")
    folders = [tmp_path / "both" / "x", tmp_path / "alone"]
    page = write_page([fake.write(folders[1], other)], tmp_path / "p.html").read_text()
    assert "attacked by changes of at most 0.5 (L2)" in page
    both = write_page([fake.write(folders[0], raw), folders[1]], tmp_path / "q.html").read_text()
    assert "attacked by changes" not in both


def test_a_suspect_figure_is_so_in_the_overview_too(tmp_path):
    raw = plain(diagnostics=[{"name": "size", "verdict": "suspect", "reason": "it stays"}])
    html = write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html").read_text()
    assert re.search(r'class="figures"[^>]*>98\.0% → 2\.0% ⚠</text>', html)


def test_a_heat_map_has_the_data_s_figures_by_kind_family_and_severity(tmp_path):
    here = [
        corrupted("fog", 1, 0.9),
        corrupted("fog", 3, 0.704, 0.25),
        corrupted("my_own", 1, 0.5),
        corrupted("glass_blur", 1, 0.8),
        corrupted("impulse_noise", 1, 1.0),
    ]
    (domain,) = heat_maps(comparison(tmp_path, plain(corruptions=here), plain("AT")))
    assert domain.severities == (1, 3)
    assert set(domain.maps) == {"accuracy", "stability"}
    (heat,) = domain.maps["accuracy"]
    found = {
        kind: {row.family: [one and one.printed for one in row.squares] for row in rows}
        for kind, rows in heat.kinds
    }
    assert found == {
        "noise": {"impulse noise": ["100", None]},
        "blur": {"glass blur": ["80", None]},
        "weather": {"fog": ["90", "70"]},
        "other": {"my own": ["50", None]},
    }
    assert list(found) == ["noise", "blur", "weather", "other"]
    # (0.9 + 0.5 + 0.8 + 1.0) / 4 = 0.8; with 0.704 over five, 0.7808
    assert [square.printed for square in heat.mean.squares] == ["80", "70"]
    assert (heat.overall, heat.beside) == ("78%", "clean 98%")
    shades = {
        one.printed: one.shade for _, rows in heat.kinds for r in rows for one in r.squares if one
    }
    assert shades == {"100": 10, "80": 8, "90": 9, "70": 7, "50": 5}
    (still,) = domain.maps["stability"]
    assert still.kinds[2][1][0].squares[1].printed == "0.25"
    assert still.beside == ""
    beside = {"random": {"stability_corrupted": fake.score(0.748)}}
    raw = plain(corruptions=here, baselines=beside)
    (domain,) = heat_maps(comparison(tmp_path / "has_baselines", raw))
    assert domain.maps["stability"][0].beside == "a random map 0.75"


def test_a_heat_map_of_several_seeds_is_their_mean(tmp_path):
    raws = [plain("AT", s, corruptions=[corrupted("fog", 1, v)]) for s, v in enumerate((0.5, 0.7))]
    (domain,) = heat_maps(comparison(tmp_path, *raws))
    (square,) = domain.maps["accuracy"][0].kinds[0][1][0].squares
    # 0.6 ± 0.1414
    assert (square.printed, square.text) == ("60", "46\N{EN DASH}74")


def curve(of, kind, *probabilities, fill="blur"):
    shares = [i / (len(probabilities) - 1) for i in range(len(probabilities))]
    return {"map": of, "kind": kind, "fill": fill, "shares": shares, "probabilities": probabilities}


def test_removal_curves_are_the_data_with_the_explanation_drawn_last(tmp_path):
    raw = plain(
        explanations=[
            curve("explanation", "deletion", 1.0, 0.5, 0.0),
            curve("random", "deletion", 1.0, 1.0, 0.0) | {"low": [1, 0.5, 0], "high": [1, 1, 0.5]},
            curve("explanation", "insertion", 0.0, 1.0, fill="mean"),
        ],
        baselines={"random": {"deletion_blur": fake.score(0.75)}},
    )
    raw["domains"]["here"]["measures"]["deletion_blur"] = fake.score(0.5)
    (domain,) = removals(comparison(tmp_path, raw, plain("AT")))
    assert list(domain.fills) == ["blur", "mean"]
    (erm,) = domain.fills["blur"]
    (deletion,) = erm.panels
    baseline, own = deletion.curves
    assert (baseline.name, baseline.baseline, baseline.area) == ("a random map", True, "0.750")
    assert (own.name, own.baseline, own.area, own.dash) == ("explanation", False, "0.500", "")
    assert baseline.dash
    # 36 to 222 pixels across, 134 (0) up to 8 (1): halfway is (129, 71).
    assert own.path == "M36.0 8.0L129.0 71.0L222.0 134.0"
    assert baseline.path == "M36.0 8.0L129.0 8.0L222.0 134.0"
    upper, lower = "M36.0 8.0L129.0 8.0L222.0 71.0", "L222.0 134.0L129.0 71.0L36.0 8.0Z"
    assert baseline.band == upper + lower
    # A result from before the intervals: no width.
    assert own.band == "M36.0 8.0L129.0 71.0L222.0 134.0L222.0 134.0L129.0 71.0L36.0 8.0Z"
    assert "explanation 0.500; " not in deletion.description
    assert "a random map 0.750; explanation 0.500" in deletion.description
    (insertion,) = domain.fills["mean"][0].panels
    assert insertion.kind == "insertion"
    assert insertion.curves[0].area == ""


def test_removal_curves_of_several_seeds_are_their_mean(tmp_path):
    raws = [
        plain("AT", seed, explanations=[curve("explanation", "deletion", first, 0.0)])
        for seed, first in enumerate((1.0, 0.5))
    ]
    (domain,) = removals(comparison(tmp_path, *raws))
    assert domain.fills["blur"][0].panels[0].curves[0].path == "M36.0 39.5L222.0 134.0"


def test_pushes_say_whether_the_answer_was_kept(tmp_path):
    arrays = fake.examples("EGAT", domains=("here",), count=2)
    arrays["here/predicted"][:] = (4, 5)
    arrays["here/explanation_attacks.predicted"][:] = ((4, 4, 7), (5, 6, 5))
    raw = plain(explanation_attacks=list(fake.GOALS))
    (gallery,) = manipulated_galleries(comparison(tmp_path, raw, arrays=arrays), 4)
    assert gallery.goals == fake.GOALS
    told = [
        [
            (manipulate.short, manipulate.predicted, manipulate.kept)
            for manipulate in row.cells[0].manipulations
        ]
        for row in gallery.rows
    ]
    assert told == [
        [
            ("clean", "4", True),
            ("places", "4", True),
            ("centre", "4", True),
            ("corner", "7", False),
        ],
        [
            ("clean", "5", True),
            ("places", "5", True),
            ("centre", "6", False),
            ("corner", "5", True),
        ],
    ]
    pictures = [manipulate.image for manipulate in gallery.rows[0].cells[0].manipulations]
    overlays = [manipulate.overlay for manipulate in gallery.rows[0].cells[0].manipulations]
    assert len(set(pictures)) == len(set(overlays)) == 4


def test_a_goal_without_words_is_shown_by_its_name(tmp_path):
    arrays = fake.examples("EGAT", domains=("here",), count=1)
    raw = plain(explanation_attacks=["<mine>", *fake.GOALS[1:]])
    folder = fake.write(tmp_path / "r", raw, arrays)
    html = write_page([folder], tmp_path / "p.html").read_text()
    assert "&lt;mine&gt;" in html
    assert "<mine>" not in html


def test_fewer_images_are_shown_of_many_methods(tmp_path):
    names = [f"M{i}" for i in range(20)]
    folders = fake.write_all(tmp_path, names, seeds=1, count=6)
    html = write_page(folders, tmp_path / "p.html").read_text()
    gallery = html.split('<h2 id="gallery">')[1].split("</section>\n\n<section aria")[0]
    assert gallery.count('<article class="example" style=') == 2 * len(fake.DOMAINS)
    assert gallery.count("--methods: 6") == 2 * len(fake.DOMAINS)
    assert len(html) < 8e6


def test_claims_are_quoted_as_sentences(tmp_path):
    claim = {
        "claim": "prediction", "perturbation": "fog & <rain>", "kept": 290, "n": 300,
        "bound": 0.9432, "delta": 0.05, "family": 1,
    }  # fmt: skip
    raws = [plain("AT", seed, claims=[claim] * (1 - seed)) for seed in (0, 1)]
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    html = write_page(folders, tmp_path / "p.html").read_text()
    sentences = re.findall(r"<dd>(.*?)</dd>", html.split('<h2 id="claims">')[1].split("</sec")[0])
    assert len(sentences) == 1
    assert sentences[0].startswith("Seed 0: With probability at least 95% over the draw of 300")
    assert "94.3%" in sentences[0]
    assert "fog &amp; &lt;rain&gt;" in sentences[0]


def test_what_claim_wrote_in_a_run_is_said_too(tmp_path):
    def record(domain, **claims):
        return {
            "domain": domain, "images": [], "evaluated": False, "trials": {},
            "models": {"AT": "f00d"}, **claims,
        }  # fmt: skip

    run = fake.write(
        tmp_path / "run" / "results" / "a", plain() | {"config": {"judged": {"weights": "f00d"}}}
    ).parent.parent
    records = [
        record("here", claims=[{"sentence": "Zero."}]) | {"models": {"AT": "0ld"}},
        record("here", claims=[{"sentence": "One."}], comparisons=[{"sentence": "Two."}]),
        record("elsewhere", claims=[{"sentence": "Three."}], comparisons=[]),
        record("here"),  # a plan that is not done
    ]
    (run / "claims.json").write_text(json.dumps({"format": 1, "records": records}))
    html = write_page([run / "results" / "a"], tmp_path / "p.html").read_text()
    section = html.split('<h2 id="claims">')[1].split("</section")[0]
    assert re.findall(r"<h3>(.*?)</h3>", section) == ["here", "elsewhere"]
    assert re.findall(r"<dd>(.*?)</dd>", section) == ["One.", "Two.", "Three."]
    (run / "claims.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        write_page([run / "results" / "a"], tmp_path / "p.html")


def test_what_is_always_wrong_is_not_called_robust(tmp_path):
    raw = plain("ERM")
    wrong = {name: fake.rate(0.0) for name in ("accuracy", "accuracy_adversarial")}
    raw["domains"]["here"]["measures"] |= wrong
    html = write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html").read_text()
    assert "(0% → 0%) breaks." in html
