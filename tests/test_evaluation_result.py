"""What is written is what is read, and a damaged file is one clear line."""

import json
from pathlib import Path

import numpy as np
import pytest

from lookright.claims import Claim
from lookright.diagnostics import Diagnostic
from lookright.errors import UserError
from lookright.evaluation.result import (
    Corrupted,
    CurvePoint,
    DomainResult,
    Examples,
    RemovalCurve,
    Result,
    read_examples,
    read_result,
    write_examples,
    write_result,
)
from lookright.metrics import Estimate, Paired


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 5)


def result(folder: Path) -> Result:
    domain = DomainResult(
        n=5,
        in_distribution=True,
        measures={"accuracy": estimate(0.5), "auc": estimate(1 / 3)},
        curve=(CurvePoint(0.0, estimate(0.5)), CurvePoint(8 / 255, estimate(0.1))),
        warnings=("suspect: [it]",),
        baselines={"random": {"sufficiency_blur": estimate(0.4)}},
        paired={"random": {"sufficiency_blur": Paired(3, 1, 5)}},
        removal=(
            RemovalCurve(
                "explanation", "deletion", "blur", (0.0, 1.0), (0.9, 0.1), (0.8, 0), (1, 0.2)
            ),
        ),
        corruptions=(Corrupted("fog", 3, estimate(0.4), estimate(0.7)),),
        diagnostics=(Diagnostic("black box", "suspect", "it beats the white box."),),
        claims=(Claim("both", "PGD", 4, 5, 0.3, 0.05, 3, "cosine", 0.8),),
    )
    return Result(
        folder=folder,
        name="Ünder, [bold]",
        seed=None,
        created="2026-01-01T00:00:00Z",
        classes=("a", "b"),
        train_domain=("home",),
        about="About it.",
        config={"deep": {"list": [1, 2.5, None, True]}},
        versions={"torch": "2"},
        revision="abc",
        settings={"eps": 8 / 255},
        domains={"home": domain, "away/from": domain},
    )


def examples(n: int = 2, masks: bool = True, learned: bool = False) -> Examples:
    random = np.random.default_rng(0)

    def pixels(*shape: int):
        return random.integers(0, 256, (n, *shape), dtype=np.uint8)

    return Examples(
        images=pixels(4, 4, 3),
        attacked=pixels(4, 4, 3),
        saliency=pixels(2, 2),
        saliency_attacked=pixels(2, 2),
        labels=np.arange(n) % 2,
        predicted=np.arange(n) % 2,
        probability=random.random(n, dtype=np.float32),
        predicted_attacked=np.arange(n) % 2,
        probability_attacked=random.random(n, dtype=np.float32),
        masks=pixels(4, 4) if masks else None,
        learned=pixels(4, 4) if learned else None,
        manipulated=pixels(2, 4, 4, 3) if learned else None,
        saliency_manipulated=pixels(2, 2, 2) if learned else None,
        predicted_manipulated=np.arange(2 * n).reshape(n, 2) % 2 if learned else None,
        goals=np.array(["topk", "target"]) if learned else None,
    )


def test_a_result_comes_back_as_it_was(tmp_path):
    write_result(result(tmp_path / "new" / "folder"))
    assert read_result(tmp_path / "new" / "folder") == result(tmp_path / "new" / "folder")


def test_a_result_from_before_a_field_was_written_is_read_without_it(tmp_path):
    path = tmp_path / "result.json"
    write_result(result(tmp_path))
    raw = json.loads(path.read_text())
    for domain in raw["domains"].values():
        del domain["paired"], domain["removal"][0]["low"], domain["removal"][0]["high"]
    path.write_text(json.dumps(raw))
    read = read_result(tmp_path).domains["home"]
    assert read.paired == {}
    assert read.removal[0].low == read.removal[0].high == ()


def test_examples_come_back_as_they_were(tmp_path):
    given = {
        "home": examples(),
        "away/from": examples(3, masks=False),
        "learned": examples(masks=False, learned=True),
        "both": examples(learned=True),
    }
    write_examples(tmp_path, given)
    for domain, written in given.items():
        read = read_examples(result(tmp_path), domain)
        assert read is not None
        for name in Examples.__dataclass_fields__:
            assert np.array_equal(getattr(read, name), getattr(written, name)), name
    assert read_examples(result(tmp_path), "elsewhere") is None


def test_a_domain_is_written_again_in_place(tmp_path):
    first = result(tmp_path)
    write_result(first)
    first.domains.pop("home")
    write_result(first)
    assert list(read_result(tmp_path).domains) == ["away/from"]
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"result.json is damaged .*evaluate the model again"),
        (lambda text: "\0" * 99, r"result.json is damaged"),
        (lambda text: text.replace('"format": 1', '"format": 2'), r"Expected result format 1"),
        (lambda text: "[]", r"Expected result format 1"),
        (lambda text: text.replace('"classes"', '"klasses"'), r"missing 'classes'"),
        (lambda text: text.replace('"value": 0.5', '"value": "half"'), r"is damaged"),
    ],
)
def test_a_damaged_result_is_one_clear_line(tmp_path, damage, message):
    write_result(result(tmp_path))
    path = tmp_path / "result.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match=message) as raised:
        read_result(tmp_path)
    assert "\n" not in str(raised.value)


def test_damaged_examples_are_one_clear_line(tmp_path):
    write_examples(tmp_path, {"home": examples()})
    path = tmp_path / "examples.npz"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"examples.npz is damaged"):
        read_examples(result(tmp_path), "home")


def test_figures_that_are_not_finite_are_absent(tmp_path):
    written = result(tmp_path)
    written.domains["home"].measures["auc"] = Estimate(float("nan"), 0.0, 0.0, 5)
    write_result(written)
    assert list(read_result(tmp_path).domains["home"].measures) == ["accuracy"]


def test_a_folder_without_a_result_says_who_writes_one(tmp_path):
    with pytest.raises(UserError, match="lookright evaluate"):
        read_result(tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder"):
        write_result(result(tmp_path / "file"))
