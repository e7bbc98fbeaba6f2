"""Evaluation: planted models with known figures, fair parts, resuming, and signs of masking."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lookright.attacks import L2, PGD, Ball, LInf, Square
from lookright.attacks.goals import TopK
from lookright.batch import Batch
from lookright.data import ImageData
from lookright.data.dataset import part_of
from lookright.errors import UserError
from lookright.evaluation import (
    Attacks,
    Claims,
    Corruptions,
    Diagnostics,
    ExplanationAttacks,
    Explanations,
    OtherDomain,
    Protocol,
    evaluate,
)
from lookright.evaluation.cache import PARTIAL
from lookright.evaluation.result import read_examples, read_result
from lookright.explainers import InputGradient, SmoothGrad
from lookright.models import Classifier
from lookright.spec import build, identity, spec_of
from models_for_tests import BrokenError, Fails, same_state, state_of, used
from tiny import Blobs, tiny_classifier

MARGINS = (-0.05, 0.01, 0.03, 0.05, 0.08, 0.08, 0.2, 0.3)
"""How far the mean of the first channel is above that of the second, or for class 1 below."""


class Margins(ImageData):
    """Grey images, with channels apart by the planted margins; the object is the upper half."""

    name = "Margins"
    classes = ("first", "second")
    domains = ("train", "twin", "other")
    has_masks = True
    image_size = 4

    def __init__(self, copies: int = 2) -> None:
        self.copies, self.n = copies, len(MARGINS) * copies

    def keys(self, domain):
        return [f"{'other' if domain == 'other' else 'same'} {i}" for i in range(self.n)]

    def fingerprint(self, domain):
        return f"{self.n} {domain}"

    def samples(self, domain, indices):
        at = torch.as_tensor(indices)
        label = at // len(MARGINS) % 2
        margin = torch.tensor(MARGINS)[at % len(MARGINS)] * (1 - 2 * label)
        images = torch.full((len(at), 3, 4, 4), 0.5)
        images[:, 0] += margin[:, None, None] / 2
        images[:, 1] -= margin[:, None, None] / 2
        masks = torch.zeros(len(at), 1, 4, 4)
        masks[:, :, :2] = 1
        return Batch(
            images, label, torch.full_like(at, self.domain_index(domain)), masks, at % 4 != 0
        )


class ChannelMeans(nn.Module):
    """Logits 10 times the means of the first two channels: L-inf eps moves their gap by 2 eps."""

    classes = Margins.classes

    def __init__(self):
        super().__init__()
        self.first = nn.Identity()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, x):
        return self.scale * self.first(x).mean((2, 3))[:, :2]


LINF = LInf()


def protocol(
    eps=0.02, norm=LINF, attacks=None, explanations=None, diagnostics=None, claims=None,
    stages=(), **changes,
) -> Protocol:  # fmt: skip
    """A quick one; of a stage the options by their names."""
    return Protocol(
        ball=Ball(norm, eps),
        stages=(
            Attacks(**({"steps": 2, "restarts": 1, "curve": (0.01, 0.05)} | (attacks or {}))),
            Explanations(**({"removal_steps": 1} | (explanations or {}))),
            Diagnostics(**(diagnostics or {})),
            Claims(**(claims or {})),
            *stages,
        ),
        **({"explainer": InputGradient(), "examples": 3} | changes),
    )


def judge(folder, model=None, data=None, changes=None, **arguments):
    return evaluate(
        model or ChannelMeans(),
        data or Margins(),
        folder,
        protocol=protocol(**(changes or {})),
        progress=False,
        **arguments,
    )


@pytest.fixture(scope="module")
def learned():
    """A tiny classifier that has seen Blobs a few times."""
    data = Blobs()
    batch, model = data.samples("train", range(data.n)), tiny_classifier(data=data)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(batch.images), batch.labels).backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


def figures(result):
    return {
        (domain, key): estimate.value
        for domain, of in result.domains.items()
        for key, estimate in of.measures.items()
    }


def test_planted_figures_come_out_exactly(tmp_path):
    judge(tmp_path, domains=["other"], name="planted", about="A model.", seed=7)
    raw = json.loads((tmp_path / "result.json").read_text())
    other = raw["domains"]["other"]
    value = {key: estimate["value"] for key, estimate in other["measures"].items()}
    assert (raw["name"], raw["about"], raw["seed"]) == ("planted", "A model.", 7)
    assert (other["n"], other["in_distribution"]) == (16, False)
    # Of 8 margins 7 are above 0; above 2 * 0.02 are 5; above 2 * 0.01 are 6; above 2 * 0.05 are 2.
    assert value["accuracy"] == 7 / 8
    assert value["accuracy_fgsm"] == value["accuracy_pgd"] == value["accuracy_adversarial"] == 5 / 8
    curve = other["stages"]["attacks"]["curve"]
    assert [(p["eps"], p["accuracy"]["value"]) for p in curve] == [
        (0.0, 7 / 8),
        (0.01, 6 / 8),
        (0.02, 5 / 8),
        (0.05, 2 / 8),
    ]
    points = [p["accuracy"] for p in curve]
    assert all(p["low"] <= p["value"] <= p["high"] and p["n"] == 16 for p in points)
    # The saliency is the same everywhere, so it says nothing, which is counted and told.
    assert value["degenerate_maps"] == 1
    assert value["stability_cosine"] == 0
    assert value["localisation_mass"] == pytest.approx(0.5)
    assert value["mask_area"] == 0.5
    assert other["measures"]["mask_area"]["n"] == 12  # every fourth image has no mask
    assert (
        value["auc"] == (59 - 1 / 2 - 1 / 2) / 64
    )  # -0.05 is beaten by itself, 0.01, 0.03; ties 0.05
    assert other["warnings"] == ["100% of the explanations are empty or constant."]


def test_the_worst_of_all_attacks_is_never_above_one_and_the_curve_falls(tmp_path, learned):
    attacks = {"curve": tuple(k / 255 for k in (1, 2, 16)), "restarts": 2}
    changes = {"eps": 4 / 255, "attacks": attacks}
    result = judge(tmp_path, learned, Blobs(), changes)
    for domain in result.domains.values():
        value = {key: estimate.value for key, estimate in domain.measures.items()}
        under = min(value["accuracy_fgsm"], value["accuracy_pgd"], value["accuracy"])
        assert value["accuracy_adversarial"] <= under
        eps, curve = zip(
            *((p.eps, p.accuracy.value) for p in Attacks.of(domain).curve), strict=True
        )
        assert list(eps) == sorted(eps)
        assert list(curve) == sorted(curve, reverse=True)
        assert curve[0] == value["accuracy"]
        assert dict(zip(eps, curve, strict=True))[4 / 255] == value["accuracy_adversarial"]
        assert value["accuracy_adversarial"] < value["accuracy"]


def test_only_samples_that_training_cannot_have_seen_are_judged(tmp_path):
    data = Margins(10)
    test = sum(part_of(key) == "test" for key in data.keys("train"))
    result = judge(tmp_path, data=data, train_domains=["train"])
    assert 0 < test < data.n
    assert {name: of.n for name, of in result.domains.items()} == {
        "train": test,
        "twin": test,  # the same samples under another name
        "other": data.n,
    }
    assert [of.in_distribution for of in result.domains.values()] == [True, False, False]
    assert result.train_domain == ("train",)


class Killed(Margins):
    """A power cut when the second domain is reached; then it must not need the first again."""

    def __init__(self, forbidden):
        super().__init__()
        self._forbidden = forbidden

    def samples(self, domain, indices):
        if domain == self._forbidden:
            raise BrokenError
        return super().samples(domain, indices)


def test_a_killed_evaluation_goes_on_without_doing_again_what_is_done(tmp_path):
    domains = {"domains": ["train", "other"], "config": {"size": (1, 2)}}
    with pytest.raises(BrokenError):
        judge(tmp_path / "cut", data=Killed("other"), **domains)
    assert list(read_result(tmp_path / "cut").domains) == ["train"]
    resumed = judge(tmp_path / "cut", data=Killed("train"), **domains)
    whole = judge(tmp_path / "whole", **domains)
    assert resumed.domains == whole.domains
    for domain in domains["domains"]:
        one, other = read_examples(resumed, domain), read_examples(whole, domain)
        assert one is not None
        assert np.array_equal(one.shown["attacks"]["attacked"], other.shown["attacks"]["attacked"])


def test_a_result_without_its_examples_is_made_anew(tmp_path):
    judge(tmp_path, domains=["other"])
    (tmp_path / "examples.npz").unlink()
    judge(tmp_path, domains=["other"])
    assert (tmp_path / "examples.npz").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"changes": {"eps": 0.03}}, r"settings.ball.eps 0.02 instead of 0.03"),
        ({"changes": {"attacks": {"steps": 3}}}, r"settings.stages.steps 2 instead of 3"),
        ({"name": "b"}, "name a instead of b"),
        ({"data": Margins(3)}, r"config.judged.data.copies 2 instead of 3"),
        ({"config": {"lr": 2}}, "config.lr 1 instead of 2"),
        ({"train_domains": ["train"]}, "train_domain"),
    ],
)
def test_another_result_is_never_overwritten_silently(tmp_path, change, named):
    given = {"domains": ["other"], "name": "a", "config": {"lr": 1}}
    judge(tmp_path, **given)
    before = (tmp_path / "result.json").read_bytes()
    with pytest.raises(UserError, match=rf"holds another result, with .*{named}.*--overwrite"):
        judge(tmp_path, **(given | change))
    assert (tmp_path / "result.json").read_bytes() == before
    replaced = judge(tmp_path, **(given | change), overwrite=True)
    assert read_result(tmp_path).settings == replaced.settings


def test_another_model_is_another_result(tmp_path):
    judge(tmp_path, tiny_classifier(0), Blobs())
    with pytest.raises(UserError, match=r"config\.judged\.weights"):
        judge(tmp_path, tiny_classifier(1), Blobs())


@pytest.mark.parametrize("broken", [False, True])
def test_the_model_comes_back_as_it_was(tmp_path, broken):
    model = used(Fails(tiny_classifier(), 9 if broken else -1))
    before = state_of(model)
    if broken:
        with pytest.raises(BrokenError):
            judge(tmp_path, model, Blobs(), domains=["train"])
    else:
        judge(tmp_path, model, Blobs(), domains=["train"])
    assert same_state(before, state_of(model))


def test_the_same_seed_gives_the_same_figures_and_another_other_ones(tmp_path, learned):
    changes = {"explainer": SmoothGrad(samples=2), "eps": 4 / 255, "limit": 24}
    results = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        results.append(judge(tmp_path / str(number), learned, Blobs(), changes | {"seed": seed}))
        assert torch.initial_seed() == number
    same, again, different = (result.domains for result in results)
    assert same == again
    assert same != different


def test_figures_do_not_depend_on_the_batch_size(tmp_path, learned):
    few = {"limit": 20, "batch_size": 7}
    one = figures(judge(tmp_path / "7", learned, Blobs(), few))
    all_ = figures(judge(tmp_path / "20", learned, Blobs(), few | {"batch_size": 20}))
    fixed = ("accuracy", "auc", "accuracy_fgsm", "sufficiency_blur", "comprehensiveness_mean")
    assert one.keys() == all_.keys()
    for domain, key in one:
        if key in (*fixed, "degenerate_maps"):
            assert one[domain, key] == pytest.approx(all_[domain, key], abs=1e-6), key


def test_one_more_radius_moves_no_other_figure(tmp_path, learned):
    few = judge(tmp_path / "few", learned, Blobs())
    more = judge(tmp_path / "more", learned, Blobs(), {"attacks": {"curve": (0.01, 0.03, 0.05)}})
    assert figures(few) == figures(more)


def test_the_callers_autocast_and_grad_mode_change_nothing(tmp_path, learned):
    plain = judge(tmp_path / "plain", learned, Blobs(), domains=["train"])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = judge(tmp_path / "mixed", learned, Blobs(), domains=["train"])
    with torch.inference_mode():
        inference = judge(tmp_path / "inf", learned, Blobs(), domains=["train"])
    assert plain.domains == mixed.domains == inference.domains


def test_limit_judges_a_draw_by_the_seed(tmp_path):
    labels = []
    for seed in (0, 1):
        changes = {"limit": 5, "seed": seed, "examples": 9}
        result = judge(tmp_path / str(seed), tiny_classifier(), Blobs(), changes)
        assert {of.n for of in result.domains.values()} == {5}
        drawn = [read_examples(result, domain) for domain in result.domains]
        assert [len(shown) for shown in drawn] == [5, 5]
        assert np.array_equal(drawn[0].labels, drawn[1].labels)
        labels.append(drawn[0].images.tolist())
    assert labels[0] != labels[1]


def test_examples_show_what_was_judged(tmp_path):
    result = judge(tmp_path, changes={"batch_size": 2})
    shown = read_examples(result, "other")
    attacked = shown.shown["attacks"]["attacked"]
    assert shown.images.shape == attacked.shape == (3, 4, 4, 3)
    assert shown.masks.shape == (3, 4, 4)
    difference = np.abs(shown.images.astype(int) - attacked.astype(int))
    assert 0 < difference.max() <= round(0.02 * 255) + 1
    assert ((shown.probability > 0.5) & (shown.probability <= 1)).all()


def test_data_without_masks_has_no_localisation(tmp_path):
    result = judge(tmp_path, tiny_classifier(), Blobs(), domains=["train"])
    assert not any("localisation" in key or "mask" in key for _, key in figures(result))
    assert read_examples(result, "train").masks is None


class Alike(Margins):
    """Every margin is 0.3."""

    def samples(self, domain, indices):
        batch = super().samples(domain, indices)
        batch.images[:, :2] = 0.5
        sign = (1 - 2 * batch.labels)[:, None, None]
        batch.images[:, 0] += 0.15 * sign
        batch.images[:, 1] -= 0.15 * sign
        return batch


class Landscape(nn.Module):
    """On `Alike`, right by `height` of how far the margin has shrunk, from 0 to 2 eps."""

    def __init__(self, height):
        super().__init__()
        self.first, self.height = nn.Identity(), height

    def forward(self, x):
        x = self.first(x)
        gap = (x[:, 0] - x[:, 1]).mean((1, 2))
        right = gap.sign() * self.height(0.3 - gap.abs())
        return torch.stack((right, -right), 1)


def staircase(moved):
    return (1 - (moved * 20).round() / 20 - 0.7 * moved.gt(0.9)).detach() + 0 * moved


def valley(moved):
    """A small step meets a wall that one large step jumps over."""
    before = torch.where(moved < 0.01, 1 - moved / 0.02, moved / 0.02)
    return torch.where(moved < 0.03, before, -1 + 0 * moved)


def pit(moved):
    """Wrong at one distance only, and the gradient leads beyond it."""
    wrong = (moved > 0.03) & (moved < 0.05)
    return torch.where(wrong, -moved, 1 - moved)


@pytest.mark.parametrize(
    ("height", "check"),
    [
        (staircase, "gradients"),
        (valley, "one step"),
        (pit, "radius"),
    ],
)
def test_masked_gradients_are_suspect(tmp_path, height, check):
    changes = {"attacks": {"steps": 20, "curve": (0.05,)}}
    result = judge(tmp_path, Landscape(height), Alike(4), changes, domains=["other"])
    judged = result.domains["other"]
    curve = [point.accuracy.value for point in Attacks.of(judged).curve]
    assert curve == sorted(curve, reverse=True)
    value = {key: estimate.value for key, estimate in judged.measures.items()}
    under = min(value["accuracy_fgsm"], value["accuracy_pgd"], value["accuracy"])
    assert value["accuracy_adversarial"] <= under
    assert check in [each.name for each in Diagnostics.of(judged) if each.verdict == "suspect"]


def test_honest_gradients_are_not_suspect(tmp_path, learned):
    attacks = {"curve": (2 / 255, 4 / 255), "steps": 10, "restarts": 2}
    changes = {"eps": 8 / 255, "attacks": attacks}
    result = judge(tmp_path, learned, Blobs(), changes)
    for of in result.domains.values():
        assert not of.warnings
        assert {each.verdict for each in Diagnostics.of(of)} == {"fine"}


def test_an_unknown_domain_and_other_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'other'"):
        judge(tmp_path, domains=["othr"])
    with pytest.raises(UserError, match="Did you mean 'train'"):
        judge(tmp_path, train_domains=["trian"])
    with pytest.raises(UserError, match=r"classes are first, second, those of Blobs red, green"):
        judge(tmp_path, data=Blobs())
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(UserError, match="2 classes, the data a label 2"):
        judge(tmp_path, network, Blobs())
    labelled = Classifier(tiny_classifier().network, Blobs.classes, 8)
    with pytest.raises(UserError, match="3 classes, the data a label 3"):
        judge(tmp_path, labelled, Blobs(labels_up_to=4))
    assert not (tmp_path / "result.json").exists()


class Broken(ChannelMeans):
    """NaN for images brighter than `above`."""

    def __init__(self, above: float) -> None:
        super().__init__()
        self.above = above

    def forward(self, x):
        return torch.where(x.amax((1, 2, 3))[:, None] > self.above, torch.nan, super().forward(x))


def test_a_model_that_gives_nan_is_refused_at_its_first_batch(tmp_path):
    with pytest.raises(UserError, match="NaN or infinity for all 16 images"):
        judge(tmp_path, Broken(0), domains=["other"])
    assert not (tmp_path / PARTIAL).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": 8}, "Did you mean 8/255"),
        ({"attacks": {"curve": (0.1, -1.0)}}, "between 0 and 1"),
        ({"explanations": {"fills": ("mean", "blurr")}}, "Did you mean 'blur'"),
        ({"limit": 0}, "limit must be 1 or more"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"attacks": {"steps": 0}}, "at least 1 step"),
        ({"attacks": {"attacks": (Square(0.05),)}}, "0.02, L-inf, but Square has 0.05, L-inf"),
        ({"attacks": {"attacks": (Square(0.02, norm=L2()),)}}, "but Square has 0.02, L2"),
        ({"norm": L2(), "attacks": {"attacks": (PGD(0.02),)}}, "0.02, L2, but PGD has 0.02, L-inf"),
        ({"stages": (Corruptions(("fogg",)),)}, "Unknown corruption 'fogg'.*Did you mean 'fog'"),
        ({"stages": (Corruptions(severities=(6,)),)}, "Severity 6; expected a whole number"),
        ({"stages": (Corruptions(()),)}, "needs a name and a severity"),
        ({"stages": (ExplanationAttacks(("topp",)),)}, "Did you mean 'topk'"),
        ({"stages": (ExplanationAttacks(()),)}, "needs a goal"),
        ({"stages": (Corruptions(("fog", "fog")),)}, "Two corruptions are called fog"),
        (
            {"stages": (ExplanationAttacks((TopK(0.3), "centre", TopK(0.4))),)},
            "Two goals are called TopK, .* a name of its own",
        ),
        ({"stages": (ExplanationAttacks(("topk", TopK())),)}, "Two goals are called topk"),
        ({"explanations": {"fills": ("mean", "mean")}}, "Two fills are called mean"),
        ({"stages": (OtherDomain(), OtherDomain())}, "two are called other_domain"),
        ({"claims": {"tau": 0.0}}, "tau is the least similarity"),
        ({"claims": {"delta": 1.0}}, "delta"),
        ({"diagnostics": {"images": 0}}, "1 image or more"),
        ({"metrics": (torch.relu,)}, "relu is not declared as a metric"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        protocol(**change)


def test_a_protocol_comes_back_from_its_spec():
    given = protocol(limit=4, norm=L2(), stages=(Corruptions(("fog",)),)).thorough()
    assert build(json.loads(json.dumps(spec_of(given)))) == given
    assert identity(given) == identity(replace(given)) != identity(replace(given, limit=5))


def test_protocols_that_run_the_same_are_one():
    assert identity(Protocol(stages=(Attacks(),)).resolved) == identity(Protocol().resolved)
    assert identity(Protocol(stages=(Attacks(3),)).resolved) != identity(Protocol().resolved)
    ball = Ball(eps=4 / 255)
    moved = Protocol(ball, stages=(Attacks(attacks=(Square(),)),)).resolved.stage(Attacks)
    assert moved.attacks == (Square(4 / 255),)
