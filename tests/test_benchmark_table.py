"""The figures of a benchmark's tables, on planted results."""

import math
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from statistics import fmean, stdev

import numpy as np
import pytest
from rich.console import Console

import benchmark_fixtures as fake
from lookright.benchmark.columns import INSIDE, OUTSIDE, TRAINING_TIME, Column, columns
from lookright.benchmark.comparisons import (
    Comparison,
    ImageValues,
    Marks,
    blocks_of,
    compare,
    marks,
)
from lookright.benchmark.comparisons import Tested as Compared
from lookright.benchmark.contents import contents
from lookright.benchmark.diagram import diagram
from lookright.benchmark.forest import forest
from lookright.benchmark.heat_maps import heat_maps
from lookright.benchmark.live import line
from lookright.benchmark.parts import part
from lookright.benchmark.ranking import ranking
from lookright.benchmark.scheme import Pair, schemes
from lookright.benchmark.terminal import terminal_table
from lookright.drawing import Style
from lookright.errors import UserError
from lookright.evaluation.result import DomainResult, Result
from lookright.evaluation.table import read_table, write_table
from lookright.metrics import Measure
from lookright.metrics.classification import (
    ACCURACY,
    ACCURACY_ADVERSARIAL,
    AUC,
    BALANCED_ACCURACY,
    BALANCED_ACCURACY_ADVERSARIAL,
)
from lookright.metrics.localisation import DEGENERATE_MAPS
from lookright.metrics.questions import LOOKS_AT_OBJECT
from lookright.metrics.stability import STABILITY_OTHERS
from lookright.statistics.crossed import Crossed
from lookright.training import Run

TWO = ("art", "photo")
PAIRS = [Pair((train,), test) for train in TWO for test in TWO]


def planted(figures, domains=TWO, keys=("accuracy",)):
    """Results without files, from {(method, train, seed): {test: value}}."""
    return [
        (
            Run(f"nowhere/{method}-{'-'.join(train)}-{seed}"),
            Result(
                None, method, seed, "", ("a",), train, "", {}, {},
                {
                    test: DomainResult(9, test in train, {k: fake.estimate(value) for k in keys})
                    for test, value in of.items()
                },
            ),
        )
        for (method, train, seed), of in figures.items()
    ]  # fmt: skip


