"""Parts of the user's own in a protocol: each reaches the result, the table and the page."""

import json
import re
import warnings
from dataclasses import dataclass
from functools import wraps

import numpy as np
import pytest
import torch

from lookright import cli
from lookright.attacks import (
    L2,
    PGD,
    Attack,
    AutoAttack,
    Ball,
    CarliniWagner,
    TopK,
    WorstCase,
)
from lookright.corruptions import Corruption, corruption_of
from lookright.errors import UserError
from lookright.evaluation import (
    Attacks,
    Corruptions,
    ExplanationAttacks,
    Explanations,
    Protocol,
    Stage,
    evaluate,
)
from lookright.evaluation.places import results_in
from lookright.evaluation.result import read_examples, read_result
from lookright.evaluation.table import read_table
from lookright.explainers import InputGradient
from lookright.metrics import Measure, metric
from lookright.metrics.fills import fill_name, fill_of
from lookright.report import write_page
from lookright.spec import build, spec_of
from lookright.verbs import evaluate as verb
from own_parts import Corner, Leftwards, brightness, peak_on_object, smoke, upper, white
from own_stage import Mirrored
from test_evaluation import ChannelMeans, Margins, judge
from tiny import Blobs, tiny_classifier

OWN = {
    "attacks": {"attacks": (Corner(),)},
    "explanations": {"removal_steps": 1, "fills": ("mean", white)},
    "stages": (
        Corruptions(("fog", smoke), (2,)),
        ExplanationAttacks(("topk", Leftwards())),
        Mirrored(upright=True),
    ),
    "metrics": (upper, peak_on_object, brightness),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    data = Margins()
    data.image_size = 32
    result = judge(folder, ChannelMeans(), data, OWN, domains=["other"])
    return result, folder


KEYS = (
    "accuracy_corner", "sufficiency_white", "manipulated_Leftwards", "accuracy_mirrored",
    "upper", "peak_on_object", "brightness",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_part_of_ones_own_has_a_figure_with_its_declaration(judged, key):
    result, folder = judged
    here = result.domains["other"]
    assert here.measures[key].n == (12 if key == "peak_on_object" else 16)
    kept = read_result(folder)
    assert kept == result
    assert kept.declared[key].key == key
    assert kept.declared[key].description


def test_a_corruption_of_ones_own_is_called_by_its_function(judged):
    result, _ = judged
    assert [each.family for each in Corruptions.of(result.domains["other"])] == ["fog", "smoke"]
    batch = Margins().samples("other", range(16))
    right = ChannelMeans()(smoke(batch.images, 2)).argmax(1) == batch.labels
    (_, own) = Corruptions.of(result.domains["other"])
    assert own.accuracy.value == pytest.approx(float(right.float().mean()))


def test_a_metric_asks_by_name_and_is_taken_of_the_baselines_where_it_is_one_of_maps(judged):
    result, _ = judged
    here = result.domains["other"]
    assert here.measures["peak_on_object"].value == 1
    assert here.baselines["centre"]["upper"].value == pytest.approx(0.5)
    assert here.paired["random"]["peak_on_object"].n == 12
    assert "brightness" not in here.baselines["random"]
    batch = Margins().samples("other", range(16))
    expected = float(batch.images.mean((1, 2, 3)).mean())
    assert here.measures["brightness"].value == pytest.approx(expected)


def test_an_attack_left_in_its_usual_ball_is_run_in_the_protocols_ball():
    ball = Ball(L2(), 0.3)
    attacks = (CarliniWagner(steps=2), WorstCase((PGD(norm=L2(), eps=0.3),)))
    Protocol(ball=ball, stages=(Attacks(attacks=attacks),))
    with pytest.raises(UserError, match=r"share its ball, 0\.3, L2, but CarliniWagner has 0\.45"):
        Protocol(ball=ball, stages=(Attacks(attacks=(CarliniWagner(0.45),)),))


@dataclass(frozen=True)
class Far(Attack):
    """Every pixel is brighter by `by`, up to `top`."""

    by: float
    top: float = 1.0

    def __call__(self, model, x, y, generator=None):
        return (x + self.by).clamp(max=self.top)


SIDE = Blobs().image_size
ROOT = (3 * SIDE * SIDE) ** 0.5
"""The length of a change of all pixels by 1."""


@pytest.mark.parametrize(
    ("ball", "far"),
    [
        (Ball(eps=0.02), Far(0.2)),
        (Ball(eps=1 / 255), Far(1.2 / 255)),
        (Ball(eps=0.2), Far(0.2, top=1.0005)),
        (Ball(L2(), 0.5), Far(0.2)),
        (Ball(L2(), 0.01), Far(0.0177 / ROOT)),
        (Ball(), Far(torch.nan)),
    ],
)
def test_an_attack_that_leaves_the_ball_has_no_figure_in_it(ball, far):
    level = 1.0 if far.top > 1 else 0.5
    images, labels = torch.full((4, 3, SIDE, SIDE), level), torch.arange(4) % 3
    given = {"images": images, "labels": labels, "progress": False}
    protocol = Protocol(ball, stages=(Attacks(1, 1, (), (far,)),), only=True)
    with pytest.raises(UserError, match="Far left the ball of the protocol"):
        evaluate(tiny_classifier(), **given, protocol=protocol)


@pytest.mark.parametrize(
    ("ball", "by"), [(Ball(eps=0.2), 0.2), (Ball(L2(), 0.5), 0.5 / ROOT), (Ball(eps=0.0), 0.0)]
)
@pytest.mark.parametrize("rounded", [1 - 1e-4, 1, 1 + 1e-4])
def test_an_attack_to_the_edge_of_the_ball_has_its_figure(ball, by, rounded):
    stages = (Attacks(1, 1, (), (Far(by * rounded),)),)
    protocol = Protocol(ball, stages=stages, only=True, limit=4)
    found = evaluate(tiny_classifier(), Blobs(), protocol=protocol, progress=False)
    assert "accuracy_far" in found.domains["train"].measures


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Protocol(ball=8 / 255), r"ball .* such as Ball\(eps=8 / 255\), got 0\.03"),
        (lambda: Protocol(explainer="GradCAM"), r"such as GradCAM\(\), got 'GradCAM'"),
        (lambda: Protocol(stages=Attacks()), r"stages to be a tuple, .* got Attacks\("),
        (lambda: Protocol(stages=(Attacks,)), "got the class Attacks"),
        (lambda: Protocol(metrics=upper), "metrics to be a tuple"),
        *(
            (lambda stage=stage: Protocol(stages=(stage,)), says)
            for stage, says in (
                (Attacks(attacks=("AutoAttack",)), r"such as AutoAttack\(\), got 'AutoAttack'"),
                (Attacks(attacks=(AutoAttack,)), "got the class AutoAttack"),
                (Attacks(attacks=PGD()), r"such as \(AutoAttack\(\),\), got PGD\("),
                (Attacks(curve=4 / 255), "curve to be a tuple"),
                (Corruptions(names="fog"), r"such as \('fog',\), got 'fog'"),
                (Corruptions(severities=3), "severities to be a tuple"),
                (ExplanationAttacks(goals="topk"), "goals to be a tuple"),
                (ExplanationAttacks(goals=(TopK,)), "got the class TopK"),
                (Explanations(fills=white), "fills to be a tuple"),
            )
        ),
    ],
)
def test_what_is_no_part_of_its_kind_is_one_clear_line(make, says):
    with pytest.raises(UserError, match=says) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_an_attack_without_a_norm_is_run_in_the_protocols_ball():
    protocol = Protocol(ball=Ball(eps=0.1), stages=(Attacks(attacks=(Corner(),)),))
    assert protocol.stage(Attacks).attacks == (Corner(),)
    with pytest.raises(UserError, match="supports only the norm L-inf"):
        Protocol(ball=Ball(L2(), 0.5), stages=(Attacks(attacks=(Corner(),)),))
    with pytest.raises(UserError, match=r"share its ball, 0\.1, L-inf, but Corner has 51/255"):
        Protocol(ball=Ball(eps=0.1), stages=(Attacks(attacks=(Corner(0.2),)),))


