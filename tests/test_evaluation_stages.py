"""Every stage of a thorough evaluation on planted models: the figures are those of the images."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import nn

from lookright.attacks import APGD, PGD, Attack, AutoAttack, Ball, LInf, Norm, Square, TopK
from lookright.attacks.goals import goal_name
from lookright.corruptions import corrupt
from lookright.data import InMemory
from lookright.evaluation import (
    Attacks,
    Claims,
    Corruptions,
    ExplanationAttacks,
    Explanations,
    Protocol,
    evaluate,
)
from lookright.evaluation.column import measuring
from lookright.evaluation.grouping import ResultSet, measures_of
from lookright.evaluation.result import read_examples, read_result
from lookright.evaluation.stages import all_stages
from lookright.evaluation.table import read_table
from lookright.evaluation.view import View
from lookright.explainers import Explainer, GradCAM, InputGradient, SmoothGrad
from lookright.metrics import MEASURES, Paired, degenerate, max_sensitivity, stability_cosine
from lookright.metrics.sensitivity import MAX_SENSITIVITY
from lookright.report import write_page
from lookright.statistics.bounds import share_at_least
from models_for_tests import CLASSES, SIZE, Tiny
from test_evaluation import judge, learned, protocol  # noqa: F401
from tiny import Blobs, tiny_classifier

EPS = 8 / 255
SPOILT = Corruptions(("brightness", "gaussian_noise"), (1, 5))
MANIPULATED = ExplanationAttacks(("topk", "target"))
GIVEN = {
    "eps": EPS,
    "attacks": {"curve": (4 / 255,), "attacks": (Square(EPS, 20),)},
    "explanations": {"removal_steps": 4},
    "stages": (SPOILT, MANIPULATED),
    "explainer": GradCAM(),
    "limit": 30,
    "examples": 3,
}


@pytest.fixture(scope="module")
def thorough(tmp_path_factory, learned):  # noqa: F811
    """A larger Blobs, as some corruptions need 32 px."""
    folder = tmp_path_factory.mktemp("thorough")
    data = Blobs(image_size=32)
    return judge(folder, learned, data, GIVEN), learned, data, folder


def test_everything_comes_back_from_disk(thorough):
    result, *_, folder = thorough
    assert read_result(folder).domains == result.domains


def test_an_attack_of_ones_own_has_its_figure_and_its_share_in_the_worst(thorough):
    result, *_ = thorough
    for domain in result.domains.values():
        value = {key: estimate.value for key, estimate in domain.measures.items()}
        assert value["accuracy_adversarial"] <= value["accuracy_square"] <= value["accuracy"]


class Uneven(Blobs):
    """Twice as many blue images as red or green ones."""

    def __init__(self):
        super().__init__()
        self._labels = (torch.arange(self.n) % 4).clamp(max=2)

    def labels(self, domain):
        return self._labels[: len(self.keys(domain))].tolist()


def test_balanced_accuracies_are_of_the_images_and_shown_where_classes_are_imbalanced(
    thorough, learned  # noqa: F811
):  # fmt: skip
    even, *_, folder = thorough
    changes = {"limit": 50, "eps": 0.05, "attacks": {"attacks": (APGD(steps=20),)}}
    uneven = judge(folder.parent / "uneven", learned, Uneven(), changes)
    worst = uneven.domains["train"].measures
    assert 0 < worst["accuracy_adversarial"].value < worst["accuracy_pgd"].value
    keys = {"balanced_accuracy", "balanced_accuracy_adversarial"}
    for result in (even, uneven):
        for domain, table in read_table(result.folder).items():
            measures = result.domains[domain].measures
            assert result.domains[domain].judged_classes == len(set(table["label"]))
            for key in keys:
                right = table[key.removeprefix("balanced_")]
                recalls = [right[table["label"] == k].mean() for k in range(3)]
                assert measures[key].value == pytest.approx(sum(recalls) / 3)
    # Of the even one too the images drawn are not: all images of the domain decide.
    assert {here.imbalance for here in even.domains.values()} == {1.0}
    assert {here.imbalance for here in read_result(uneven.folder).domains.values()} == {2.0}
    assert not keys & measures_of([even]).keys()
    assert keys <= measures_of([even, uneven]).keys()


@dataclass(frozen=True)
class Brighter(Attack):
    """Every pixel by eps, or by less."""

    eps: float
    share: float = 1.0
    norm: Norm = field(default_factory=LInf)

    def __call__(self, model, x, y, generator=None):
        return (x + self.share * self.eps).clamp(0, 1)


def test_of_several_attacks_of_one_name_the_worst_counts(tmp_path, learned):  # noqa: F811
    def accuracy(*attacks):
        changes = {"eps": 0.3, "attacks": {"attacks": attacks}}
        result = judge(tmp_path, learned, Blobs(), changes, overwrite=True)
        return {key: found.value for key, found in result.domains["train"].measures.items()}

    weak, strong = Brighter(0.3, 0.0), Brighter(0.3)
    alone = accuracy(strong)
    assert alone["accuracy_brighter"] < accuracy(weak)["accuracy_brighter"]
    for attacks in ((weak, strong), (strong, weak)):
        assert accuracy(*attacks)["accuracy_brighter"] == alone["accuracy_brighter"]
    stronger = accuracy(PGD(0.3, 20))
    assert stronger["accuracy_pgd"] <= alone["accuracy_pgd"]
    assert stronger["stability_cosine"] == alone["stability_cosine"]


STARTS = []


@dataclass(frozen=True)
class Noted(Brighter):
    """Changes nothing, and notes its chance."""

    def __call__(self, model, x, y, generator=None):
        STARTS.append(torch.rand(1, generator=generator).item())
        return x


def test_the_same_attack_twice_is_a_restart(tmp_path, learned):  # noqa: F811
    STARTS.clear()
    attacks = {"attacks": (Noted(0.02), Noted(0.02))}
    changes = {"attacks": attacks, "batch_size": 72, "limit": 8}
    judge(tmp_path, learned, Blobs(), changes, domains=["train"])
    assert len(set(STARTS)) == 2


def test_corruptions_are_those_of_the_images(thorough):
    result, model, data, _ = thorough
    shown = read_examples(result, "train")
    images = torch.from_numpy(shown.images).permute(0, 3, 1, 2) / 255
    assert len(images) == 3
    everything = data.samples("train", range(data.n))
    batch = everything.select(slice(0, 30))
    found = {(c.family, c.severity): c for c in Corruptions.of(result.domains["train"])}
    assert list(found) == [(n, s) for n in SPOILT.names for s in (1, 5)]
    changes = {**GIVEN, "limit": None, "attacks": {}, "stages": (SPOILT,)}
    whole = judge(result.folder / "whole", model, data, changes, domains=["train"])
    points = Corruptions.of(whole.domains["train"])
    for point in points:
        with torch.no_grad():
            logits, clean = GradCAM()(model, everything.images)
            z = corrupt(everything.images, point.family, point.severity)
            answers, saliency = GradCAM()(model, z, logits.argmax(1))
        right = (answers.argmax(1) == everything.labels).float().mean()
        assert point.accuracy.value == pytest.approx(float(right))
        stable = stability_cosine(clean, saliency).mean()
        assert point.stability.value == pytest.approx(float(stable), abs=1e-6)
    mean = sum(point.accuracy.value for point in points) / len(points)
    measured = whole.domains["train"].measures["accuracy_corrupted"].value
    assert measured == pytest.approx(mean)
    assert len(batch) == 30


def test_manipulated_examples_keep_their_answer_and_their_ball(thorough):
    result, *_ = thorough
    shown = read_examples(result, "other")
    assert ExplanationAttacks.of(result.domains["other"]) == ("topk", "target")
    manipulated = shown.shown["explanation_attacks"]
    assert manipulated["images"].shape == (3, 2, 32, 32, 3)
    assert (manipulated["predicted"] == shown.predicted[:, None]).all()
    moved = abs(manipulated["images"].astype(int) - shown.images[:, None].astype(int))
    assert 0 < moved.max() <= 9
    measures = result.domains["other"].measures
    assert measures["manipulated_topk"].value > 0
    assert measures["manipulated_target"].value > 0


def test_an_explanation_is_turned_where_any_of_its_attacks_turns_it(tmp_path, learned):  # noqa: F811
    def turned(*goals):
        stages = (ExplanationAttacks(goals),)
        given = Protocol(Ball(eps=0.01), InputGradient(), stages, only=True, limit=20)
        folder = tmp_path / "-".join(map(goal_name, goals))
        evaluate(learned, Blobs(), folder, domains=["train"], protocol=given, progress=False)
        return read_table(folder)["train"]["manipulated_kept"].astype(bool)

    few, more = "topk", TopK(0.3)
    one, other = turned(few), turned(more)
    assert (one & ~other).any()
    assert (other & ~one).any()
    for goals in ((few, more, "target"), (more, few)):
        assert (turned(*goals) == one | other).all()


def test_baselines_and_curves_stand_beside_the_explanation(thorough):
    result, *_ = thorough
    domain = result.domains["train"]
    assert domain.baselines.keys() == {"random", "centre"}
    of_a_map = {key for key in domain.measures if "accuracy" not in key and key != "auc"}
    for baseline in domain.baselines.values():
        assert baseline.keys() == of_a_map - {
            "degenerate_maps",
            "stability_others",
            "answer_cosine",
        }
    told = Explanations.of(domain)
    curves = {(c.map, c.kind, c.fill): c for c in told}
    assert len(curves) == 3 * 2 * 2
    for (of, kind, fill), curve in curves.items():
        assert curve.shares == (0, 0.25, 0.5, 0.75, 1)
        measures = domain.measures if of == "explanation" else domain.baselines[of]
        first = told[0].probabilities[0]  # the clean image, under every map
        if kind == "deletion":
            assert curve.probabilities[0] == pytest.approx(first)
        assert all(
            low < value < high
            for low, value, high in zip(curve.low, curve.probabilities, curve.high, strict=True)
        )
        area = sum(curve.probabilities) - (curve.probabilities[0] + curve.probabilities[-1]) / 2
        assert measures[f"{kind}_{fill}"].value == pytest.approx(area / 4, abs=1e-5)


def test_the_explanation_is_tested_against_baselines_on_the_same_images(thorough):
    result, *_ = thorough
    domain = result.domains["train"]
    random, centre = domain.paired["random"], domain.paired["centre"]
    known = {
        key for key in domain.baselines["random"] if not key.startswith(("stab", "manip", "max"))
    }
    assert centre.keys() == known
    assert random.keys() - known == {
        "stability_cosine", "stability_spearman", "stability_topk", "stability_corrupted",
        "manipulated_topk", "manipulated_kept", "max_sensitivity",
    }  # fmt: skip
    for key in random:
        (measure,) = [measure for measure in MEASURES if measure.key == key]
        gap = domain.measures[key].value - domain.baselines["random"][key].value
        assert random[key].n == 30
        assert random[key].better + random[key].worse <= 30
        if random[key].verdict == "better than":
            assert gap * (1 if measure.higher_is_better else -1) > 0, key
    assert random["max_sensitivity"] == Paired(30, 0, 30)


def test_a_baseline_is_of_both_views_of_an_image(thorough):
    """The middle of the image never moves; a random map is drawn anew for every view."""
    result, *_ = thorough
    random, centre = (result.domains["train"].baselines[name] for name in ("random", "centre"))
    for key, estimate in centre.items():
        if key.startswith(("stability_", "manipulated_")):
            still = float(key.startswith("stability_"))
            assert estimate.value == pytest.approx(still, abs=1e-6), key
    # Uniform numbers: 0.75 is their mean product over their mean square.
    assert random["stability_cosine"].value == pytest.approx(0.75, abs=0.05)
    assert random["stability_corrupted"].value == pytest.approx(0.75, abs=0.05)
    assert abs(random["stability_spearman"].value) < 0.1
    assert random["stability_topk"].value < 0.3
    assert random["manipulated_topk"].value > 0.7
    assert random["manipulated_kept"].value > 0.7


def test_claims_are_of_what_was_seen(thorough):
    result, *_ = thorough
    prediction, explanation, both = Claims.of(result.domains["train"])
    assert 'domain "train" keep their right prediction under PGD (8/255' in prediction.sentence
    assert (
        "keep their explanation (cosine of GradCAM at least 0.8) of a right" in explanation.sentence
    )
    assert "keep their right prediction and their explanation (cosine" in both.sentence
    assert (prediction.n, prediction.family) == (30, 3)
    measures = result.domains["train"].measures
    assert prediction.kept <= round(30 * measures["accuracy_pgd"].value)
    assert prediction.kept <= round(30 * measures["accuracy"].value)
    assert explanation.kept <= round(30 * measures["accuracy"].value)
    assert both.kept <= min(prediction.kept, explanation.kept)
    assert prediction.bound == share_at_least(prediction.kept, 30, 0.05 / 3)
    assert 'domain "train"' in prediction.sentence


def test_thorough_adds_what_is_dear():
    thorough = protocol().thorough()
    assert thorough.stage(Attacks).attacks == (AutoAttack(),)
    assert thorough.stage(Attacks).steps == 2
    assert len(thorough.stage(Corruptions).names) == 15
    assert thorough.stage(ExplanationAttacks).goals == ("topk", "centre", "target")
    assert {stage.name for stage in thorough.chosen} == {stage.name for stage in all_stages()}


def test_thorough_keeps_what_is_named():
    listed = Attacks(attacks=(AutoAttack(version="rand"),))
    given = Protocol(stages=(Corruptions(("fog",)), ExplanationAttacks(("centre",)), listed))
    thorough = given.thorough()
    assert thorough.stage(Corruptions).names == ("fog",)
    assert thorough.stage(ExplanationAttacks).goals == ("centre",)
    assert thorough.stage(Attacks) == listed
    assert thorough.thorough() == thorough


def test_only_the_named_stages_and_those_that_they_need():
    names = [stage.name for stage in Protocol(stages=(Claims(),), only=True).thorough().chosen]
    assert names == ["answers", "attacks", "claims"]


def test_an_explainers_own_noise_is_no_change(tmp_path, learned):  # noqa: F811
    """A ball of no size changes nothing, however much an explanation draws."""
    data, noisy = Blobs(image_size=32), SmoothGrad(samples=2, sigma=0.3)
    changes = GIVEN | {"eps": 0.0, "attacks": {}, "explainer": noisy, "stages": (MANIPULATED,)}
    result = judge(tmp_path, learned, data, changes, domains=["train"])
    measures = result.domains["train"].measures
    assert measures["stability_cosine"].value == pytest.approx(1, abs=1e-5)
    assert measures["manipulated_topk"].value == 0


class Under5(SmoothGrad):
    """Always under the one noise."""

    def __call__(self, model, x, y=None):
        torch.manual_seed(5)
        return super().__call__(model, x, y)


def test_an_explanation_is_judged_under_the_noise_that_it_was_made_under(learned):  # noqa: F811
    """Whatever seed a stage before left behind."""
    batch = Blobs(image_size=32).samples("train", range(4))
    noisy = protocol(explainer=SmoothGrad(samples=2, sigma=0.3))
    view = View(learned, noisy, batch, lambda _: torch.Generator(), noise=5, total=4)
    torch.manual_seed(99)
    with torch.no_grad():
        found = Explanations(removal_steps=1).see(view)
    expected = max_sensitivity(learned, batch.images, Under5(2, 0.3), view.predicted)
    assert found[measuring(MAX_SENSITIVITY)].tolist() == pytest.approx(expected.tolist())


def test_some_measures_of_explanations_have_their_figures_and_a_page_without_curves(
    learned,  # noqa: F811
    tmp_path,
):
    some = {"explanations": {"measures": ("sufficiency", "max_sensitivity"), "fills": ("mean",)}}
    result = judge(tmp_path / "some", learned, Blobs(), some | {"limit": 6})
    every = judge(tmp_path / "every", learned, Blobs(), {"limit": 6})
    here, there = (next(iter(each.domains.values())) for each in (result, every))
    same = ("sufficiency_mean", "max_sensitivity", "degenerate_maps")
    assert {name: here.measures[name] for name in same} == {
        name: there.measures[name] for name in same
    }
    assert not {"insertion_mean", "infidelity_mean", "sufficiency_blur"} & here.measures.keys()
    assert (Explanations.of(here), len(Explanations.of(there))) == ((), 12)
    page = write_page([result], tmp_path / "page.html").read_text()
    assert "Sufficiency" in page
    assert 'id="removal"' not in page
    assert 'id="removal"' in write_page([every], tmp_path / "every.html").read_text()


@pytest.mark.parametrize("size", [7, 1])
def test_an_explainers_noise_does_not_depend_on_the_batches(learned, size):  # noqa: F811
    images, labels = torch.rand(24, 3, 8, 8), torch.arange(24) % 3
    stages = (Attacks(steps=2, restarts=1, curve=()),)
    given = Protocol(explainer=SmoothGrad(), stages=stages, only=True)
    whole, apart = (
        evaluate(
            learned,
            images=images,
            labels=labels,
            protocol=replace(given, batch_size=batch),
            progress=False,
        )
        for batch in (24, size)
    )
    for key in ("stability_cosine", "stability_others"):
        stable = (each.domains["data"].measures[key].value for each in (whole, apart))
        assert next(stable) == pytest.approx(next(stable), abs=1e-5)


@dataclass(frozen=True)
class Brightness(Explainer):
    """The map is the image's grey levels, or one ramp for all images."""

    same: bool

    def __call__(self, model, x, y=None):
        maps = torch.linspace(0, 1, x[0, 0].numel()).view(x.shape[-2:]).expand(x[:, 0].shape)
        return model(x), maps if self.same else x.mean(1)