GOLDEN = {
    ("A", ("art",), 0): {"art": 0.90, "photo": 0.50},
    ("A", ("art",), 1): {"art": 0.94, "photo": 0.60},
    ("A", ("photo",), 0): {"art": 0.40, "photo": 0.80},
    ("A", ("photo",), 1): {"art": 0.42, "photo": 0.84},
    ("B", ("art",), 0): {"art": 0.91, "photo": 0.55},
    ("B", ("photo",), 0): {"art": 0.40, "photo": 0.70},
    ("B", ("photo",), 1): {"art": 0.60, "photo": 0.70},
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    root = tmp_path_factory.mktemp("grid")
    trains = fake.single_source(TWO)
    return fake.grid(root, ("ERM", "EGAT", "ALIGN"), trains, domains=TWO)


def test_a_cell_is_the_mean_and_sample_deviation_over_seeds():
    (scheme,) = schemes(planted(GOLDEN))
    cell = scheme.cell("A", Pair(("art",), "photo"), "accuracy")
    assert (cell.value, cell.sd, cell.seeds) == (pytest.approx(0.55), stdev((0.5, 0.6)), 2)
    single = scheme.cell("B", Pair(("art",), "photo"), "accuracy")
    assert (single.value, single.sd, single.seeds) == (0.55, None, 1)


def test_an_average_is_over_pairs_for_each_seed_and_then_over_seeds():
    (scheme,) = schemes(planted(GOLDEN))
    found = {
        where: scheme.average("A", Column("", "", ACCURACY, where)) for where in (INSIDE, OUTSIDE)
    }
    inside, outside = (
        (fmean((0.90, 0.80)), fmean((0.94, 0.84))),
        (fmean((0.5, 0.4)), fmean((0.6, 0.42))),
    )
    assert found[INSIDE].value == pytest.approx(fmean(inside))
    assert found[INSIDE].sd == pytest.approx(stdev(inside))
    assert found[OUTSIDE].value == pytest.approx(fmean(outside))
    assert found[OUTSIDE].sd == pytest.approx(stdev(outside))


def test_a_seed_counts_in_an_average_only_with_every_pair():
    (scheme,) = schemes(planted(GOLDEN))
    found = scheme.average("B", Column("", "", ACCURACY, OUTSIDE))
    assert (found.value, found.seeds) == (pytest.approx(fmean((0.55, 0.40))), 1)


def test_an_average_without_a_cell_is_empty():
    figures = {key: of for key, of in GOLDEN.items() if key[:2] != ("B", ("art",))}
    (scheme,) = schemes(planted(figures))
    assert scheme.average("B", Column("", "", ACCURACY, OUTSIDE)) is None
    assert scheme.cell("B", PAIRS[0], "accuracy") is None
    (told,) = scheme.gaps
    assert told == "B lacks 2 cells of 4 (art to art and art to photo)."


def test_seeds_that_are_missing_are_told():
    (scheme,) = schemes(planted(GOLDEN))
    assert scheme.gaps == ("B lacks some of the 2 seeds in 2 cells.",)


def test_a_domain_of_copies_is_in_distribution_and_said_so():
    results = planted(GOLDEN)
    assert not schemes(results)[0].copies
    copied = [
        (run, replace(result, domains={
            test: replace(here, in_distribution=True) for test, here in result.domains.items()
        }))
        for run, result in results if result.train_domain == ("art",)
    ]  # fmt: skip
    (scheme,) = schemes(copied)
    assert scheme.where(Pair(("art",), "photo")) is INSIDE
    (told,) = scheme.copies
    assert told.startswith("photo is not among the training domains (art), but more than half")
    assert told in contents(copied, "Copies").cautions


def test_a_measure_that_some_domains_lack_is_averaged_over_the_others():
    judged = planted(GOLDEN)
    for _, result in judged:
        result.domains["art"].measures["auc"] = fake.estimate(0.7)
    (scheme,) = schemes(judged)
    assert scheme.pairs_of("auc", OUTSIDE) == [Pair(("photo",), "art")]
    assert scheme.average("A", Column("", "", AUC, OUTSIDE)).value == pytest.approx(0.7)


def test_schemes_are_apart():
    domains = ("art", "photo", "sketch")
    of = dict.fromkeys(domains, 0.5)
    figures = {
        ("A", ("art",), 0): of,
        ("A", ("art", "photo"), 0): of,
        ("A", ("photo", "sketch"), 0): of,
    }
    single, left_out = schemes(planted(figures, domains))
    assert (single.name, left_out.name) == ("Single source", "Leave one domain out")
    assert left_out.named(("art", "photo")) == "all but sketch"
    assert single.named(("art",)) == "art"
    four = {**figures, ("A", ("art",), 1): {**of, "quick": 0.1}}
    assert [one.name for one in schemes(planted(four, domains))] == [
        "Single source",
        "Several sources",
    ]


def test_two_domains_left_out_are_no_leave_one_out():
    of = dict.fromkeys(("art", "photo", "sketch", "quick"), 0.5)
    (scheme,) = schemes(planted({("A", ("art", "photo"), 0): of}))
    assert scheme.name == "Several sources"
    assert scheme.named(("art", "photo")) == "art + photo"


def test_models_of_unknown_training_domains_leave_none_out():
    (scheme,) = schemes(planted({("A", (), 0): {"art": 0.5}}))
    assert (scheme.name, scheme.named(())) == ("Several sources", "nothing told")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_figure_that_is_not_finite_is_none(value):
    judged = planted(GOLDEN | {("A", ("art",), 0): {"art": 0.9, "photo": value}})
    (scheme,) = schemes(judged)
    cell = scheme.cell("A", Pair(("art",), "photo"), "accuracy")
    assert (cell.value, cell.seeds) == (0.6, 1)
    assert part(scheme).averages


def test_results_without_a_domain_have_no_figure():
    (scheme,) = schemes(planted({("A", ("art",), 0): {}, ("B", ("art",), 0): {}}))
    assert part(scheme).sheets == ()


def test_where_is_what_the_results_say():
    (scheme,) = schemes(planted(GOLDEN))
    assert [scheme.where(pair) for pair in PAIRS] == [INSIDE, OUTSIDE, OUTSIDE, INSIDE]


def test_two_results_of_one_cell_and_seed_are_refused():
    judged = planted(GOLDEN)
    with pytest.raises(
        UserError, match=r"A-art-0 and nowhere/A-art-0 are both A on art with seed 0"
    ):
        schemes([*judged, judged[0]])


def test_no_results_are_refused():
    with pytest.raises(UserError, match="got none"):
        schemes([])


def test_the_time_of_a_training_is_that_of_its_epochs(grid):
    (scheme,) = schemes(grid)
    found = scheme.average("ERM", Column("", "", TRAINING_TIME, None))
    assert (found.value, found.sd, found.seeds) == (23.0, 0.0, 3)
    (untold,) = schemes(planted(GOLDEN))
    assert untold.average("A", Column("", "", TRAINING_TIME, None)) is None


@pytest.mark.parametrize(
    ("measure", "value", "shown", "bare"),
    [
        (TRAINING_TIME, 12.34, "12.3 s", "12.3"),
        (ACCURACY, 0.5, "50.0%", "50.0"),
        (AUC, 0.5, "0.500", "0.500"),
    ],
    ids=["seconds", "rate", "score"],
)
def test_figures_with_and_without_their_unit(measure, value, shown, bare):
    assert (measure.show(value), measure.bare(value)) == (shown, bare)


def test_columns_come_from_declared_measures():
    own = Measure(
        "own", "Own", True, "score", "", question=LOOKS_AT_OBJECT, terminal="column", order=1
    )
    neutral = Measure("area", "Area", None, "score", "", terminal="column")
    found = columns({one.key: one for one in (ACCURACY, AUC, own, neutral)})
    assert [(one.sheet, one.group, one.title) for one in found] == [
        ("Averages over domain pairs", "In distribution", "Accuracy"),
        ("Averages over domain pairs", "In distribution", "AUC"),
        ("Averages over domain pairs", "Out of distribution", "Accuracy"),
        ("Averages over domain pairs", "Out of distribution", "AUC"),
        ("Averages over domain pairs", "Training", "Training time"),
        ("Explanation, in distribution", "", "Own"),
        ("Explanation, out of distribution", "", "Own"),
    ]


def test_every_main_kind_of_measure_has_a_column(grid):
    (scheme,) = schemes(grid)
    titles = {one.title for one in columns(scheme.measures)}
    assert titles >= {
        "Accuracy", "AUC", "Adversarial accuracy, in distribution",
        "Adversarial accuracy, out of distribution", "Mass on object", "Stability (cosine)",
        "Sufficiency, mean", "Comprehensiveness, mean", "Degenerate maps", "Training time",
    }  # fmt: skip


def test_what_has_no_direction_is_shown_and_not_ranked(tmp_path):
    judged = fake.grid(tmp_path, ("ERM", "AT"), [("art",)], domains=TWO)
    for _, result in judged:
        for domain, here in result.domains.items():
            measures = here.measures | {STABILITY_OTHERS.key: fake.estimate(0.5)}
            result.domains[domain] = replace(here, measures=measures)
    (scheme,) = schemes(judged)
    assert STABILITY_OTHERS in {column.measure for column in columns(scheme.measures)}
    ranked = {each.measure for each in part(scheme).rankings}
    assert ACCURACY in ranked
    assert STABILITY_OTHERS not in ranked


def uneven(judged, imbalance=4.0):
    """The same results, of images of which four in five are of one class."""
    balance = (BALANCED_ACCURACY, BALANCED_ACCURACY_ADVERSARIAL)
    for _, result in judged:
        tables = read_table(result.folder)
        for domain, table in tables.items():
            table["label"] = np.minimum(table["label"], 1)
            here = result.domains[domain]
            measures = here.measures | {
                one.key: fake.estimate(
                    fmean(table[one.balances.key][table["label"] == k].mean() for k in (0, 1))
                )
                for one in balance
            }
            result.domains[domain] = replace(here, measures=measures, imbalance=imbalance)
        write_table(result.folder, tables)
    return judged


def by_pair(scheme):
    """The measures of which every domain pair is printed."""
    return {sheet.title.split(", ")[0].removesuffix(" (%)") for sheet in part(scheme).cells}


def test_balanced_accuracy_has_columns_where_classes_are_imbalanced(tmp_path):
    judged = uneven(fake.grid(tmp_path, ("ERM",), [("art",)], seeds=(0,), domains=TWO))
    (scheme,) = schemes(judged)
    titles = [(one.group, one.title) for one in columns(scheme.measures)]
    assert titles[:9] == [
        *((group, title) for group in ("In distribution", "Out of distribution")
          for title in ("Accuracy", "Balanced accuracy", "AUC")),
        *(("Under attack", f"{title}, {where}")
          for title, where in (("Adversarial accuracy", INSIDE), ("Adversarial accuracy", OUTSIDE),
                               ("Balanced adversarial accuracy", INSIDE))),
    ]  # fmt: skip
    assert by_pair(scheme) == {"Accuracy", "Balanced accuracy", "Adversarial accuracy",
                               "Balanced adversarial accuracy"}  # fmt: skip
    assert {"balanced_accuracy"} < {each.measure.key for each in heat_maps(scheme)}
    here = judged[0][1].domains
    here["art"], here["photo"] = (replace(here[name], imbalance=1.5) for name in TWO)
    (scheme,) = schemes(judged)
    assert not any("alanced" in one.title for one in columns(scheme.measures))
    assert by_pair(scheme) == {"Accuracy", "Adversarial accuracy"}
    here["photo"] = replace(here["photo"], imbalance=1.51)
    (scheme,) = schemes(judged)
    assert scheme.average("ERM", Column("", "", BALANCED_ACCURACY, INSIDE)) is not None
    assert any("alanced" in one.title for one in columns(scheme.measures))


def test_where_classes_are_imbalanced_a_terminal_has_balanced_accuracies(tmp_path):
    judged = fake.grid(tmp_path, ("ERM", "AT"), fake.single_source(TWO), seeds=(0,), domains=TWO)

    def told() -> str:
        console = Console(width=80, record=True, file=StringIO())
        console.print(terminal_table(judged))
        return console.export_text() + line(judged[0][1])

    assert "alanced" not in told()
    here = uneven(judged)[0][1].domains["art"].measures
    assert "Balanced" in told()
    assert "rank: of the balanced accuracy" in " ".join(told().split())
    both = [
        one.show(here[one.key].value) for one in (BALANCED_ACCURACY, BALANCED_ACCURACY_ADVERSARIAL)
    ]
    assert f"art* {' / '.join(both)}" in told()


@pytest.mark.parametrize("lost", [0, 7])
def test_balanced_accuracy_is_tested_with_classes_that_count_alike(tmp_path, lost):
    judged = uneven(fake.grid(tmp_path, ("ERM", "EGAT"), [("art",)], domains=TWO, images=50))
    (scheme,) = schemes(judged)
    pairs = scheme.pairs_of("balanced_accuracy")
    for plain, one in (
        (ACCURACY, BALANCED_ACCURACY), (ACCURACY_ADVERSARIAL, BALANCED_ACCURACY_ADVERSARIAL),
    ):  # fmt: skip
        first, second = (scheme.mean(name, pairs, one).value for name in ("ERM", "EGAT"))
        (found,) = compare(ImageValues(scheme), one, pairs)
        assert found.difference.value == pytest.approx(first - second)
        (unweighted,) = compare(ImageValues(scheme), plain, pairs)
        assert found.difference.value != pytest.approx(unweighted.difference.value)
        assert (found.difference.more, found.difference.less) == (
            unweighted.difference.more, unweighted.difference.less,
        )  # fmt: skip
    # Without some images of one method, those on which both are right are still level.
    folder = judged[0][1].folder
    tables = read_table(folder)
    write_table(folder, {name: {key: of[lost:] for key, of in table.items()}
                         for name, table in tables.items()})  # fmt: skip
    sides = (ImageValues(scheme).side(name, BALANCED_ACCURACY, pairs) for name in ("ERM", "EGAT"))
    for block in blocks_of(pairs, *sides):
        assert block.differences.shape == (3, 50 - lost)
        assert (block.differences == 0).any()
        kept = [read_table(result.folder)[block.domain] for _, result in judged]
        kept = [{key: of[-(50 - lost) :] for key, of in table.items()} for table in kept]
        own, other = (
            fmean(
                fmean(table["accuracy"][table["label"] == k].mean() for k in (0, 1)) for table in of
            )
            for of in (kept[:3], kept[3:])
        )
        assert block.differences.mean() == pytest.approx(own - other)


def test_the_best_and_its_ties_are_marked(grid):
    """EGAT's planted accuracy is 0.76, and ERM's and ALIGN's are 0.70."""
    (scheme,) = schemes(grid)
    values = ImageValues(scheme)
    found = compare(values, ACCURACY, scheme.pairs_of("accuracy", OUTSIDE))
    said = {(one.first, one.second): one.verdict for one in found}
    assert said == {
        ("ERM", "EGAT"): "worse than",
        ("ERM", "ALIGN"): "not told apart from",
        ("EGAT", "ALIGN"): "better than",
    }
    figures = {"ERM": 0.70, "EGAT": 0.76, "ALIGN": 0.70}
    marked = marks(figures, ACCURACY, found)
    assert (marked.best, marked.tied) == ("EGAT", frozenset())
    close = marks({"ERM": 0.75, "EGAT": 0.7, "ALIGN": 0.76}, ACCURACY, found[:1])
    assert (close.best, close.tied) == ("", frozenset())
    lower = replace(ACCURACY, higher_is_better=False)
    turned = marks(figures, lower, [replace(one, measure=lower) for one in found])
    assert (turned.best, turned.tied) == ("ERM", frozenset({"ALIGN"}))


def test_the_difference_of_a_comparison_is_that_of_the_figures(grid):
    (scheme,) = schemes(grid)
    pairs = scheme.pairs_of("accuracy", OUTSIDE)
    (one, *_) = compare(ImageValues(scheme), ACCURACY, pairs)
    first, second = (scheme.mean(name, pairs, ACCURACY).value for name in (one.first, one.second))
    assert one.difference.value == pytest.approx(first - second)
    assert one.difference.seeds == 3
    assert one.difference.n == 400


def test_p_is_corrected_for_all_pairs_of_the_column(grid):
    (scheme,) = schemes(grid)
    found = compare(ImageValues(scheme), ACCURACY, scheme.pairs_of("accuracy", OUTSIDE))
    least = min(found, key=lambda one: one.difference.p)
    assert least.p == pytest.approx(3 * least.difference.p)


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_with_few_seeds_nothing_is_marked(grid, seeds):
    few = [(run, result) for run, result in grid if result.seed in seeds]
    (scheme,) = schemes(few)
    found = part(scheme)
    assert {
        entry.mark for sheet in found.sheets for row in sheet.rows for entry in row.entries
    } == {""}
    assert found.tested
    assert not any(one.apart for one in found.tested)
    assert not any(one.differ for one in found.rankings)
    intervals = {of.interval(one.difference) for of in found.tested for one in of.comparisons}
    assert ("not known" in intervals) == (len(seeds) == 1)


def test_marks_are_there_with_three_seeds(grid):
    (scheme,) = schemes(grid)
    found = {
        (row.name, entry.mark)
        for sheet in part(scheme).averages
        for row in sheet.rows
        for entry in row.entries
    }
    assert found >= {("EGAT", "best"), ("ERM", "")}


def test_a_measure_without_values_of_images_is_not_tested(grid):
    (scheme,) = schemes(grid)
    assert compare(ImageValues(scheme), AUC, scheme.pairs_of("auc")) == ()


@pytest.mark.parametrize("changed", ["samples", "classes", "no table"])
def test_other_images_are_not_compared(grid, changed):

    def other(result):
        if changed == "classes":
            return replace(result, classes=("b",))
        if changed == "no table":
            return replace(result, saved=result.folder.parent / "elsewhere")
        here = {name: replace(of, samples="others") for name, of in result.domains.items()}
        return replace(result, domains=here)

    alike = (
        grid[:1] if changed == "no table" else [of for of in grid if of[1].name == grid[0][1].name]
    )
    (scheme,) = schemes([(of[0], other(of[1])) if of in alike else of for of in grid])
    said = compare(ImageValues(scheme), ACCURACY, scheme.pairs_of("accuracy", OUTSIDE))
    two = {(one.first, one.second): one.difference.seeds for one in said}
    if changed == "no table":
        assert two == {("ERM", "EGAT"): 2, ("ERM", "ALIGN"): 2, ("EGAT", "ALIGN"): 3}
    else:
        assert two == {("EGAT", "ALIGN"): 3}


def test_an_image_in_two_pairs_counts_once(tmp_path):
    """Trained on two domains each and tested in a third: as in distribution in two of them."""
    domains = ("art", "photo", "sketch")
    trains = fake.leave_one_out(domains)
    judged = fake.grid(tmp_path, ("ERM", "EGAT"), trains, domains=domains, images=40)
    (scheme,) = schemes(judged)
    (one,) = compare(ImageValues(scheme), ACCURACY, scheme.pairs_of("accuracy", INSIDE))
    assert len(scheme.pairs_of("accuracy", INSIDE)) == 6
    assert one.difference.n == 3 * 40


def test_ranks_are_over_the_pairs_that_all_methods_have():
    figures = {
        ("A", ("art",), 0): {"art": 0.9, "photo": 0.5},
        ("B", ("art",), 0): {"art": 0.8, "photo": 0.6},
        ("C", ("art",), 0): {"art": 0.8, "photo": 0.4},
        ("A", ("photo",), 0): {"art": 0.9, "photo": 0.5},
        ("B", ("photo",), 0): {"art": 0.9, "photo": 0.6},
    }
    (scheme,) = schemes(planted(figures))
    found = ranking(scheme, ACCURACY)
    assert found.pairs == (PAIRS[0], PAIRS[1])
    assert found.ranks.average == (1.5, 1.75, 2.75)
    assert not found.claimed
    assert ranking(scheme, ACCURACY, OUTSIDE) is None
    assert found.alike() == [(0, 1, 2)]


def test_one_method_is_not_ranked_or_compared():
    (scheme,) = schemes(planted({key: of for key, of in GOLDEN.items() if key[0] == "A"}))
    found = part(scheme)
    assert (found.ranks, found.tested) == ((), ())
    assert found.averages


def test_values_of_images_that_one_method_lacks_are_left_out(tmp_path):
    judged = fake.grid(tmp_path, ("ERM", "EGAT"), [("art",)], domains=("photo",), images=30)
    folder = judged[1][1].folder
    tables = read_table(folder)
    tables["photo"]["accuracy"][:7] = np.nan
    write_table(folder, tables)
    (scheme,) = schemes(judged)
    pair = Pair(("art",), "photo")
    values = ImageValues(scheme)
    sides = (values.side(name, ACCURACY, [pair]) for name in ("ERM", "EGAT"))
    (found,) = blocks_of([pair], *sides)
    assert found.differences.shape == (3, 23)


def test_the_diagram_has_room_for_every_name_and_rank():
    names = [f"EGAT with a very long name, rate 1e-{at}" for at in range(30)]
    figures = {
        (name, ("art",), 0): {"art": at / 30, "photo": at / 30} for at, name in enumerate(names)
    }
    (scheme,) = schemes(planted(figures))
    found = diagram(ranking(scheme, ACCURACY))
    assert [label.name for label in found.labels] == names[::-1]
    assert len({label.short for label in found.labels}) == 30
    assert {len(label.short) for label in found.labels} == {20}
    gaps = [b.position - a.position for a, b in pairwise(found.ticks)]
    assert min(gaps) > 20  # two digits
    assert found.ticks[0].label == "1"


def test_the_diagram_is_that_worked_out_by_hand():
    """Five pairs of three methods: average ranks 1, 2.2 and 2.8; q is 2.343 (Demsar's table 5)."""
    tests = [f"t{at}" for at in range(5)]
    figures = {
        (name, ("art",), seed): dict(zip(tests, of, strict=True))
        for name, of in {
            "C": (0.1, 0.1, 0.1, 0.1, 0.3),
            "A": (0.9, 0.9, 0.9, 0.9, 0.9),
            "B": (0.2, 0.2, 0.2, 0.2, 0.2),
        }.items()
        for seed in range(3)
    }
    (scheme,) = schemes(planted(figures))
    order = ranking(scheme, ACCURACY)
    found = diagram(order)
    assert order.ranks.critical == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 5)), abs=1e-3)
    assert [(label.name, label.rank) for label in found.labels] == [
        ("A", "1.00"),
        ("B", "2.20"),
        ("C", "2.80"),
    ]
    left, right = found.axis.left, found.axis.right
    assert [(bar.left + 4, bar.right - 4) for bar in found.bars] == [
        pytest.approx((left, left + 0.6 * (right - left))),
        pytest.approx((left + 0.6 * (right - left), left + 0.9 * (right - left))),
    ]
    assert found.critical.right - left == pytest.approx(order.ranks.critical / 2 * (right - left))