def test_the_table_has_a_row_for_each_image_and_a_gap_where_there_is_no_mask(judged):
    result, folder = judged
    rows = read_table(folder)["other"]
    for key in (*KEYS, "upper@random", "same_when_mirrored", "right_smoke_2"):
        assert len(rows[key]) == 16, key
    for key in KEYS:
        mean = np.nanmean(rows[key])
        assert mean == pytest.approx(result.domains["other"].measures[key].value, abs=1e-6)
    without = [at % 4 == 0 for at in range(16)]
    assert sorted(np.isnan(rows["peak_on_object"])) == sorted(without)
    order = [int(name.split()[1]) for name in rows["image"]]
    assert np.isnan(rows["peak_on_object"]).tolist() == [without[at] for at in order]


def test_the_parts_come_back_from_the_settings(judged):
    result, _ = judged
    again = build(json.loads(json.dumps(result.settings)))
    assert again.metrics == OWN["metrics"]
    assert again.stage(Corruptions) == OWN["stages"][0]
    assert again.stage(Mirrored).upright
    assert spec_of(again) == result.settings


def test_a_stage_of_ones_own_shows_pictures_and_has_its_section(judged, tmp_path):
    result, folder = judged
    shown = read_examples(result, "other")
    images = torch.from_numpy(shown.images).movedim(-1, 1)
    mirrored = torch.from_numpy(shown.shown["mirrored"]["mirrored"])
    assert (mirrored.int() - images.flip((2, 3)).int()).abs().max() <= 1
    page = write_page([folder], tmp_path / "page.html").read_text()
    assert '<h2 id="mirrored">When mirrored</h2>' in page
    assert re.search(r"<li>model, other: [01]\.\d* the same</li>", page)
    for key in KEYS:
        assert result.declared[key].title in page, key


