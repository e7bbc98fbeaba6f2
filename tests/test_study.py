"""The study of masks in miniature, its figure, and what it calls the quality of a mask."""

import json
import re
from functools import partial

import pytest
import torch

from lookright.batch import Batch
from lookright.cli import main
from lookright.data import Shortcut
from lookright.explainers import GradCAM
from lookright.guides import HumanMask, LearnedMask, Part, Swapped, Target
from lookright.methods import ALIGN
from lookright.models import SmallResNet
from lookright.report.quality import Trained, quality_figure, quality_table
from lookright.training import Run
from lookright.verbs import study as module
from planted import planted, planted_masks
from tiny import newest


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """A narrow network, few digits and three kinds of masks."""
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))
    keys = Shortcut.keys
    monkeypatch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:90])
    kept = {name: module._GUIDES[name] for name in ("perfect", "swapped")}
    monkeypatch.setattr(module, "_GUIDES", kept)


@pytest.mark.filterwarnings("ignore:MaskAlignment has terms that a map which says nothing")
def test_the_study_trains_by_every_mask_and_draws_them(tmp_path, capsys):
    main(["study", "masks", "--output", str(tmp_path), "--epochs", "1", "--strength", "0.8"])
    rows = {row["masks"]: row for row in json.loads((tmp_path / "masks.json").read_text())}
    assert list(rows) == ["none", "perfect", "swapped", "learned"]
    assert rows["none"]["quality"] is None
    assert rows["perfect"]["quality"] == 1
    assert 0 < rows["swapped"]["quality"] < 0.5
    assert 0 < rows["learned"]["quality"] < 0.5
    result = newest(next(tmp_path.glob("perfect-train-0-*")))
    assert result.config["data"]["spec"]["init_args"]["strength"] == 0.8
    assert result.config["command"] == ("lookright study masks --seeds 1 --epochs 1 --strength 0.8")
    shifted = [result.domains[name].measures["accuracy"].value for name in module._SHIFTED]
    measures = result.domains["train"].measures
    assert rows["perfect"]["measures"] == {
        "Accuracy, in distribution": measures["accuracy"].value,
        "Accuracy, mean of the shifted domains": pytest.approx(sum(shifted) / 4),
        "Accuracy, correlation reversed": shifted[0],
        "Explanation's mass on the object": measures["localisation_mass"].value,
    }
    assert (tmp_path / "masks.png").read_bytes()[:4] == b"\x89PNG"
    assert "learned" in (tmp_path / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "swapped" in printed
    assert "masks.png" in printed


FILE = """
data: {folder: DATA, images: images, masks: masks, image_size: 32}
domains: [one, two]
only: [one]
methods:
  EGAT:
  ours:
    method: {class_path: ALIGN, init_args: {guidance: 2}}
    training: {weight_decay: 0.25}
training: {epochs: 1, batch_size: 8}
against: EGAT
hypotheses: [{method: ours, better_than: EGAT, measure: accuracy, where: out of distribution}]
seeds: 3
which: last
evaluation: {stages: {attacks: {steps: 1, curve: []}}}
"""


@pytest.fixture
def own(tmp_path):
    """A benchmark's file beside planted images with masks."""
    images = planted(tmp_path / "DATA" / "images", ("one", "two"), n=30)
    planted_masks(tmp_path / "DATA" / "masks", images)
    (tmp_path / "own.yaml").write_text(FILE)
    return tmp_path / "own.yaml"


def study(*options: object) -> None:
    main(["study", "masks", *map(str, options)])


@pytest.mark.filterwarnings("ignore:.*which says nothing", "ignore:.*a batch has a non-empty mask")
def test_on_ones_own_images_as_a_benchmark_says(own, monkeypatch):
    output, masker, epochs = own.parent / "out", Run.masker, []
    monkeypatch.setattr(
        Run, "masker", lambda run, which="best": (epochs.append(which), masker(run, which))[1]
    )
    study("--like", own, "--seeds", "1", "--output", output)
    assert set(epochs) == {"last"}
    rows = {row["masks"]: row for row in json.loads((output / "masks.json").read_text())}
    assert list(rows) == ["none", "perfect", "swapped", "learned"]
    assert rows["perfect"]["quality"] == pytest.approx(1)
    result = newest(next(output.glob("perfect-one-0-*")))
    domains = result.domains
    assert set(domains) == {"one", "two"}
    found = rows["perfect"]["measures"]
    assert found["Balanced accuracy, in distribution"] == value(domains["one"], "balanced_accuracy")
    assert found["AUC, mean of the other domains"] == value(domains["two"], "auc")
    assert found["Explanation's mass on the object"] == value(domains["one"], "localisation_mass")
    assert len(found) == 5
    assert rows["perfect"]["n"] == domains["one"].n
    assert Run(next(output.glob("perfect-one-0-*"))).method().guidance == 2
    trained = [json.loads(each.read_text()) for each in output.glob("*-one-0-*/config.json")]
    assert [each["settings"]["init_args"]["weight_decay"] for each in trained] == [0.25] * 4


def value(domain, measure):
    return domain.measures[measure].value


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (("only: [one]\n", ""), [], "2 sets of training domains: name one domain under only"),
        ((", masks: masks", ""), [], "perfect: .*needs masks"),
        (
            ("    training: {w", "    search: {method.guidance: [1, 3]}\n    training: {w"),
            [],
            "trains with one setting, but the file tries 2 of ours: give it the one",
        ),
        (
            ("    training: {w", "    gradient_penalty: 0.1\n    training: {w"),
            [],
            "ours of the file has more than ALIGN's terms: leave gradient_penalty",
        ),
        (
            ("    training: {w", "    search: {gradient_penalty: [0.1]}\n    training: {w"),
            [],
            "ours of the file has more than ALIGN's terms: leave gradient_penalty",
        ),
        (("  EGAT:\n", "  EGAT:\n  plain: ALIGN\n"), [], "one ALIGN, but the file has plain and"),
        (("", ""), ["--epochs", "3"], "--epochs and --strength are for Shortcut"),
    ],
)
def test_a_file_that_does_not_fit_the_study_is_said(own, change, options, said, capsys):
    own.write_text(FILE.replace(*change))
    with pytest.raises(SystemExit):
        study("--like", own, *options)
    assert re.search(said, capsys.readouterr().err)