@pytest.mark.parametrize("measure", [ACCURACY, DEGENERATE_MAPS])
def test_a_forest_is_that_worked_out_by_hand(measure):
    """Three rivals of AT; of the third one seed is known, so no interval."""

    def of(name, value, low, high, p):
        found = Crossed(value, low, high, 3, 100, 9, 1, p)
        return Comparison(name, "AT", measure, found, p)

    found = forest(
        Compared(
            Column("", "", measure, INSIDE),
            (
                of("ERM", -0.2, -0.3, -0.1, 0.01),
                of("EGAT", 0.0, -0.1, 0.1, 1.0),
                of("DRE", 0.05, -math.inf, math.inf, 1.0),
            ),
        ),
        ("EGAT", "AT", "ERM", "DRE"),
    )
    erm, egat, dre = found.rows
    left, right = erm.ends[0], egat.ends[1]  # -0.3 and 0.1
    assert erm.x == pytest.approx(left + (right - left) / 4)
    assert erm.ends[1] == egat.ends[0] == pytest.approx(left + (right - left) / 2)
    assert egat.x == found.zero == pytest.approx(left + (right - left) * 3 / 4)
    assert dre.x == pytest.approx(left + (right - left) * 7 / 8)
    assert (erm.apart, egat.apart, dre.apart, dre.ends) == (True, False, False, None)
    assert erm.told == "-20.0 (-30.0 to -10.0), p 0.01"
    assert dre.told == "+5.0, p 1"
    assert erm.style == Style.of(2)
    assert "0" in {tick.label for tick in found.ticks}
    for tick in found.ticks:  # in percentage points
        there = left + (right - left) * (float(tick.label) + 30) / 40
        assert tick.position == pytest.approx(there)
    assert found.better == measure.higher_is_better
    assert found.height > dre.y > egat.y > erm.y > 0