def test_a_stage_of_ones_own_is_called_from_python_alone(tmp_path):
    protocol = Protocol(stages=(Mirrored(),), only=True)
    assert [stage.name for stage in protocol.chosen] == ["answers", "mirrored"]


class Greedy(Stage):
    """Reads what it has not asked for, or gives what it has not declared."""

    needs = (Attacks,)  # which need the answers in their turn

    def __init__(self, found):
        self.found = found

    def see(self, view):
        return self.found(view)


def undeclared(view):
    return dict(zip(Mirrored().columns(view.protocol), [view.logits, view.logits], strict=True))


def unasked(view):
    from lookright.evaluation.stages.answers import RIGHT

    return {RIGHT: view[RIGHT]}


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (undeclared, UserError, "found 'accuracy_mirrored', which its columns"),
        (unasked, KeyError, "No stage that this one needs has found 'accuracy'"),
    ],
)
def test_a_stage_reads_and_gives_what_it_declares(tmp_path, found, error, message):
    changes = {"stages": (Greedy(found),)}
    with pytest.raises(error, match=message):
        judge(tmp_path, tiny_classifier(), Blobs(), changes, domains=["train"])


@metric(Measure("bad", "Bad", True, "score", "Asks for something unknown."))
def bad(saliency, depth):
    return saliency


@metric(Measure("none", "None", True, "score", "Asks for nothing."))
def nothing():
    return torch.zeros(1)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (bad, "bad has depth: use these names"),
        (nothing, "nothing has none: use these names"),
        (white, "white is not declared as a metric: write @metric"),
    ],
)
def test_a_metric_that_cannot_be_asked_is_refused(own, message):
    with pytest.raises(UserError, match=message):
        Protocol(metrics=(own,))


def test_a_corruption_with_a_name_of_its_own_keeps_it():
    named = Corruption("haze", "weather", smoke)
    stage = Corruptions((named,), (1,))
    assert [column.key for column in stage.columns(Protocol())][:2] == [
        "right_haze_1",
        "stability_haze_1",
    ]


class Fog:
    """As a class."""

    def __call__(self, images, severity=1):
        return smoke(images, severity)


@pytest.mark.parametrize("part", [Fog, Fog()])
def test_a_part_may_be_a_class_and_is_called_by_its_name(part):
    images = torch.rand(2, 3, 4, 4)
    assert corruption_of(part).name == fill_name(part) == "Fog"
    assert torch.equal(corruption_of(part)(images, 2), smoke(images, 2))
    assert torch.equal(fill_of(part)(images), smoke(images, 1))


