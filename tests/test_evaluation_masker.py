"""A learned mask is judged against the true object, and moves no figure of its model."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.evaluation.result import read_examples, read_result
from models_for_tests import BrokenError, Tiny, same_state, state_of, used
from test_evaluation import Killed, figures, judge
from tiny import Blobs, tiny_classifier

KEYS = {"mask_mass", "mask_iou", "mask_soft_iou", "mask_coverage"}


class Rows(nn.Module):
    """One mask for every image: a row for each value, as coarse as that."""

    def __init__(self, *rows: float) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows)[None, None, :, None])

    def forward(self, images: Tensor) -> Tensor:
        return self.rows.expand(len(images), -1, -1, 1)


class Nervous(nn.Module):
    """Dropout and BatchNorm before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Tiny(1)

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images).sigmoid()[:, :, None, None]


@pytest.mark.parametrize(
    ("rows", "mass", "iou", "soft_iou", "coverage"),
    [
        ((1.0, 1.0, 0.0, 0.0), 1.0, 1.0, 1.0, 0.5),
        ((1.0, 0.0), 1.75 / 2, 1.0, 1.75 / 2.25, 0.5),  # enlarged to rows of 1, 0.75, 0.25 and 0
        ((0.0, 0.6, 0.6, 0.0), 0.5, 1 / 3, 0.6 / 2.6, 0.3),
        ((1.0,), 0.5, 0.5, 0.5, 1.0),
    ],
)
def test_planted_masks_come_out_exactly(tmp_path, rows, mass, iou, soft_iou, coverage):
    judge(tmp_path, domains=["other"], masker=Rows(*rows))
    found = json.loads((tmp_path / "result.json").read_text())["domains"]["other"]["measures"]
    expected = {
        "mask_mass": mass,
        "mask_iou": iou,
        "mask_soft_iou": soft_iou,
        "mask_coverage": coverage,
    }
    assert {key: found[key]["value"] for key in KEYS} == pytest.approx(expected)
    # Every fourth of the 16 images has no true mask, but each has a learned one.
    every = json.loads((tmp_path / "result.json").read_text())["domains"]["other"]["baselines"]
    # The true mask is the upper half of each image, and the middle as bright in both.
    assert every["centre"]["mask_mass"]["value"] == pytest.approx(0.5)
    assert every["centre"]["mask_iou"]["value"] == pytest.approx(2 / (8 + 2))
    assert every["random"]["mask_coverage"]["value"] == pytest.approx(0.5, abs=0.1)
    assert {key: found[key]["n"] for key in KEYS} == dict.fromkeys(KEYS, 12) | {"mask_coverage": 16}
    shown = read_examples(read_result(tmp_path), "other")
    learned = shown.shown["learned_masks"]["masks"]
    assert learned.shape == (3, 4, 4)
    assert learned.mean() / 255 == pytest.approx(coverage, abs=0.01)
    assert np.array_equal(learned[:, 0], learned[:, 0, :1].repeat(4, 1))


def test_a_masker_moves_no_figure_of_its_model(tmp_path):
    alone = judge(tmp_path / "alone", domains=["other"])
    beside = judge(tmp_path / "beside", domains=["other"], masker=Rows(1.0, 0.0))
    new = {("other", key) for key in KEYS}
    assert figures(beside).keys() - figures(alone).keys() == new
    assert figures(alone).items() <= figures(beside).items()
    assert "masker" not in alone.config["judged"]
    assert "learned_masks" not in read_examples(alone, "other").shown


def test_without_true_masks_there_is_the_coverage_alone(tmp_path):
    result = judge(tmp_path, tiny_classifier(), Blobs(), domains=["train"], masker=Rows(0.25))
    assert {key for _, key in figures(result) if "mask" in key} == {"mask_coverage"}
    assert figures(result)["train", "mask_coverage"] == pytest.approx(0.25)


@pytest.mark.parametrize("broken", [False, True])
def test_the_masker_is_judged_as_it_is_used_and_comes_back_as_it_was(tmp_path, broken):
    masker = used(Nervous())
    before = state_of(masker)
    if broken:
        with pytest.raises(BrokenError):
            judge(tmp_path, data=Killed("other"), domains=["other"], masker=masker)
    else:
        learned = [
            read_examples(judge(tmp_path / str(size), changes={"batch_size": size}, masker=masker),
                          "other").shown["learned_masks"]["masks"]
            for size in (3, 16)
        ]  # fmt: skip
        assert np.array_equal(*learned)
    assert same_state(before, state_of(masker))


def test_a_killed_evaluation_goes_on_and_another_masker_is_another_result(tmp_path):
    given = {"domains": ["train", "other"], "masker": Rows(1.0, 0.0)}
    with pytest.raises(BrokenError):
        judge(tmp_path, data=Killed("other"), **given)
    resumed = judge(tmp_path, data=Killed("train"), **given)
    assert all(figures(resumed)[domain, "mask_coverage"] == 0.5 for domain in given["domains"])
    for other in (Rows(1.0, 0.5), None):
        with pytest.raises(UserError, match=r"another result, with config\.judged\.masker"):
            judge(tmp_path, **(given | {"masker": other}))
    judge(tmp_path, **(given | {"masker": None}), overwrite=True)
    assert "learned_masks" not in read_examples(read_result(tmp_path), "other").shown


@pytest.mark.parametrize(
    ("masker", "message"),
    [
        (Rows(1.5, 0.0), r"from 0 to 1, but Rows gave values from 0 to 1\.5: end .* sigmoid"),
        (Rows(-0.5), r"values from -0\.5 to -0\.5"),
        (Rows(torch.nan), r"values from nan"),
        (nn.Flatten(), r"masks \(B, 1, h, w\), but this one gave"),
    ],
)
def test_a_masker_that_gives_no_masks_is_one_clear_line(tmp_path, masker, message):
    with pytest.raises(UserError, match=message):
        judge(tmp_path, domains=["other"], masker=masker)
    assert not (tmp_path / "result.json").exists()


def test_a_mask_that_is_sure_is_not_refused_for_rounding(tmp_path):
    data = Blobs(image_size=9)  # where enlarging a 1 gives more than 1
    model = tiny_classifier(data=data)
    result = judge(tmp_path, model, data, domains=["train"], masker=Rows(1.0))
    assert figures(result)["train", "mask_coverage"] <= 1