def test_a_forest_has_the_figures_of_the_table_of_differences(grid):
    (scheme,) = schemes(grid)
    found = part(scheme, "ERM")
    printed = {
        (of.column.title, row.name): row.told
        for of in found.compared
        for row in forest(of, scheme.methods).rows
    }
    cells = [
        (head.title, row.name, entry)
        for sheet in found.differences
        for row in sheet.rows
        for head, entry in zip(sheet.heads, row.entries, strict=True)
    ]
    assert cells
    for title, name, entry in cells:
        assert printed[title, name].startswith(f"{entry.value} ({entry.spread}), ")
    assert part(scheme).compared == ()


def test_only_what_was_compared_with_the_best_is_tied(grid):
    (scheme,) = schemes(grid)
    said = compare(ImageValues(scheme), ACCURACY, scheme.pairs_of("accuracy", OUTSIDE))
    figures = {"ERM": 0.1, "EGAT": 0.9, "ALIGN": 0.2, "Untested": 0.3}
    apart = [replace(one, p=0.001) for one in said if {one.first, one.second} == {"ERM", "EGAT"}]
    assert apart[0].verdict != "not told apart from"
    assert marks(figures, ACCURACY, apart) == Marks("EGAT", frozenset())
    others = [replace(one, p=1.0) for one in said if {one.first, one.second} == {"ALIGN", "EGAT"}]
    assert marks(figures, ACCURACY, apart + others) == Marks("EGAT", frozenset({"ALIGN"}))