@pytest.mark.parametrize("side", [8, 80])
@pytest.mark.parametrize("same", [True, False])
def test_beside_stability_stands_how_alike_the_maps_of_different_images_are(learned, same, side):  # noqa: F811
    images, labels = torch.rand(12, 3, side, side) ** 9, torch.arange(12) % 3
    given = Protocol(
        ball=Ball(eps=0.0),
        explainer=Brightness(same),
        stages=(Attacks(steps=1, restarts=1, curve=()),),
        only=True,
    )
    result = evaluate(learned, images=images, labels=labels, protocol=given, progress=False)
    found = result.domains["data"].measures
    assert found["stability_cosine"].value == pytest.approx(1, abs=1e-5)
    maps = torch.nn.functional.normalize(images.mean(1).flatten(1), dim=1)
    pairs = float((maps @ maps.T).fill_diagonal_(0).sum() / (12 * 11))
    assert found["stability_others"].value == pytest.approx(1 if same else pairs, abs=0.03)
    assert found["stability_others"].n == 12
    warned = any("a mean cosine of" in each for each in result.domains["data"].warnings)
    assert warned == same


class Red(nn.Module):
    """What is red decides, and what is green adds as much to every logit."""

    def __init__(self, shared: float) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 3, 1, bias=False)
        self.head = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(torch.eye(3)[:, :, None, None])
            columns = [torch.tensor([2.0, 1, 0]), torch.full((3,), shared), torch.zeros(3)]
            self.head.weight.copy_(torch.stack(columns, 1))

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


