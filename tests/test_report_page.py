"""The page's figures are the results' figures, whatever the names and whatever is missing."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

import report_fixtures as fake
from lookright.errors import UserError
from lookright.evaluation.grouping import ResultSet
from lookright.metrics.classification import accuracy_under
from lookright.metrics.measure import as_data
from lookright.report import read_result, write_page
from lookright.report.columns import column_groups
from lookright.report.page import render
from lookright.report.story import findings
from lookright.report.table import method_table


class Cells(HTMLParser):
    """{(domain, method, key): text} of the page's tables."""

    def __init__(self):
        super().__init__()
        self.found, self.domain, self.method, self.key, self.best = {}, None, None, None, set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.domain = attrs.get("data-domain", self.domain)
        self.method = attrs.get("data-method", self.method)
        if tag == "td":
            self.key = attrs.get("data-key")
            if self.key and "best" in attrs.get("class", "").split():
                self.best.add((self.domain, self.method, self.key))

    def handle_endtag(self, tag):
        if tag in ("td", "tr"):
            self.key = None

    def handle_data(self, data):
        if self.key and data.strip():
            place = (self.domain, self.method, self.key)
            self.found[place] = f"{self.found.get(place, '')} {data.strip()}".strip()


def cells(page):
    parser = Cells()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def with_accuracy(name, seed, value, **changes):
    raw = fake.result_json(name, seed)
    raw["domains"]["train"]["measures"]["accuracy"] = fake.rate(value)
    return raw | changes


def test_several_seeds_are_mean_and_sample_sd(tmp_path):
    folders = [
        fake.write(tmp_path / str(seed), with_accuracy("AT", seed, value))
        for seed, value in enumerate((0.90, 0.94, 0.95))
    ]
    found = cells(write_page(folders, tmp_path / "report.html")).found
    # mean (0.90 + 0.94 + 0.95) / 3 = 0.93; sd = sqrt((0.0009 + 0.0001 + 0.0004) / 2) = 0.02646
    assert found["train", "AT", "accuracy"] == "93.0% ± 2.6"
    assert found["train", "AT", "localisation_mass"] == "0.360 ± 0.000"


