"""Result folders are read field by field; damage is one clear line."""

import math

import numpy as np
import pytest

import report_fixtures as fake
from lookright.errors import UserError
from lookright.evaluation.stages.attacks import Attacks
from lookright.report import read_examples, read_result


def test_fields_arrive(tmp_path):
    result = read_result(fake.write(tmp_path / "r", fake.result_json("AT", 3), fake.examples("AT")))
    assert (result.name, result.seed, result.train_domain) == ("AT", 3, ("train",))
    reversed_domain = result.domains["reversed"]
    assert reversed_domain.measures["accuracy"].value == 0.84
    assert reversed_domain.measures["accuracy"].n == fake.N
    assert [round(255 * point.eps) for point in Attacks.of(reversed_domain).curve] == [
        0,
        1,
        2,
        4,
        8,
        12,
        16,
    ]
    examples = read_examples(result, "reversed")
    assert examples.images.shape == (4, 32, 32, 3)
    assert examples.masks.shape == (4, 32, 32)


def test_undefined_figures_count_as_absent(tmp_path):
    raw = fake.result_json("ERM")
    raw["domains"]["train"]["measures"]["auc"] = fake.score(float("nan"))
    raw["domains"]["train"]["measures"]["pointing_game"]["value"] = None
    measures = read_result(fake.write(tmp_path / "r", raw)).domains["train"].measures
    assert "auc" not in measures
    assert "pointing_game" not in measures


def test_examples_are_optional(tmp_path):
    arrays = {k: v for k, v in fake.examples("ERM").items() if not k.startswith("reversed/")}
    without = read_result(fake.write(tmp_path / "a", fake.result_json("ERM")))
    partly = read_result(fake.write(tmp_path / "b", fake.result_json("ERM"), arrays))
    assert read_examples(without, "train") is None
    assert read_examples(partly, "train") is not None
    assert read_examples(partly, "reversed") is None


def _one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_folder(tmp_path):
    with pytest.raises(UserError) as caught:
        read_result(tmp_path / "nowhere")
    assert "lookright evaluate" in _one_line(caught)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"format": 1}', '{"name": "x"}', "\x00\xff"])
def test_not_a_result_of_this_format(tmp_path, text):
    (tmp_path / "result.json").write_text(text, encoding="latin-1")
    with pytest.raises(UserError) as caught:
        read_result(tmp_path)
    assert "evaluate" in _one_line(caught)


@pytest.mark.parametrize("key", ["name", "seed", "classes", "domains"])
@pytest.mark.parametrize("damage", ["missing", "wrong type"])
def test_damaged_fields(tmp_path, key, damage):
    raw = fake.result_json("ERM")
    if damage == "missing":
        del raw[key]
    else:
        raw[key] = ["a", 1] if key in ("classes", "seed") else 3
    with pytest.raises(UserError, match=r"is damaged"):
        read_result(fake.write(tmp_path / "r", raw))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("init_args",), True),
        (("init_args",), ["a"]),
        (("init_args", "stages"), ["a"]),
        (("init_args", "stages"), [{"class_path": "Attacks"}]),
        (("init_args", "stages"), [{"class_path": 5, "init_args": {}}]),
        (("init_args", "ball"), {"class_path": "lookright.attacks.Ball"}),
        (
            ("init_args", "ball"),
            {"class_path": "Ball", "init_args": {"norm": {"class_path": None}}},
        ),
        (("init_args", "curve"), [math.inf]),
        (("init_args", "explainer"), {"import": [1]}),
    ],
)
def test_damaged_settings(tmp_path, where, value):
    raw = fake.result_json("ERM")
    inner = raw.setdefault("settings", {})
    for name in where[:-1]:
        inner = inner.setdefault(name, {})
    inner[where[-1]] = value
    with pytest.raises(UserError, match=r"is damaged"):
        read_result(fake.write(tmp_path / "r", raw))


def test_damaged_note_of_what_was_judged(tmp_path):
    raw = fake.result_json("ERM")
    raw["config"] = {"judged": ["weights"]}
    with pytest.raises(UserError, match=r"is damaged"):
        read_result(fake.write(tmp_path / "r", raw))


def test_truncated_json(tmp_path):
    folder = fake.write(tmp_path / "r", fake.result_json("ERM"))
    text = (folder / "result.json").read_text()
    (folder / "result.json").write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"is damaged"):
        read_result(folder)


def _drop_labels(arrays):
    del arrays["train/labels"]


def _shorten(arrays):
    arrays["train/predicted"] = arrays["train/predicted"][:-1]


def _class_outside(arrays):
    arrays["train/labels"] = arrays["train/labels"] + 99


def _floats(arrays):
    arrays["train/saliency"] = arrays["train/saliency"] / 255.0


def _pickled(arrays):
    arrays["train/labels"] = np.array([0, 1, 2, None], dtype=object)


def _coarse_masks(arrays):
    arrays["train/masks"] = arrays["train/masks"][:, ::2]


@pytest.mark.parametrize(
    "spoil", [_drop_labels, _shorten, _class_outside, _floats, _pickled, _coarse_masks]
)
def test_examples_that_do_not_fit(tmp_path, spoil):
    arrays = fake.examples("ERM")
    spoil(arrays)
    result = read_result(fake.write(tmp_path / "r", fake.result_json("ERM"), arrays))
    with pytest.raises(UserError) as caught:
        read_examples(result, "train")
    assert "examples.npz is damaged" in _one_line(caught)


def test_truncated_examples(tmp_path):
    folder = fake.write(tmp_path / "r", fake.result_json("ERM"), fake.examples("ERM"))
    path = folder / "examples.npz"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UserError, match=r"examples.npz is damaged"):
        read_examples(read_result(folder), "train")
