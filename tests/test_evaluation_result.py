"""What is written is what is read, and a damaged file is one clear line."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lookright import files
from lookright.claims import Claim
from lookright.diagnostics import Diagnostic
from lookright.errors import UserError
from lookright.evaluation import (
    Answers,
    Attacks,
    Claims,
    Corruptions,
    Diagnostics,
    ExplanationAttacks,
    Explanations,
    Protocol,
    evaluate,
    places,
)
from lookright.evaluation.places import results_in
from lookright.evaluation.result import (
    DomainResult,
    Examples,
    Result,
    read_examples,
    read_result,
    write_examples,
    write_result,
)
from lookright.evaluation.stages.attacks import CurvePoint, Robustness
from lookright.evaluation.stages.corruptions import Corrupted
from lookright.evaluation.stages.explanations import RemovalCurve
from lookright.evaluation.typed import as_json
from lookright.files import together
from lookright.locks import locked
from lookright.metrics import Estimate, Measure, Paired
from tiny import Blobs, tiny_classifier


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 5)


TOLD = {
    Attacks: Robustness(
        8 / 255, "L2", (CurvePoint(0.0, estimate(0.5)), CurvePoint(8 / 255, estimate(0.1)))
    ),
    Explanations: (
        RemovalCurve("explanation", "deletion", "blur", (0.0, 1.0), (0.9, 0.1), (0.8, 0), (1, 0.2)),
    ),
    Corruptions: (Corrupted("fog", 3, estimate(0.4), estimate(0.7)),),
    Diagnostics: (Diagnostic("black box", "suspect", "it beats the white box."),),
    Claims: (Claim("both", "PGD", 4, 5, 0.3, 0.05, 3, "cosine", 0.8),),
    ExplanationAttacks: ("topk", "mine"),
}


def result(folder: Path) -> Result:
    domain = DomainResult(
        n=5,
        in_distribution=True,
        measures={"accuracy": estimate(0.5), "auc": estimate(1 / 3)},
        warnings=("suspect: [it]",),
        baselines={"random": {"sufficiency_blur": estimate(0.4)}},
        paired={"random": {"sufficiency_blur": Paired(3, 1, 5)}},
        stages={stage.name: as_json(told) for stage, told in TOLD.items()},
        samples="0f",
        revision="abc",
        versions={"torch": "2"},
    )
    return Result(
        saved=folder,
        name="Ünder, [bold]",
        seed=None,
        created="2026-01-01T00:00:00Z",
        classes=("a", "b"),
        train_domain=("home",),
        about="About it.",
        config={"deep": {"list": [1, 2.5, None, True]}},
        settings={"eps": 8 / 255},
        domains={"home": domain, "away/from": domain},
        declared={"mine": Measure("mine", "Mine", False, "score", "My own.", ("random",))},
    )


def examples(n: int = 2, masks: bool = True, learned: bool = False) -> Examples:
    random = np.random.default_rng(0)

    def pixels(*shape: int):
        return random.integers(0, 256, (n, *shape), dtype=np.uint8)

    return Examples(
        images=pixels(4, 4, 3),
        saliency=pixels(2, 2),
        labels=np.arange(n) % 2,
        predicted=np.arange(n) % 2,
        probability=random.random(n, dtype=np.float32),
        masks=pixels(4, 4) if masks else None,
        shown={"attacks": {"attacked": pixels(4, 4, 3), "predicted": np.arange(n) % 2}}
        | ({"learned_masks": {"masks": pixels(4, 4)}} if learned else {}),
    )


def test_a_result_comes_back_as_it_was(tmp_path):
    write_result(result(tmp_path / "new" / "folder"))
    assert read_result(tmp_path / "new" / "folder") == result(tmp_path / "new" / "folder")


@pytest.mark.parametrize("stage", TOLD, ids=lambda stage: stage.name)
def test_what_a_stage_told_comes_back_as_it_was(tmp_path, stage):
    write_result(result(tmp_path))
    here = read_result(tmp_path).domains["home"]
    assert stage.of(here) == TOLD[stage]
    del here.stages[stage.name]
    assert not stage.of(here)
    for broken in ([{"eps": "x"}], [1], {"a": 1}):
        here.stages[stage.name] = broken
        with pytest.raises(UserError, match="evaluate the model again"):
            stage.of(here)


def test_the_runs_of_several_domains_are_all_named():
    one = result(Path("r")).domains["home"]
    domains = {"a": one, "b": replace(one, revision="def", versions={"torch": "3", "numpy": "2"})}
    found = replace(result(Path("r")), domains=domains)
    assert found.revision == "abc, def"
    assert found.versions == {"torch": "2, 3", "numpy": "2"}


def test_a_result_in_memory_alone_has_no_folder():
    with pytest.raises(UserError, match="save=FOLDER"):
        _ = replace(result(Path("r")), saved=None).folder


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
        arrays, expected = dict(read.arrays()), dict(written.arrays())
        assert arrays.keys() == expected.keys()
        assert all(np.array_equal(arrays[name], expected[name]) for name in arrays)
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
        (lambda text: text.replace('"format": 2', '"format": 1'), r"Expected result format 2"),
        (lambda text: "[]", r"Expected result format 2"),
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


def test_the_weights_are_hashed_once_for_a_result(tmp_path, monkeypatch):
    hashed = []
    own = places.fingerprint
    monkeypatch.setattr(places, "fingerprint", lambda network: hashed.append(1) or own(network))
    light = Protocol(limit=2, stages=())
    found = evaluate(tiny_classifier(), Blobs(), home=tmp_path, protocol=light, progress=False)
    assert len(hashed) == 1
    assert results_in(tmp_path) == [found.folder]
    with pytest.raises(UserError, match="not by both"):
        evaluate(tiny_classifier(), Blobs(), tmp_path, home=tmp_path, progress=False)


def test_a_reader_beside_a_writer_sees_whole_results(tmp_path):
    def write(number: int) -> None:
        with locked(tmp_path), together(tmp_path) as new:
            write_examples(new, {"home": examples(number % 5 + 1)})
            write_result(replace(result(new), about=str(number)))

    write(0)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = read_result(tmp_path)
            assert read_examples(found, "home") is not None
            seen.append(found.about)

    seen: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        try:
            for number in range(1, 1000):
                write(number)
                if number >= 30 and len({*seen}) > 3:
                    break
        finally:
            done.set()
        for reader in readers:
            reader.result()
    assert len({*seen}) > 3


@pytest.mark.parametrize("meanwhile", ["there and back", "the rest"])
def test_what_is_written_while_a_reader_hashes_is_no_damage(tmp_path, monkeypatch, meanwhile):
    """A writer changes the files and changes them back, or moves the last of them into place."""

    def write(text: bytes) -> None:
        with together(tmp_path) as new:
            (new / "examples.npz").write_bytes(text)

    def stopped(source: Path, target: Path) -> None:
        if target.name == "examples.npz":
            raise KeyboardInterrupt
        move(source, target)

    def at_first(path: Path) -> str:
        monkeypatch.setattr(files, "content_hash", own)
        if meanwhile == "there and back":
            write(b"new")
        found = own(path)
        if meanwhile == "there and back":
            write(b"old")
        else:
            files.finish(tmp_path)
        return found

    own, move = files.content_hash, os.replace
    write(b"old")
    if meanwhile == "the rest":
        monkeypatch.setattr(os, "replace", stopped)
        with pytest.raises(KeyboardInterrupt):
            write(b"new")
        monkeypatch.setattr(os, "replace", move)
    monkeypatch.setattr(files, "content_hash", at_first)
    assert files.verified(tmp_path / "examples.npz").read_bytes() in (b"old", b"new")


def test_a_path_below_a_file_has_no_checksum(tmp_path):
    (tmp_path / "file").write_text("")
    assert files.verified(tmp_path / "file" / "best.safetensors") is not None


def test_a_folder_of_homes_names_them(tmp_path):
    light = Protocol(stages=(Answers(),), only=True)
    for name in ("one", "two"):
        evaluate(tiny_classifier(), Blobs(), home=tmp_path / name, protocol=light, progress=False)
    with pytest.raises(UserError, match=r"is no home of results itself: name those in it, .*one"):
        results_in(tmp_path)