def test_one_seed_has_its_own_interval(tmp_path):
    raw = with_accuracy("AT", 0, 0.9)
    raw["domains"]["train"]["measures"]["accuracy"] = {
        "value": 0.9, "low": 0.861, "high": 0.929, "n": 300,
    }  # fmt: skip
    found = cells(write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html")).found
    assert found["train", "AT", "accuracy"] == "90.0% 86.1\N{EN DASH}92.9"


def test_best_is_marked_by_direction_and_ties_share_it(tmp_path):
    raws = [with_accuracy("ERM", 0, 0.95), with_accuracy("AT", 0, 0.95), fake.result_json("EGAT")]
    raws[2]["domains"]["train"]["measures"]["accuracy"] = fake.rate(0.90)
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    best = cells(write_page(folders, tmp_path / "p.html")).best
    assert {m for d, m, k in best if (d, k) == ("train", "accuracy")} == {"ERM", "AT"}
    assert {m for d, m, k in best if (d, k) == ("train", "sufficiency_blur")} == {"EGAT"}
    assert {m for d, m, k in best if (d, k) == ("train", "degenerate_maps")} == set()


def test_one_method_is_never_called_best(tmp_path):
    page = write_page([fake.write(tmp_path / "r", fake.result_json("ERM"))], tmp_path / "p.html")
    assert not cells(page).best
    assert "clear of the others" not in page.read_text()


def test_missing_measures_and_domains(tmp_path):
    bare = fake.result_json("ERM")
    for domain in bare["domains"].values():
        domain["measures"] = {"accuracy": domain["measures"]["accuracy"]}
        domain["stages"] = {}
    full = fake.result_json("EGAT", domains=("train", "elsewhere"))
    folders = [fake.write(tmp_path / "a", bare), fake.write(tmp_path / "b", full)]
    found = cells(write_page(folders, tmp_path / "p.html")).found
    assert found["train", "ERM", "auc"] == "not measured"
    assert ("reversed", "EGAT", "accuracy") not in found
    assert "elsewhere" in {domain for domain, _, _ in found}
    alone = write_page(folders[:1], tmp_path / "q.html").read_text()
    assert "By chance" not in alone
    assert "Under stronger" not in alone
    assert "Where each model looks" not in alone


def test_what_no_method_has_in_a_domain_is_no_column_there(tmp_path):
    raws = [fake.result_json("ERM", full=False), fake.result_json("EGAT", full=False)]
    for raw in raws:
        raw["domains"]["reversed"]["measures"]["stability_domain"] = fake.score(0.5)
    del raws[0]["domains"]["reversed"]["measures"]["auc"]
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    found = cells(write_page(folders, tmp_path / "p.html")).found
    assert found["reversed", "ERM", "stability_domain"].startswith("0.500")
    assert ("train", "ERM", "stability_domain") not in found
    assert found["reversed", "ERM", "auc"] == "not measured"


@pytest.mark.parametrize("imbalance", [1.5, 4.0])
def test_balanced_accuracy_stands_beside_accuracy_where_classes_are_imbalanced(tmp_path, imbalance):
    """In one domain alone they are, and every domain has the column."""
    raw = fake.result_json("ERM", full=False)
    raw["domains"]["reversed"]["imbalance"] = imbalance
    for domain in raw["domains"].values():
        domain["measures"] |= {
            "balanced_accuracy": fake.rate(0.25),
            "balanced_accuracy_adversarial": fake.rate(0.125),
        }
    folder = fake.write(tmp_path / "r", raw)
    found = cells(write_page([folder], tmp_path / "p.html")).found
    shown = [key for domain, _, key in found if domain == "train"]
    keys = {"balanced_accuracy", "balanced_accuracy_adversarial"}
    console = Console(width=80, record=True, file=StringIO())
    console.print(method_table([read_result(folder)]))
    told = " ".join(console.export_text().split())
    if imbalance == 1.5:
        assert not keys & set(shown)
        assert "balanced" not in told
    else:
        assert shown[:2] == ["accuracy", "balanced_accuracy"]
        assert found["train", "ERM", "balanced_accuracy"].startswith("25.0%")
        assert found["reversed", "ERM", "balanced_accuracy_adversarial"].startswith("12.5%")
        assert "accuracy 25.0%" in told


def test_small_and_negative_figures_can_be_read(tmp_path):
    raw = fake.result_json("ERM", full=False)
    measures = raw["domains"]["train"]["measures"]
    measures["infidelity_blur"] = fake.score(0.000123, 0.00001)
    measures["sufficiency_blur"] = fake.score(-0.02)
    measures["degenerate_maps"] = fake.rate(0)
    found = cells(write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html")).found
    assert found["train", "ERM", "infidelity_blur"] == "0.00012 0.00011\N{EN DASH}0.00013"
    assert found["train", "ERM", "sufficiency_blur"] == "-0.020 -0.030 to -0.010"
    assert found["train", "ERM", "degenerate_maps"].startswith("0.0% ")


def test_a_learned_mask_is_shown_beside_those_that_have_none(tmp_path):
    folders = fake.write_all(tmp_path, ("ERM", "ALIGN"), seeds=1, count=3)
    page = write_page(folders, tmp_path / "p.html")
    found, html = cells(page).found, page.read_text()
    assert found["train", "ALIGN", "mask_mass"] == "0.490 0.480\N{EN DASH}0.500"
    assert {found["train", "ERM", key] for key in ("mask_mass", "mask_iou")} == {"learns no mask"}
    assert html.count("its mask</span>") == 3 * len(fake.DOMAINS)
    assert html.count("Where a method has learned a mask") == 1
    group = re.search(r'colspan="(\d)">Has it learned where the object is\?', html)
    assert group[1] == "3"
    train = html[: html.index('data-domain="recoloured"')]
    chance = "".join(re.findall(r'<tr class="chance">.*?</tr>', train, re.DOTALL))
    assert re.findall(r">([\d.]+%?)</td>", chance) == ["0.140", "14.0%", "0.140"]
    alone = write_page(folders[:1], tmp_path / "q.html").read_text()
    assert "mask</span>" not in alone
    assert "learned a mask" not in alone


def test_a_measure_lacking_in_one_seed_says_so(tmp_path):
    raws = [fake.result_json("AT", seed) for seed in range(3)]
    del raws[1]["domains"]["train"]["measures"]["auc"]
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    found = cells(write_page(folders, tmp_path / "p.html")).found
    assert found["train", "AT", "auc"].endswith("(2 of 3 seeds)")


def test_unknown_measures_are_shown_without_direction(tmp_path):
    raw = fake.result_json("ERM")
    raw["domains"]["train"]["measures"]["new_thing"] = fake.score(0.25)
    page = write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html")
    assert cells(page).found["train", "ERM", "new_thing"] == "0.250 0.240\N{EN DASH}0.260"


def test_names_are_escaped_everywhere(tmp_path):
    evil = "<script>alert(\"1\")</script> & 'x' {{ 7 * 7 }}"
    raw = fake.result_json("EGAT", domains=(evil, "<b>other</b>"))
    raw |= {"name": evil, "classes": [f"{evil}{k}" for k in range(10)], "about": evil}
    raw["domains"]["<b>other</b>"]["warnings"] = [evil]
    raw["config"] = {"command": evil, evil: [evil]}
    arrays = fake.examples("EGAT", domains=(evil.replace("/", "_"), "<b>other</b>"))
    folder = fake.write(tmp_path / "r", raw, arrays)
    second = fake.write(tmp_path / "s", fake.result_json("AT", domains=(evil, "<b>other</b>")))
    html = write_page([folder, second], tmp_path / "p.html", title=evil).read_text()
    assert html.count("<script>") == 1
    assert "<b>other" not in html
    assert "alert(&#34;1&#34;)" in html
    assert "{{ 7 * 7 }}" in html
    assert (evil, evil, "accuracy") in cells(tmp_path / "p.html").found


def test_same_name_and_seed_twice(tmp_path):
    folders = [fake.write(tmp_path / str(i), fake.result_json("ERM")) for i in range(2)]
    with pytest.raises(UserError, match=r"both 'ERM' with seed 0"):
        write_page(folders, tmp_path / "p.html")
    with pytest.raises(UserError, match=r"at least one"):
        write_page([], tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()


def test_settings_that_differ_are_told(tmp_path):
    weak = fake.result_json("AT")
    weak["settings"] = fake.settings(steps=5)
    folders = [
        fake.write(tmp_path / "a", fake.result_json("ERM")),
        fake.write(tmp_path / "b", weak),
    ]
    assert "not measured alike" in write_page(folders, tmp_path / "p.html").read_text()
    assert "not measured alike" not in write_page(folders[:1], tmp_path / "q.html").read_text()


def test_settings_are_printed_in_their_units(tmp_path):
    page = write_page([fake.write(tmp_path / "r", fake.result_json("ERM"))], tmp_path / "p.html")
    rows = dict(
        re.findall(r'<tr><th scope="row">([\w.]+)</th><td>([^<]*)</td></tr>', page.read_text())
    )
    expected = {
        "ball": "Ball(norm=LInf, eps=8/255)",
        "explainer": "GradCAM",
        "Attacks.steps": "20",
        "Attacks.curve": "4/255, 16/255",
        "Explanations.fills": "blur, mean",
    }
    assert expected.items() <= rows.items()


def test_different_images_are_not_put_in_one_row(tmp_path):
    other = fake.examples("AT")
    other["train/images"] = np.flip(other["train/images"], 1).copy()
    folders = [
        fake.write(tmp_path / "a", fake.result_json("ERM"), fake.examples("ERM")),
        fake.write(tmp_path / "b", fake.result_json("AT"), other),
    ]
    html = render(ResultSet.of([read_result(folder) for folder in folders]), "t")
    assert html.count("evaluated on different images") == 1
    assert html.count("--methods: 1") == 8
    assert html.count("--methods: 2") == 8


def test_page_stays_small_with_real_sizes(tmp_path):
    folders = fake.write_all(tmp_path, seeds=1, count=8, side=224, coarse=224)
    assert write_page(folders, tmp_path / "p.html").stat().st_size < 5e6


def test_an_unwritable_target_leaves_the_old_page(tmp_path):
    folder = fake.write(tmp_path / "r", fake.result_json("ERM"))
    (tmp_path / "file").write_text("old")
    with pytest.raises(UserError, match=r"choose another folder"):
        write_page([folder], tmp_path / "file" / "report.html")
    assert (tmp_path / "file").read_text() == "old"
    target = write_page([folder], tmp_path / "new" / "report.html")
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def story(tmp_path, raws):
    folders = [fake.write(tmp_path / f"{i}", raw) for i, raw in enumerate(raws)]
    found = findings(ResultSet.of([read_result(folder) for folder in folders]))
    return {finding.heading: re.sub(r"<[^>]+>", "", finding.answer) for finding in found}


def test_story_names_the_shortcut_only_where_figures_do(tmp_path):
    told = story(tmp_path, [fake.result_json("ERM"), fake.result_json("AT")])
    shift = told["When the domain changes"]
    assert shift.startswith("ERM (98% → 21% in “reversed”) follows a shortcut")
    assert "AT (98% → 84% in “reversed”) loses accuracy" in shift


def test_story_of_models_from_other_domains_gives_each_its_own(tmp_path):
    """The second model was trained on the domain that is new to the first."""
    photo, sketch, unknown = (fake.result_json("ERM") for _ in range(3))
    for raw, name, home in ((photo, "A", 0), (sketch, "B", 2), (unknown, "C", None)):
        raw["name"] = name
        for place, domain in enumerate(raw["domains"].values()):
            domain["in_distribution"] = place == home
            domain["measures"]["accuracy"] = fake.rate(0.95 if place == home else 0.3)
    told = story(tmp_path, [photo, sketch, unknown])["When the domain changes"]
    assert (
        "A (95% → 30% in “recoloured”) follows a shortcut: what gave the answer in “train”" in told
    )
    assert "B (95% → 30% in “train”) follows a shortcut: what gave the answer in “reversed”" in told
    assert "C" not in told
    found = ResultSet.of([read_result(tmp_path / each) for each in "012"])
    assert not any(found.in_distribution(domain) for domain in found.domains)
    alone = ResultSet.of([read_result(tmp_path / each) for each in "02"])
    assert [alone.in_distribution(domain) for domain in alone.domains] == [True, False, False]


@pytest.mark.parametrize(("judged", "balanced"), [(None, 1 / 3), (3, 1 / 3), (2, 1 / 2)])
def test_one_answer_for_every_image_is_praised_nowhere(tmp_path, judged, balanced):
    """Of three classes, all or two judged, the model always answers the largest: 45% and 42%."""
    constant, other = fake.result_json("EGAT"), fake.result_json("AT")
    for raw in (constant, other):
        raw["classes"] = ["cat", "dog", "guitar"]
    for domain, value in zip(constant["domains"].values(), (0.45, 0.42, 0.42), strict=True):
        domain["measures"] |= {
            "accuracy": fake.rate(value, 40),
            "accuracy_adversarial": fake.rate(value, 40),
            "balanced_accuracy": {"value": balanced, "low": balanced, "high": balanced, "n": 40},
        }
        domain["judged_classes"] = judged
    told = story(tmp_path, [constant, other])
    for heading in ("When the domain changes", "Under attack, in “train”"):
        assert "EGAT (45%" in told[heading]
        assert "is not shown to answer better than one class for every image" in told[heading]
        assert "EGAT (45%) holds" not in told[heading]
        assert "EGAT (45% → 45%) keeps" not in told[heading]
    assert "AT (" in told["Under attack, in “train”"]
    assert "EGAT has the highest" not in told["Under attack, in “train”"]


def test_one_image_makes_no_method_the_best(tmp_path):
    first, second = fake.result_json("EGAT"), fake.result_json("AT")
    for raw, value in ((first, 0.412), (second, 0.411)):
        for domain in raw["domains"].values():
            domain["measures"]["localisation_mass"] = fake.score(value, 0, n=1)
    told = story(tmp_path, [first, second])["Where the models look, in “train”"]
    assert told.endswith("One image gives no interval, so none is called best.")
    text = texts(tmp_path, [first, second])
    assert "0.412 one image (of 1 image)" in text


def texts(tmp_path, raws):
    folders = [fake.write(tmp_path / f"t{i}", raw) for i, raw in enumerate(raws)]
    html = write_page(folders, tmp_path / "texts.html").read_text()
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_what_was_measured_otherwise_has_no_best(tmp_path):
    first, second = fake.result_json("ERM"), fake.result_json("EGAT")
    second["settings"] = fake.settings(steps=50)
    for domain in second["domains"].values():
        domain["measures"]["mask_area"] = fake.score(0.5)
    told = story(tmp_path, [first, second])
    attack = told["Under attack, in “train”"]
    assert attack.endswith("Not all have the same Attacks, so none is called best.")
    look = told["Where the models look, in “train”"]
    assert "(by chance 14% to 50%)" in look
    assert look.endswith("Not all have the same chance level, so none is called best.")
    assert "By chance object area 0.140\N{EN DASH}0.500" in texts(tmp_path, [first, second])


def test_a_domain_of_few_images_hides_no_loss_in_another(tmp_path):
    raw = fake.result_json("EGAT", domains=("train", "few", "art"))
    for name, k, n in (("train", 45, 50), ("few", 3, 6), ("art", 30, 50)):
        raw["domains"][name]["measures"]["accuracy"] = fake.rate(k / n, n)
    told = story(tmp_path, [raw])["When the domain changes"]
    assert told == "EGAT (90% → 60% in “art”) loses accuracy when the domain changes."
    del raw["domains"]["art"]
    told = story(tmp_path / "few", [raw])["When the domain changes"]
    assert told == "EGAT (90% → 50% in “few”) is not shown to keep or to lose accuracy."


def test_story_holds_and_overlaps(tmp_path):
    steady = fake.result_json("EGAT")
    for domain in steady["domains"].values():
        domain["measures"]["accuracy"] = fake.rate(0.95)
    rival = fake.result_json("AT")
    measures = [raw["domains"]["train"]["measures"] for raw in (steady, rival)]
    measures[0]["accuracy_adversarial"], measures[1]["accuracy_adversarial"] = map(
        fake.rate, (0.80, 0.79)
    )
    told = story(tmp_path, [steady, rival])
    assert (
        "EGAT (95% → 95% in “recoloured”) holds in every domain." in told["When the domain changes"]
    )
    assert told["Under attack, in “train”"].endswith(
        "EGAT has the highest figure, but its interval overlaps with AT, so none is called best."
    )


def test_story_says_clear_only_when_clear(tmp_path):
    told = story(tmp_path, [fake.result_json("ERM"), fake.result_json("EGAT")])
    attack = told["Under attack, in “train”"]
    assert attack.startswith("ERM (98% → 2%) breaks. EGAT (99% → 81%) keeps")
    assert attack.endswith("EGAT is right most often under attack, clear of the others.")
    assert "(by chance 14%)" in told["Where the models look, in “train”"]


def test_story_counts_classes_alike_where_they_are_imbalanced(tmp_path):
    """ERM always answers the most frequent class, which is rarer in another domain."""
    raws = [fake.result_json("ERM"), fake.result_json("EGAT")]
    figures = {"ERM": (0.8, 0.8, 0.5, 0.5), "EGAT": (0.75, 0.45, 0.7, 0.65)}
    keys = ("accuracy", "accuracy_adversarial")
    keys += tuple(f"balanced_{key}" for key in keys)
    for raw, values in zip(raws, figures.values(), strict=True):
        for domain in raw["domains"].values():
            domain["imbalance"] = 4.0
            domain["measures"] |= dict(zip(keys, map(fake.rate, values), strict=True))
    raws[0]["domains"]["reversed"]["measures"]["accuracy"] = fake.rate(0.35)
    told = story(tmp_path, raws)
    assert told["When the domain changes"].startswith("ERM (50% → 50% in “recoloured”)")
    attack = told["Under attack, in “train”"]
    assert "EGAT (70% → 65%) keep more than half of the balanced accuracy." in attack
    alike = "is right most often under attack, every class counting alike, clear of the others."
    assert attack.endswith(f"EGAT {alike}")


def test_story_of_learned_masks(tmp_path):
    names = ("ERM", "ALIGN", "EGAT, ALIGN mask")
    told = story(tmp_path, [fake.result_json(name) for name in names])
    assert told["What the learned masks show, in “train”"] == (
        "Share of the learned mask that lies on the object (by chance 14%): ALIGN 49% (covers 20% "
        "of the image) and EGAT, ALIGN mask 45% (covers 31% of the image). ALIGN has the mask most "
        "on the object, clear of the others."
    )
    assert len(told) == 7
    bare = fake.result_json("ALIGN")
    for domain in bare["domains"].values():
        del domain["measures"]["mask_area"], domain["measures"]["mask_coverage"]
    told = story(tmp_path / "bare", [bare])
    expected = "Share of the learned mask that lies on the object: ALIGN 49%."
    assert told["What the learned masks show, in “train”"] == expected


def baselines(name, random, **measures):
    """One domain; `random` are a random map's figures, `measures` the explanation's."""
    raw = fake.result_json(name, domains=("here",), full=False)
    here = raw["domains"]["here"]
    here["measures"] = {"accuracy": fake.rate(0.9)} | {
        key: fake.score(value) for key, value in measures.items()
    }
    here["baselines"] = {"random": {key: fake.score(value) for key, value in random.items()}}
    return raw


def test_story_says_whether_an_explanation_beats_a_map_that_knows_nothing(tmp_path):
    random = {"comprehensiveness_blur": 0.2, "deletion_blur": 0.5}
    raws = {}
    for name, deletion in (("clear", 200), ("near", 155), ("worse", 100), ("untested", None)):
        raws[name] = baselines(name, random, comprehensiveness_blur=0.3, deletion_blur=0.4)
        better = {"comprehensiveness_blur": 250, "deletion_blur": deletion}
        raws[name]["domains"]["here"]["paired"] = {
            "random": {key: fake.counts(count) for key, count in better.items() if deletion}
        }
    told = story(tmp_path, list(raws.values()))
    assert told["What the explanation shows, in “here”"] == (
        "clear: the explanation shows more of what the model uses than maps that know nothing of "
        "it. Not shown to be better than a baseline: near (Deletion, blur: not told apart from a "
        "random map) and worse (Deletion, blur: worse than a random map)."
    )


def test_story_of_stability_says_how_stable_an_unrelated_map_is(tmp_path):
    raw = baselines("AT", {"stability_cosine": 0.748}, stability_cosine=0.7)
    assert story(tmp_path, [raw])["Whether the explanation stays under attack, in “here”"] == (
        "Similarity of the explanation before and after the attack (1: unchanged; a random map: "
        "0.748): AT 0.70."
    )


def test_story_of_manipulated_explanations_praises_the_lowest(tmp_path):
    raws = [fake.result_json(name, domains=("here",), full=False) for name in ("ERM", "AT")]
    for raw, value in zip(raws, (0.75, 0.2), strict=True):
        raw["domains"]["here"]["measures"]["manipulated_topk"] = fake.score(value)
    told = story(tmp_path, raws)["How far the explanation can be moved, in “here”"]
    assert told.endswith(": ERM 75% and AT 20%. AT can be moved least, clear of the others.")


def test_story_tells_of_suspicion_beside_the_robust_figures(tmp_path):
    raw = fake.result_json("AT", domains=("here",))
    raw["domains"]["here"]["stages"]["diagnostics"] = [
        {"name": "size", "verdict": "suspect", "reason": "9% are right at <64>/255"}
    ]
    told = story(tmp_path, [raw, fake.result_json("ERM", domains=("here",))])
    assert told["Under attack, in “here”"].endswith(
        "Suspect, since an attack may have failed: AT (9% are right at &lt;64&gt;/255)."
    )


def test_story_stays_short_with_many_methods(tmp_path):
    raws = [fake.result_json("ERM") | {"name": f"M{i:02}"} for i in range(20)]
    raws[11]["domains"]["train"]["measures"]["localisation_mass"] = fake.score(0.9)
    told = story(tmp_path, raws)
    assert "M06 (98% → 21% in “reversed”) and 13 others follow" in told["When the domain changes"]
    assert ": M11 90%, M00 22%, " in told["Where the models look, in “train”"]
    assert max(len(answer) for answer in told.values()) < 700


def test_every_measure_stands_in_one_column(tmp_path):
    raw = fake.result_json("ERM", domains=("here",))
    measures = raw["domains"]["here"]["measures"]
    measures |= {key: fake.rate(0.5) for key in ("accuracy_mine", "stability_domain", "new_thing")}
    raw["declared"] = {"accuracy_mine": as_data(accuracy_under("Mine"))}
    comparison = ResultSet.of([read_result(fake.write(tmp_path / "r", raw))])
    groups = {g.question.words: [c.key for c in g.columns] for g in column_groups(comparison)}
    assert sorted(key for keys in groups.values() for key in keys) == sorted(
        set(measures) - {"mask_area"}
    )
    assert groups["Is it right under attack?"] == [
        *(f"accuracy_{attack}" for attack in ("fgsm", "pgd", "apgd", "square", "autoattack")),
        "accuracy_mine",
        "accuracy_adversarial",
    ]
    assert groups["Other measures"] == ["new_thing"]
    assert groups["Does it keep looking there when the image changes?"] == ["stability_domain"]


def test_a_method_is_told_in_its_own_words_else_by_its_file(tmp_path):
    raws = [fake.result_json("ERM") | {"about": "Mine <b>."}, fake.result_json("EGAT")]
    raws.append(fake.result_json("AT") | {"name": "none of the library"})
    folders = [fake.write(tmp_path / str(i), raw) for i, raw in enumerate(raws)]
    html = write_page(folders, tmp_path / "p.html").read_text(encoding="utf-8")
    told = re.findall(r"<dd>(.*?)</dd>", html.split('<h2 id="methods">')[1].split("</section>")[0])
    assert told == [
        "Mine &lt;b&gt;.",
        "Explanation-guided adversarial training (EGAT, arXiv 2603.01938).",
    ]


def test_a_stage_of_ones_own_that_cannot_be_imported_is_left_out_with_a_warning(tmp_path):
    raw = fake.result_json("ERM", domains=("here",))
    raw["settings"]["init_args"].setdefault("stages", []).append(
        {"class_path": "no_such_module.Mine", "init_args": {}}
    )
    with pytest.warns(UserWarning, match=r"no section of the stage no_such_module\.Mine"):
        write_page([fake.write(tmp_path / "r", raw)], tmp_path / "p.html")


def test_a_result_in_memory_has_a_page_too(tmp_path):
    kept = read_result(fake.write(tmp_path / "r", fake.result_json("ERM")))
    page = write_page([replace(kept, saved=None)], tmp_path / "p.html")
    assert cells(page).found["train", "ERM", "accuracy"].startswith("98.0%")