def test_ones_own_images_need_a_file(tmp_path, capsys):
    with pytest.raises(SystemExit):
        study("--data", tmp_path)
    assert "the file of a benchmark in --like" in capsys.readouterr().err


def test_the_learned_masks_point_is_guided_as_the_others_are():
    align = partial(ALIGN, guidance=3.0, explainer=GradCAM("first"))
    entries = {entry.name: entry for entry in module._entries(align)}
    model = SmallResNet(10)
    learned, given = entries["learned"].method(model), entries["perfect"].method(model)
    assert isinstance(learned.guide, LearnedMask)
    assert isinstance(given.guide, HumanMask)
    assert (given.guidance, given.explainer) == (3.0, GradCAM("first"))
    for same in ("guidance", "distance", "explainer"):
        assert getattr(learned, same) == getattr(given, same)


class Whole(HumanMask):
    """The whole image."""

    def __call__(self, batch, saliency):
        return Target(torch.ones_like(batch.masks[:, 0]), is_mask=True)


def test_quality_is_the_soft_iou():
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, :, :4], masks[1, :, 4:] = 1, 1
    batch = Batch(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), None, masks)
    assert module._quality(HumanMask(), [batch]) == 1
    assert module._quality(Part(0.5), [batch]) == pytest.approx(0.5)
    assert module._quality(Swapped(), [batch]) == 0
    quarter = torch.zeros(1, 1, 8, 8)
    quarter[..., :4, :4] = 1
    other = Batch(batch.images[:1], batch.labels[:1], None, quarter)
    assert module._quality(Whole(), [batch, other]) == pytest.approx((2 * 0.5 + 0.25) / 3)


def test_the_table_says_mean_and_spread_with_the_best_masks_first(tmp_path):
    def trained(masks, seed, quality, accuracy):
        return Trained(masks, seed, quality, {"accuracy": accuracy, "on object": 0.125}, 10)

    rows = [
        trained("none", 0, None, 0.9),
        trained("none", 1, None, 0.7),
        trained("random", 0, 0.0, 0.8),
        trained("perfect", 0, 1.0, 0.95),
    ]
    table = quality_table(rows)
    columns = [list(column.cells) for column in table.columns]
    assert columns[0] == ["perfect", "random", "none"]
    assert columns[1] == ["1.000", "0.000", "none"]
    assert columns[2] == ["0.950", "0.800", "0.800 ± 0.141"]
    assert columns[3] == ["0.125", "0.125", "0.125 ± 0.000"]
    assert columns[-1] == ["1", "1", "2"]
    assert quality_figure(tmp_path / "masks.png", rows).stat().st_size > 10_000
