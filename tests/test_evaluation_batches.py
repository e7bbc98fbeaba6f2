"""A kill loses one batch, memory that runs out halves it, and twins are found by their keys."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from cases import CAPTUM
from lookright.attacks import APGD, PGD, WorstCase
from lookright.errors import UserError
from lookright.evaluation import ExplanationAttacks, evaluate
from lookright.evaluation.cache import PARTIAL
from lookright.evaluation.result import read_examples
from lookright.explainers import InputGradient
from models_for_tests import BrokenError
from test_evaluation import ChannelMeans, Margins, figures, judge, protocol
from tiny import Blobs, tiny_classifier


class Counted(Margins):
    """Notes the samples that were asked for, and loses power after so many batches."""

    def __init__(self, batches=99):
        super().__init__()
        self._left, self._seen = batches, []

    def samples(self, domain, indices):
        if not self._left:
            raise BrokenError
        self._left -= 1
        self._seen += indices
        return super().samples(domain, indices)


def test_a_kill_loses_no_finished_batch(tmp_path):
    given = {"domains": ["other"], "changes": {"batch_size": 4}}
    with pytest.raises(BrokenError):
        judge(tmp_path / "cut", data=Counted(3), **given)
    assert not (tmp_path / "cut" / "result.json").exists()
    rest = Counted()
    resumed = judge(tmp_path / "cut", data=rest, **given)
    assert len(rest._seen) == 4
    assert not (tmp_path / "cut" / PARTIAL).exists()
    whole = judge(tmp_path / "whole", data=Counted(), **given)
    assert resumed.domains == whole.domains
    one, other = (read_examples(each, "other") for each in (resumed, whole))
    assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ("images", "saliency"))


@pytest.mark.parametrize("change", [{"eps": 0.03}, {"seed": 1}, {"attacks": {"steps": 3}}])
def test_batches_of_another_protocol_are_not_taken(tmp_path, change):
    given = {"domains": ["other"]}
    with pytest.raises(BrokenError):
        judge(tmp_path, data=Counted(3), changes={"batch_size": 4}, **given)
    again = Counted()
    judge(tmp_path, data=again, changes={"batch_size": 4} | change, **given)
    assert len(again._seen) == 16


class Brighter(Counted):
    """The same names, and other images."""

    def fingerprint(self, domain):
        return "brighter"

    def samples(self, domain, indices):
        batch = super().samples(domain, indices)
        return replace(batch, images=batch.images * 1.5)


def test_batches_of_other_images_are_not_taken(tmp_path):
    given = {"domains": ["other"], "changes": {"batch_size": 4}}
    with pytest.raises(BrokenError):
        judge(tmp_path, data=Counted(3), **given)
    again = Brighter()
    judge(tmp_path, data=again, **given)
    assert len(again._seen) == 16


def test_a_result_of_other_images_is_not_taken_for_theirs(tmp_path):
    judge(tmp_path, data=Counted(), domains=["other"])
    with pytest.raises(UserError, match="other images, masks or labels in domain 'other'"):
        judge(tmp_path, data=Brighter(), domains=["other"])
    result = judge(tmp_path, data=Brighter(), domains=["train"])
    assert set(result.domains) == {"other", "train"}
    result = judge(tmp_path, data=Brighter(), domains=["other"], overwrite=True)
    assert set(result.domains) == {"other"}
    assert judge(tmp_path, data=Brighter(), domains=["other"]).domains == result.domains


def test_a_damaged_batch_is_judged_again(tmp_path):
    given = {"domains": ["other"], "changes": {"batch_size": 4}}
    with pytest.raises(BrokenError):
        judge(tmp_path, data=Counted(3), **given)
    first, *_ = sorted((tmp_path / PARTIAL).rglob("*.npz"))
    first.write_bytes(first.read_bytes()[:100])
    rest = Counted()
    judge(tmp_path, data=rest, **given)
    assert len(rest._seen) == 8


class Small(ChannelMeans):
    """A memory of so many images."""

    def __init__(self, holds, error):
        super().__init__()
        self.holds, self.error = holds, error

    def forward(self, x):
        if len(x) > self.holds:
            raise self.error
        return super().forward(x)


def test_memory_that_runs_out_halves_the_batch(tmp_path):
    model = Small(8, torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.warns(UserWarning, match="is too small for a batch of 16 images; going on with 8"):
        halved = judge(tmp_path / "a", model, domains=["other"])
    plain = judge(tmp_path / "b", domains=["other"])
    assert figures(halved) == pytest.approx(figures(plain), abs=1e-6)


class Tinted(Blobs):
    """The domain `shifted` shows the same blobs upside down."""

    def keys(self, domain):
        return super().keys("train")

    def samples(self, domain, indices):
        batch = super().samples("train", indices)
        if domain == "train":
            return batch
        return type(batch)(batch.images.flip(2), batch.labels, batch.domains)


def test_explanations_are_compared_with_those_at_home(tmp_path):
    data = Tinted()
    home, away = data.domains[:2]
    result = evaluate(
        tiny_classifier(data=data),
        data,
        tmp_path,
        train_domains=[home],
        protocol=protocol(),
        progress=False,
    )
    assert "stability_domain" not in result.domains[home].measures
    assert result.domains[away].measures["stability_domain"].value < 0.999
    baselines = result.domains[away].baselines
    assert baselines["centre"]["stability_domain"].value == pytest.approx(1)
    assert baselines["random"]["stability_domain"].value < 0.9
    unpaired = judge(tmp_path / "unpaired", tiny_classifier(), Blobs(), train_domains=[home])
    assert "stability_domain" not in unpaired.domains[away].measures


def test_an_identical_twin_is_stable(tmp_path):
    class Same(Tinted):
        def samples(self, domain, indices):
            return Blobs.samples(self, "train", indices)

    result = judge(tmp_path, tiny_classifier(), Same(), train_domains=["train"])
    away = result.domains[Same.domains[1]]
    assert away.measures["stability_domain"].value == pytest.approx(1, abs=1e-6)


def test_the_first_images_are_shown_across_batches(tmp_path):
    result = judge(tmp_path, domains=["other"], changes={"batch_size": 2, "examples": 5})
    shown = read_examples(result, "other")
    assert len(shown) == 5


@pytest.mark.parametrize("explainer", [InputGradient(), CAPTUM], ids=["gradient", "search"])
def test_figures_do_not_depend_on_how_many_images_are_judged_at_once(tmp_path, explainer):
    given = {
        "eps": 0.02,
        "attacks": {"attacks": (APGD(0.02, 5), WorstCase((PGD(0.02, 2), PGD(0.02, 2))))},
        "stages": (ExplanationAttacks(("topk", "centre")),),
        "explainer": explainer,
        "limit": 20,
    }
    found = {}
    for size in (10, 7, 1):
        changes = given | {"batch_size": size}
        result = judge(tmp_path / str(size), tiny_classifier(), Blobs(), changes, domains=["other"])
        measures = result.domains["other"].measures
        found[size] = {key: estimate.value for key, estimate in measures.items()}
    assert {"stability_cosine", "manipulated_topk", "accuracy_worstcase"} <= found[10].keys()
    assert found[10]["stability_cosine"] < 0.99
    for size in (7, 1):
        assert found[size] == pytest.approx(found[10], abs=1e-5)


def test_overwriting_takes_no_batch_that_was_left(tmp_path):
    given = {"domains": ["other"], "changes": {"batch_size": 4}}
    with pytest.raises(BrokenError):
        judge(tmp_path, data=Counted(3), **given)
    again = Counted()
    judge(tmp_path, data=again, overwrite=True, **given)
    assert len(again._seen) == 16


def test_a_folder_of_the_users_stays(tmp_path):
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "notes.txt").write_text("mine")
    judge(tmp_path, domains=["other"])
    assert (tmp_path / "partial" / "notes.txt").read_text() == "mine"


def test_a_result_of_another_version_is_told(tmp_path, monkeypatch):
    judge(tmp_path, domains=["train"])
    later = {"revision": None, "lookright": "99"}
    monkeypatch.setattr(sys.modules["lookright.evaluation.evaluate"], "versions", lambda: later)
    with pytest.warns(UserWarning, match=r"of lookright .*, which is kept; this is 99.*overwrite"):
        judge(tmp_path, domains=["train"])