@pytest.mark.parametrize("shared", [0.0, 50.0, -1e6])
def test_what_all_logits_share_is_told(shared):
    random = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 3, 8, 8, generator=random), torch.arange(12) % 3
    model = Red(shared).eval()
    quick = Explanations(measures=("sufficiency",), fills=("mean",))
    given = Protocol(stages=(quick,), only=True)

    def found(explainer: Explainer):
        return evaluate(
            model,
            images=images,
            labels=labels,
            protocol=replace(given, explainer=explainer),
            progress=False,
        ).domains["data"]

    told = found(GradCAM())
    with torch.no_grad():
        maps = [GradCAM(centred=centred)(model, images)[1] for centred in (False, True)]
    assert degenerate(maps[0]).any() == (shared < 0)
    assert not degenerate(maps[1]).any()
    expected = float(stability_cosine(*maps).mean())
    assert told.measures["answer_cosine"].value == pytest.approx(expected, abs=1e-5)
    assert (expected < 0.9) == bool(shared)
    assert any("what all logits share" in each for each in told.warnings) == bool(shared)
    assert "answer_cosine" not in found(GradCAM(centred=True)).measures


def test_noise_of_the_explainer_is_not_what_all_logits_share():
    torch.manual_seed(0)
    model = Tiny().eval()
    model.register_forward_hook(lambda m, x, logits: logits - logits.mean(1, keepdim=True))
    result = evaluate(
        model,
        images=torch.rand(6, 3, SIZE, SIZE),
        labels=torch.arange(6) % CLASSES,
        protocol=Protocol(
            explainer=SmoothGrad(samples=2),
            stages=(Explanations(measures=("sufficiency",), fills=("mean",)),),
            only=True,
        ),
        progress=False,
    )
    found = result.domains["data"].measures["answer_cosine"].value
    assert found == pytest.approx(1, abs=1e-5)