def _in_ball(of, eps):
    run, result = of
    return run, replace(result, settings={"init_args": {"ball": {"eps": eps}}})


def test_methods_judged_in_other_balls_are_not_compared(tmp_path):
    judged = fake.grid(tmp_path, ("ERM", "AT", "EGAT"), [("art",)])
    judged = [_in_ball(each, 4 if each[1].name == "EGAT" else 8) for each in judged]
    (scheme,) = schemes(judged)
    found = compare(ImageValues(scheme), ACCURACY_ADVERSARIAL, [Pair(("art",), "photo")])
    assert [(one.first, one.second) for one in found] == [("ERM", "AT")]


def test_results_judged_in_other_balls_are_no_seeds_of_one_method(tmp_path):
    judged = fake.grid(tmp_path, ("ERM",), [("art",)])
    with pytest.raises(UserError, match="other ball"):
        schemes([_in_ball(each, each[1].seed) for each in judged])
    judged[0][1].domains["photo"] = replace(judged[0][1].domains["photo"], samples="others")
    with pytest.raises(UserError, match="images, labels or masks of photo"):
        schemes(judged)


def test_a_measure_that_no_result_has_has_no_heat_map():
    judged = planted({("ERM", ("art",), 0): dict.fromkeys(TWO, 0.5)})
    own = Measure("own", "Own", True, "score", "Nothing.", terminal="column")
    result = replace(judged[0][1], declared={"own": own})
    result.domains["art"].measures["own"] = fake.estimate(math.nan)
    (scheme,) = schemes([(judged[0][0], result)])
    assert "own" not in [maps.measure.key for maps in heat_maps(scheme)]
