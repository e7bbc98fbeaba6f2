"""What somebody else wrote asks for no memory or time without end, and starts no program."""

import gzip
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, features
from safetensors.torch import save_file

from lookright import untrusted
from lookright.claims.file import sentences
from lookright.data import Seen, load_image
from lookright.data.images import (
    FORMATS,
    PIXELS,
    SUFFIXES,
    UnreadableImageError,
    check_image,
    read_image,
)
from lookright.errors import UserError
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.cache import BatchCache, BatchResult
from lookright.evaluation.result import read_examples, read_result
from lookright.evaluation.stages.explanations import RemovalCurve
from lookright.evaluation.table import read_table
from lookright.evaluation.typed import read_as
from lookright.guides.masker import load_masker
from lookright.loading import load_model
from lookright.methods import ERM
from lookright.model_options import ModelOptions
from lookright.models import read_class_map
from lookright.training import fit
from lookright.training.run import Run
from tiny import Blobs, tiny_classifier

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_no_other_format_is_tried_whatever_the_suffix(tmp_path, monkeypatch, suffix):
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given: started.append(given))
    path = tmp_path / f"image{suffix}"
    path.write_bytes(EPS)
    for read in (read_image, check_image):
        with pytest.raises(UnreadableImageError, match="no known image format"):
            read(path)
    assert not started
    picture = Image.new("RGB", (8, 8), "red")
    for other in ("PPM", "TGA", "ICO", "JPEG2000", "PCX"):
        picture.save(path, other)
        with pytest.raises(UnreadableImageError, match="no known image format"):
            read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "MPO"])
def test_promised_formats_are_read_by_their_content(tmp_path, kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert kind in (*FORMATS, "MPO")
    path = tmp_path / "image.jpg"
    Image.new("RGB", (8, 8), (200, 30, 60)).save(path, kind)
    check_image(path)
    assert load_image(path, 4).mean((1, 2)).mul(255).tolist() == pytest.approx([200, 30, 60], abs=4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch, kind):
    assert PIXELS <= 64_000_000
    monkeypatch.setattr("lookright.data.images.PIXELS", 1000)
    path = tmp_path / "image.png"
    Image.new("L", (40, 30)).save(path, kind)
    for read in (read_image, check_image):
        with pytest.raises(UnreadableImageError, match="it has 40x30 pixels, more than"):
            read(path)
    Image.new("L", (40, 25)).save(path, kind)
    check_image(path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_device_is_refused(tmp_path, kind):
    path = tmp_path / "odd.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (read_image, check_image, lambda path: load_image(path, 8)):
        with pytest.raises(UnreadableImageError, match="it is a pipe, socket or device"):
            read(path)


@pytest.fixture
def kept(tmp_path):
    """The folder of a result."""
    protocol = Protocol(stages=(), limit=4)
    evaluate(tiny_classifier(), Blobs(), tmp_path, protocol=protocol, progress=False)
    return tmp_path


def test_an_archive_that_unpacks_to_too_much_is_refused(kept, monkeypatch):
    result = read_result(kept)
    assert read_examples(result, "train") is not None
    assert read_table(kept)
    monkeypatch.setattr(untrusted, "LARGEST", 10**6)
    arrays = dict(np.load(kept / "examples.npz"))
    (kept / "checksums.json").unlink()  # whoever sends it would have made them anew
    np.savez_compressed(kept / "examples.npz", **arrays, more=np.zeros(2_000_000, np.uint8))
    with pytest.raises(UserError, match=r"examples.npz is damaged \(it unpacks to more than"):
        read_examples(result, "train")
    (kept / "images.csv.gz").write_bytes(gzip.compress(b"domain\n" + b"\n" * 2_000_000))
    with pytest.raises(UserError, match="it unpacks to more than"):
        read_table(kept)
    (kept / "seen.json.gz").write_bytes(gzip.compress(b" " * 2_000_000))
    with pytest.raises(UserError, match=r"seen.json.gz .* damaged"):
        Seen.read(kept / "seen.json.gz")


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    ["a: &a {b: *a}", "dog: &a [1, *a]", "dog: &a [1, [[*a]]]", "&a [*a]", LAUGHS, "[" * 5000],
)
def test_a_class_map_without_end_is_refused(tmp_path, text):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(UserError, match=r"map.yaml cannot be read as YAML or JSON \("):
        read_class_map(tmp_path / "map.yaml", ["dog", "cat"], ["dog", "cat"])


@pytest.mark.parametrize("rows", [0, 99])
def test_a_partial_record_of_no_or_too_many_rows_is_not_used(tmp_path, monkeypatch, rows):
    record = BatchResult({}, {}, torch.zeros(rows, dtype=torch.bool))
    monkeypatch.setattr(BatchCache, "read", lambda self, start: record)
    result = evaluate(
        tiny_classifier(), Blobs(), tmp_path, protocol=Protocol(stages=(), limit=4), progress=False
    )
    assert result.domains["train"].n == 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    return fit(ERM(tiny_classifier()), Blobs(), "train", folder, epochs=1, progress=False).folder


@pytest.fixture
def sent(run, tmp_path):
    """A run that somebody sent, who would have made its checksums anew."""
    shutil.copytree(run, tmp_path / "sent")
    (tmp_path / "sent/checksums.json").unlink()
    return Run(tmp_path / "sent")


@pytest.fixture
def in_time():
    """Reading ends within seconds."""

    def late(*_: object) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


READERS = {
    "config.json": lambda run: run.config,
    "seen.json.gz": lambda run: run.seen,
    "checkpoints/best.safetensors": lambda run: run.model(),
    "checkpoints/best-masker.safetensors": lambda run: run.masker(),
    "claims.json": lambda run: sentences(run.folder / "claims.json"),
    "images.csv.gz": lambda run: read_table(run.folder),
}


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="pipes of this kind are of Unix")
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_among_the_files_of_a_run_is_not_waited_for(sent, in_time, name):
    path = sent.folder / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(UserError, match=r"pipe|No run in|missing or damaged"):
        READERS[name](sent)