def test_only_where_the_object_is_known_a_picture_is_darkened_around_it(tmp_path):
    masks = torch.zeros(4, 1, 16, 16)
    masks[:, :, 4:12, 4:12] = 1
    masks[2] = 0
    known = torch.tensor([True, False, True, True])
    data = InMemory(torch.rand(4, 3, 16, 16), torch.arange(4) % 2, masks, has_mask=known)
    quick = Protocol(stages=(Attacks(steps=1, restarts=1, curve=()),), only=True)
    model = tiny_classifier(data=data)
    result = evaluate(model, data, tmp_path / "result", name="M", protocol=quick, progress=False)
    (shown,) = ResultSet.of([result]).examples("data")
    assert sum(shown.shade(i) is not None for i in range(4)) == 2
    html = write_page([result], tmp_path / "p.html").read_text()
    assert html.count('<span class="when">the object</span>') == 2
    assert html.count('<span class="when">the image</span>') == 2


class Half(nn.Module):
    """A network whose own passes are in half precision, and its logits of that type."""

    def __init__(self, network: nn.Module, logits: torch.dtype) -> None:
        super().__init__()
        self.network, self.logits = network, logits

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16):
            return self.network(x).to(self.logits)


@pytest.mark.parametrize("logits", [torch.float32, torch.bfloat16, torch.float16])
def test_maps_and_logits_in_half_precision_are_kept_on_disk(tmp_path, learned, logits):  # noqa: F811
    given = Protocol(stages=(Attacks(steps=1, restarts=1, curve=()),), only=True, limit=20)
    model, data = Half(learned, logits), Blobs(image_size=32)
    result = evaluate(
        model, data, tmp_path / "half", domains=["train"], protocol=given, progress=False
    )
    assert "stability_others" in result.domains["train"].measures
    assert read_examples(result, "train").probability.dtype == np.float32
