"""Differences of two methods on the same images: planted tables, what is said, what is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

import report_fixtures as fake
from lookright.errors import UserError
from lookright.evaluation.grouping import ResultSet
from lookright.evaluation.table import write_table
from lookright.report import difference_table, method_table, read_result, write_page
from lookright.report.pairs import domain_pairs

N = 200
MAIN = ("accuracy", "accuracy_adversarial", "localisation_mass", "stability_cosine")


def outcomes(*runs):
    """0 and 1 in runs of those lengths, beginning with 1: (3, 2) is 1, 1, 1, 0, 0."""
    return np.repeat([float(i % 2 == 0) for i in range(len(runs))], runs)


def table(n=N, first=0, labels=None, **columns):
    return {
        "image": np.array([f"image {first + i}" for i in range(n)]),
        "label": np.arange(first, first + n) % 10 if labels is None else labels,
        **columns,
    }


def judged(root, name, seed=0, samples="same", n=N, classes=10, **tables):
    """A result with that table for each domain; none without any."""
    raw = fake.result_json(name, seed, domains=tuple(tables) or ("here",))
    raw["classes"] = raw["classes"][:classes]
    for domain in raw["domains"].values():
        domain |= {"samples": samples, "n": n}
    folder = fake.write(root / f"{name} {seed}", raw)
    if tables:
        write_table(folder, tables)
    return folder


def pairs(*folders):
    return domain_pairs(ResultSet.of([read_result(folder) for folder in folders]))


A_RIGHT = outcomes(150, 50)
B_RIGHT = outcomes(130, 20, 8, 42)  # 20 images fewer, and 8 others


def test_planted_counts_are_found_and_told(tmp_path):
    ours = {"accuracy": A_RIGHT, "localisation_mass": np.linspace(0, 1, N) + 0.01}
    theirs = {"accuracy": B_RIGHT, "localisation_mass": np.linspace(0, 1, N)}
    a = judged(tmp_path, "A", here=table(**ours))
    b = judged(tmp_path, "B", here=table(**theirs))
    (here,) = pairs(a, b)
    assert [measure.key for measure, _ in here.measures] == ["accuracy", "localisation_mass"]
    (right,), (mass,) = (of for _, of in here.measures)
    assert right.told(right.seeds[0]) == "A is right on 12 more of the same 200 images than B"
    assert right.size(right.seeds[0]) == "+6.0"
    # Two tests: the smaller p twice, the larger once.
    assert right.seeds[0].p == pytest.approx(stats.binomtest(20, 28).pvalue)
    assert mass.seeds[0].p == pytest.approx(2 * stats.binomtest(N, N).pvalue)
    assert (
        mass.told(mass.seeds[0])
        == "A is better than B on 200 and worse on 0 of the same 200 images"
    )
    assert (here.tests, right.shown, mass.shown) == (2, True, True)
    assert mass.size(mass.seeds[0]) == "+0.010"
    small = replace(mass.seeds[0].difference, value=-0.000234)
    assert mass.size(replace(mass.seeds[0], difference=small)) == "-0.0002"
    (other,) = pairs(b, a)
    (turned,) = other.measures[0][1]
    assert turned.told(turned.seeds[0]) == "A is right on 12 more of the same 200 images than B"
    assert turned.size(turned.seeds[0]) == "-6.0"


def test_more_tests_make_a_difference_harder_to_show(tmp_path):
    same = {key: A_RIGHT for key in MAIN[1:]}
    a = judged(tmp_path, "A", here=table(accuracy=A_RIGHT, **same))
    b = judged(tmp_path, "B", here=table(accuracy=B_RIGHT, **same))
    (here,) = pairs(a, b)
    (right,) = here.measures[0][1]
    assert here.tests == 4
    assert right.seeds[0].p == pytest.approx(4 * stats.binomtest(20, 28).pvalue)
    assert not right.shown
    (attacked,) = here.measures[1][1]
    assert attacked.told(attacked.seeds[0]) == "A and B are level on the same 200 images"


def test_only_common_images_count_whatever_their_order(tmp_path):
    random = np.random.default_rng(0)
    order = random.permutation(N)
    whole = table(accuracy=A_RIGHT)
    part = {name: values[order][:60] for name, values in table(accuracy=B_RIGHT).items()}
    a, b = judged(tmp_path, "A", here=whole), judged(tmp_path, "B", n=60, here=part)
    seed = pairs(a, b)[0].measures[0][1][0].seeds[0]
    kept = np.sort(order[:60])
    assert seed.difference.n == 60
    assert seed.difference.more == int((A_RIGHT > B_RIGHT)[kept].sum())


def test_images_where_either_has_no_value_are_left_out(tmp_path):
    mass = np.linspace(0.1, 1, N)
    a = judged(tmp_path, "A", here=table(localisation_mass=np.where(A_RIGHT == 1, mass, np.nan)))
    b = judged(tmp_path, "B", here=table(localisation_mass=np.where(B_RIGHT == 1, 0, np.nan)))
    seed = pairs(a, b)[0].measures[0][1][0].seeds[0]
    assert (seed.difference.n, seed.difference.more) == (130, 130)


def test_seeds_are_paired_with_the_same_seed_and_have_to_agree(tmp_path):
    better, worse = outcomes(190, 10), outcomes(100, 100)
    folders = [
        judged(tmp_path, name, seed, here=table(accuracy=right))
        for name, by_seed in (
            ("A", {0: better, 1: better, 7: worse}),
            ("B", {0: worse, 1: worse}),
            ("C", {1: worse, 0: better, 3: better}),
        )
        for seed, right in by_seed.items()
    ]
    (here,) = pairs(*folders)
    found = {(pair.first, pair.second): pair for pair in here.measures[0][1]}
    assert [seed.name for seed in found["A", "B"].seeds] == ["seed 0", "seed 1"]
    assert found["A", "B"].shown
    assert [seed.difference.more for seed in found["A", "C"].seeds] == [0, 90]
    assert not found["A", "C"].shown
    assert here.tests == 6
    html = write_page(folders, tmp_path / "p.html").read_text(encoding="utf-8")
    assert "each seed of one with the same seed of the other" in html


def test_seeds_that_contradict_each_other_show_no_difference(tmp_path):
    better, worse = outcomes(190, 10), outcomes(100, 100)
    folders = [
        judged(tmp_path, name, seed, here=table(accuracy=right))
        for name, rights in (("A", (better, worse)), ("B", (worse, better)))
        for seed, right in enumerate(rights)
    ]
    (pair,) = pairs(*folders)[0].measures[0][1]
    assert all(seed.p < 1e-6 for seed in pair.seeds)
    assert not pair.shown


def test_single_runs_are_paired_whatever_their_seeds(tmp_path):
    a = judged(tmp_path, "A", 3, here=table(accuracy=A_RIGHT))
    b = judged(tmp_path, "B", 5, here=table(accuracy=B_RIGHT))
    assert pairs(a, b)[0].measures[0][1][0].seeds[0].name == ""


def others(**changes):
    return {"here": table(accuracy=B_RIGHT) | changes}


@pytest.mark.parametrize(
    ("kind", "tables", "said"),
    [
        ({}, {"here": table(first=N, accuracy=B_RIGHT)}, "evaluated on other images"),
        ({}, others(label=(np.arange(N) + 1) % 10), "evaluated on other images"),
        ({"samples": "others"}, others(), "evaluated on other images"),
        ({"samples": "others", "n": 150}, others(), "evaluated on other images"),
        ({"classes": 9}, others(), "evaluated on other images"),
        ({}, {}, "does not have them: evaluate it again"),
    ],
)
def test_other_images_are_refused_with_one_line_and_the_rest_is_compared(
    tmp_path, kind, tables, said
):
    a = judged(tmp_path, "A", here=table(accuracy=A_RIGHT))
    b = judged(tmp_path, "B", **kind, **tables)
    c = judged(tmp_path, "C", here=table(accuracy=B_RIGHT))
    (here,) = pairs(a, b, c)
    assert [(pair.first, pair.second) for pair in here.measures[0][1]] == [("A", "C")]
    assert all(said in reason and "\n" not in reason for reason in here.refused)
    assert len(here.refused) == (2 if tables else 1)
    html = write_page([a, b, c], tmp_path / "p.html").read_text(encoding="utf-8")
    assert "Not compared. Expected" in html


@pytest.mark.parametrize("other", ["B", "B [no term]", "[/] :fire:"])
def test_no_common_seed_is_refused(tmp_path, other):
    folders = [
        judged(tmp_path, name, seed, here=table(accuracy=A_RIGHT))
        for name, seeds in (("A", (0, 1)), (other, (2, 3)))
        for seed in seeds
    ]
    (here,) = pairs(*folders)
    assert here.measures == ()
    assert here.refused == (
        f"Expected a seed that both methods have, but in “here” A has 0 and 1 and {other} 2 and 3: "
        "train both with the same seeds.",
    )
    assert here.refused[0] in " ".join(printed(folders).split())


def test_a_damaged_table_is_one_line(tmp_path):
    a = judged(tmp_path, "A", here=table(accuracy=A_RIGHT))
    b = judged(tmp_path, "B", here=table(accuracy=B_RIGHT))
    (b / "images.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"images\.csv\.gz"):
        write_page([a, b], tmp_path / "p.html")


def test_nothing_is_said_of_one_method_or_without_tables(tmp_path):
    a = judged(tmp_path, "A", here=table(accuracy=A_RIGHT))
    assert pairs(a) == []
    bare = [judged(tmp_path / "bare", name) for name in ("A", "B")]
    assert pairs(*bare) == []
    assert difference_table([read_result(folder) for folder in bare]) is None
    assert 'id="pairs"' not in write_page(bare, tmp_path / "p.html").read_text(encoding="utf-8")


def section(html):
    return html.split('<h2 id="pairs">')[1].split("</section>")[0]


def test_the_page_has_every_pair_by_domain_and_measure_in_words(tmp_path):
    two = {"accuracy": A_RIGHT, "accuracy_adversarial": outcomes(20, 180)}
    folders = [
        judged(tmp_path, name, here=table(**{**two, "accuracy": right}), there=table(**two))
        for name, right in (("A", A_RIGHT), ("B <b>", outcomes(30, 170)), ("C", B_RIGHT))
    ]
    html = section(write_page(folders, tmp_path / "p.html").read_text(encoding="utf-8"))
    assert re.findall(r"<h3>(\w+)", html) == ["here", "there"]
    assert re.findall(r'<h4 class="plainly">(.*?)</h4>', html) == [
        "Accuracy: 2 of 3 differences shown",
        "Adversarial accuracy: 0 of 3 differences shown",
        "Accuracy: 0 of 3 differences shown",
        "Adversarial accuracy: 0 of 3 differences shown",
    ]
    assert html.count("Holm for the 6 tests of this domain") == 2
    assert "A is right on 120 more of the same 200 images than B &lt;b&gt;" in html
    assert "A and C are level on the same 200 images" in html
    rows = re.findall(r"<tr><th scope=\"rowgroup.*?</tr>", html, re.DOTALL)
    words = re.sub(r"<[^>]+>", " ", rows[0]).split()
    assert words[:5] == ["A", "minus", "B", "&lt;b&gt;", "+60.0"]
    assert "&lt; 0.0001" in rows[0]


def printed(folders):
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(difference_table([read_result(folder) for folder in folders]))
    return console.export_text()


def test_the_terminal_has_a_short_table(tmp_path):
    a = judged(tmp_path, "A", here=table(accuracy=A_RIGHT))
    b = judged(tmp_path, "B", here=table(accuracy=B_RIGHT))
    text = printed([a, b])
    assert "here: 1 of 1 difference shown" in text
    row = next(line for line in text.splitlines() if "Accuracy, A minus B" in line)
    assert row.split()[-5:] == ["+6.0", "+0.8", "to", "+11.2", "0.036"]
    many = [
        judged(
            tmp_path / "many", f"M{i}", here=table(accuracy=outcomes(100 + 60 * (i == 7), N)[:N])
        )
        for i in range(8)
    ]
    text = printed(many)
    assert "here: 7 of 28 differences shown" in text
    assert " minus " not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def edited(folder, change):
    raw = json.loads((folder / "result.json").read_text())
    change(raw)
    (folder / "result.json").write_text(json.dumps(raw))
    return folder


def wider(raw):
    raw["settings"]["init_args"]["ball"] = {"class_path": "Ball", "init_args": {"eps": 0.5}}


def stronger(raw):
    raw["settings"] = fake.settings(steps=50)


def test_methods_under_other_attacks_are_not_compared(tmp_path):
    two = table(accuracy=A_RIGHT, accuracy_adversarial=B_RIGHT)
    a = judged(tmp_path, "A", here=two)
    b = edited(judged(tmp_path, "B", here=two), wider)
    (here,) = pairs(a, b)
    assert [measure.key for measure, _ in here.measures] == ["accuracy"]
    assert here.refused == (
        "Expected results measured alike, but A and B have another ball: evaluate both by one "
        "protocol.",
    )
    console = Console(width=80, record=True)
    console.print(method_table([read_result(a), read_result(b)]))
    assert "not measured alike" in console.export_text()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (wider, "ball"),
        (stronger, "Attacks"),
        (lambda raw: raw.update(train_domain=["elsewhere"]), "training domains"),
        (lambda raw: raw.update(classes=raw["classes"][:9]), "classes"),
        (lambda raw: raw["domains"]["here"].update(samples="others"), "images, labels or masks"),
    ],
)
def test_what_was_measured_otherwise_is_no_seed_of_a_method(tmp_path, change, what):
    first = judged(tmp_path, "A", 0, here=table(accuracy=A_RIGHT))
    other = edited(judged(tmp_path, "A", 1, here=table(accuracy=B_RIGHT)), change)
    with pytest.raises(UserError, match=f"with seed 0 and with seed 1 have other {what}.*--names"):
        pairs(first, other)


def test_another_ball_is_seen_also_where_another_domain_has_other_images(tmp_path):
    def change(raw):
        wider(raw)
        raw["domains"]["there"]["samples"] = "others"

    rows = dict.fromkeys(("here", "there"), table(accuracy_adversarial=A_RIGHT))
    a, b = judged(tmp_path, "A", **rows), edited(judged(tmp_path, "B", **rows), change)
    here, there = pairs(a, b)
    assert "another ball" in here.refused[0]
    assert "other images" in there.refused[0]
    assert here.measures == there.measures == ()


def test_only_answers_that_depend_on_what_differs_are_not_compared(tmp_path):
    columns = dict.fromkeys(("accuracy_adversarial", "stability_cosine"), A_RIGHT)
    rows = table(accuracy=A_RIGHT, localisation_mass=A_RIGHT, **columns)
    a, b = judged(tmp_path, "A", here=rows), edited(judged(tmp_path, "B", here=rows), stronger)
    (here,) = pairs(a, b)
    assert [measure.key for measure, _ in here.measures] == ["accuracy", "localisation_mass"]
    assert here.refused == (
        "Expected results measured alike, but A and B have another Attacks: evaluate both by one "
        "protocol.",
    )


def test_one_image_has_no_interval(tmp_path):
    rows = table(1, localisation_mass=np.array([0.5]))
    a, b = (judged(tmp_path, name, n=1, here=rows) for name in ("A", "B"))
    ((_, (pair,)),) = pairs(a, b)[0].measures
    assert pair.interval(pair.seeds[0]) == "not known"


def test_a_difference_whose_mean_points_the_other_way_is_not_shown(tmp_path):
    """Better by a little on most images, worse by much on the others."""
    theirs = np.linspace(0.3, 0.6, N)
    ours = theirs + np.where(np.arange(N) < 140, 0.01, -0.1)
    a = judged(tmp_path, "A", here=table(localisation_mass=ours))
    b = judged(tmp_path, "B", here=table(localisation_mass=theirs))
    ((_, (pair,)),) = pairs(a, b)[0].measures
    (seed,) = pair.seeds
    assert seed.p < 0.001
    assert (seed.difference.more, seed.difference.less) == (140, 60)
    assert seed.difference.value < 0
    assert not pair.shown