LINES = {
    "stages.corruptions.names=[own_parts.smoke, fog]": lambda p: p.stage(Corruptions).names,
    "stages.explanation_attacks.goals=[own_parts.Leftwards, topk]": (
        lambda p: [type(goal).__name__ for goal in p.stage(ExplanationAttacks).goals]
    ),
    "stages.explanations.fills=[mean, own_parts.white]": lambda p: p.stage(Explanations).fills,
    "stages.attacks.attacks=[own_parts.Corner]": lambda p: p.stage(Attacks).attacks,
    "metrics=[own_parts.upper]": lambda p: p.metrics,
    "stages=[own_stage.Mirrored]": lambda p: p.stages,
}
MEANT = (
    (smoke, "fog"), ["Leftwards", "str"], ("mean", white), (Corner(),), (upper,), (Mirrored(),)
)  # fmt: skip


@pytest.mark.parametrize(("line", "meant"), [*zip(LINES, MEANT, strict=True)])
def test_a_part_is_named_on_the_command_line_by_its_import_path(line, meant, monkeypatch):
    given = {}

    @wraps(verb.evaluate)
    def noted(**options):
        given.update(options)

    monkeypatch.setattr(verb, "evaluate", noted)
    cli.main(["evaluate", "run", *f"--protocol.{line}".split("=", 1)])
    assert LINES[line](given["protocol"]) == meant


def test_a_wrong_fill_in_explanations_is_refused():
    with pytest.raises(UserError, match="Did you mean 'black'"):
        Protocol(stages=(Explanations(("blak",)),))


def test_results_are_found_in_their_home(tmp_path):
    with pytest.raises(UserError, match="Expected results in"):
        results_in(tmp_path)


@metric(Measure("accuracy", "Right and sure", True, "rate", "Named as the library's own."))
def as_the_library(logits):
    return logits[:, 0]


@metric(Measure("first", "First", True, "score", "One number for all images."))
def for_all(logits):
    return logits.mean()


def test_figures_of_one_name_are_refused():
    with pytest.raises(UserError, match="Two measures are called accuracy"):
        Protocol(metrics=(as_the_library,))
    with pytest.raises(UserError, match="Two metrics are called first"):
        Protocol(metrics=(for_all, for_all))


def test_a_metric_gives_one_number_for_each_image(tmp_path):
    with pytest.raises(UserError, match=r"first gave a tensor of shape \(\) for 16 images: return"):
        judge(tmp_path, changes={"metrics": (for_all,)}, domains=["train"])


def dimmed(images, severity):
    return images.mul_(1 - 0.1 * severity)


def dimmed_apart(images, severity):
    return images * (1 - 0.1 * severity)


def grey(images):
    images[:] = 0.5
    return images


def grey_apart(images):
    return torch.full_like(images, 0.5)


def test_what_works_in_place_changes_no_other_figure(tmp_path):
    found = []
    for spoil, fill in ((dimmed, grey), (dimmed_apart, grey_apart)):
        stages = (Corruptions((spoil,), (1, 3)), Explanations((fill, "mean"), removal_steps=2))
        protocol = Protocol(Ball(eps=0.05), InputGradient(), stages, only=True)
        folder = tmp_path / spoil.__name__
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = evaluate(ChannelMeans(), Margins(), folder, protocol=protocol, progress=False)
        found.append(
            {
                key.removesuffix("_apart"): estimate.value
                for key, estimate in result.domains["train"].measures.items()
            }
        )
    assert found[0] == pytest.approx(found[1], nan_ok=True)


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        (Corruptions(severities=(1, 5, 5)), "Two severities are called 5"),
        (Attacks(curve=(0.0313726,)), "Two radii of the curve are called 0.031373"),
    ],
)
def test_figures_of_one_place_are_refused(stage, says):
    with pytest.raises(UserError, match=says):
        Protocol(stages=(stage,))


@metric(Measure("lost", "Lost", True, "score", "No number for any image."))
def lost(logits):
    return logits[:, 0] * torch.nan


def test_a_measure_that_is_finite_for_no_image_is_left_out_and_told(tmp_path):
    result = judge(tmp_path, changes={"metrics": (lost,)}, domains=["train"])
    here = result.domains["train"]
    assert "lost" not in here.measures
    assert "accuracy" in here.measures
    assert "Lost is left out: it is finite for no image." in here.warnings