DEEP = b"[" * 100_000


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"images.csv.gz"}))
@pytest.mark.parametrize("content", [DEEP, b"[3]", b'{"scenes": [3], "home": [null]}'], ids=len)
def test_any_json_in_a_run_is_one_line(sent, name, content):
    path = sent.folder / name
    zipped = gzip.compress(content)
    path.write_bytes(zipped if path.suffix == ".gz" else content)
    if path.suffix == ".safetensors":
        about = {"lookright": content.decode(), "lookright masker": content.decode()}
        save_file({"w": torch.zeros(1)}, path, about)
    with pytest.raises(UserError, match=r"damaged|No run in|of format|not of a|cannot be read"):
        READERS[name](sent)


def test_a_packed_file_with_a_flipped_bit_is_one_line(sent):
    path = sent.folder / "seen.json.gz"
    content = path.read_bytes()
    for at in range(10, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        with pytest.raises(UserError, match=r"seen.json.gz .* damaged"):
            _ = sent.seen


@pytest.mark.parametrize(
    "about",
    [{"grid": 16}, {"grid": "16", "width": 32}, {"grid": 2**40, "width": 32}, [16, 32], 3, {}],
    ids=str,
)
def test_a_file_asks_for_no_masker_of_any_size(tmp_path, about):
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.zeros(1)}, path, {"lookright masker": json.dumps(about)})
    with pytest.raises(UserError, match="masker"):
        load_masker(path)


def test_explaining_by_a_folder_without_a_run_says_so(tmp_path):
    with pytest.raises(UserError, match="No run in"):
        load_model(str(tmp_path), ModelOptions())


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("trials", "M", "kept", 0), "x"),
        (("trials", "M", "kept"), [True]),
        (("trials", "M", "similarity", 1), None),
        (("trials", "M"), {}),
        (("trials",), []),
        (("images", 0), [1]),
        (("claims", 0), {}),
        (("claims", 0, "sentence"), 3),
        (("models",), [1]),
    ],
    ids=str,
)
def test_any_value_in_claims_is_one_line(tmp_path, at, value):
    record = {
        **{"images": ["a", "b"], "evaluated": False, "domain": "d", "models": {"M": "0"}},
        "trials": {"M": {"kept": [True, False], "similarity": [1.0, 0.5]}},
        "claims": [{"sentence": "It holds."}],
    }
    path = tmp_path / "claims.json"
    path.write_text(json.dumps({"records": [record]}))
    assert sentences(path) == {"d": ["It holds."]}
    inside = record
    for key in at[:-1]:
        inside = inside[key]
    inside[at[-1]] = value
    path.write_text(json.dumps({"records": [record]}))
    with pytest.raises(UserError, match=r"claims.json is damaged"):
        sentences(path)


@pytest.mark.parametrize("better", ["x", None, [], -1, 5, 10**400, 1.5])
def test_any_count_of_a_comparison_is_one_line(kept, better):
    (kept / "checksums.json").unlink()
    raw = json.loads((kept / "result.json").read_text())
    counts = {"better": better, "worse": 1, "n": 4}
    raw["domains"]["train"]["paired"] = {"random": {"mass": counts}}
    (kept / "result.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"result.json is damaged \(expected numbers of images"):
        read_result(kept)


@pytest.mark.parametrize("curve", [{"low": [10**400, 0]}, {"probabilities": [1, 1, 1]}], ids=str)
def test_any_curve_is_one_line(curve):
    points = {"shares": [0, 1], "probabilities": [1, 0], "low": [0, 0], "high": [1, 1]}
    told = {"map": "explanation", "kind": "deletion", "fill": "mean", **points}
    assert read_as(tuple[RemovalCurve, ...], [told])
    with pytest.raises(UserError, match="Expected a result to hold"):
        read_as(tuple[RemovalCurve, ...], [told | curve])
