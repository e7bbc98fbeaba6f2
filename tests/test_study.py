"""The study of masks in miniature, its figure, and what it calls the quality of a mask."""

import json

import pytest
import torch

from lookright.batch import Batch
from lookright.cli import main
from lookright.data import Shortcut
from lookright.guides import HumanMask, LearnedMask, Part, Swapped
from lookright.models import SmallResNet
from lookright.report.quality import Trained, quality_figure, quality_table
from lookright.verbs import study as module
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
    assert rows["perfect"]["shifted"] == pytest.approx(sum(shifted) / 4)
    assert rows["perfect"]["reversed"] == shifted[0]
    assert rows["perfect"]["accuracy"] == result.domains["train"].measures["accuracy"].value
    assert (tmp_path / "masks.png").read_bytes()[:4] == b"\x89PNG"
    assert "learned" in (tmp_path / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "swapped" in printed
    assert "masks.png" in printed


def test_the_learned_masks_point_is_guided_as_the_others_are():
    entries = {entry.name: entry for entry in module._entries()}
    model = SmallResNet(10)
    learned, given = entries["learned"].method(model), entries["perfect"].method(model)
    assert isinstance(learned.guide, LearnedMask)
    assert isinstance(given.guide, HumanMask)
    for same in ("guidance", "distance", "explainer"):
        assert getattr(learned, same) == getattr(given, same)


def test_quality_is_the_soft_iou():
    masks = torch.zeros(2, 1, 8, 8)
    masks[0, :, :4], masks[1, :, 4:] = 1, 1
    batch = Batch(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]), None, masks)
    assert module._quality(HumanMask(), batch) == 1
    assert module._quality(Part(0.5), batch) == pytest.approx(0.5)
    assert module._quality(Swapped(), batch) == 0


def test_the_table_says_mean_and_spread_with_the_best_masks_first(tmp_path):
    def trained(masks, seed, quality, accuracy):
        return Trained(masks, seed, quality, accuracy, 0.5, 0.25, 0.125, 10)

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
    assert columns[-1] == ["1", "1", "2"]
    assert quality_figure(tmp_path / "masks.png", rows).stat().st_size > 10_000
