"""`lookright explain`: a picture for each image, on the device that is decided on."""

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookright.attacks import FGSM
from lookright.errors import UserError
from lookright.explainers import SmoothGrad
from lookright.model_options import ModelOptions
from lookright.models import Classifier, SmallResNet
from lookright.verbs.explain import explain, targets

IMAGES = ("photo/cat/0.png", "sketch/cat/0.png", "sketch/dog/0.png")


@pytest.fixture
def seen(monkeypatch):
    """What would have been drawn."""
    found = []
    classifier = Classifier(SmallResNet(2, width=4), ("cat", "dog"), 32)
    monkeypatch.setattr("lookright.verbs.explain.load_model", lambda *_, **__: (classifier, None))
    where = "lookright.jobs.look.explanation_figure"
    monkeypatch.setattr(where, lambda target, **given: found.append((target, given)))
    return found


@pytest.fixture
def images(tmp_path, monkeypatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name in IMAGES:
        Path(name).parent.mkdir(parents=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(name)
    return list(map(Path, IMAGES))


def test_no_picture_is_written_over_another(images, seen, capsys):
    explain("m", images, attack=FGSM(), output=Path("out"))
    names = ["photo-cat-0", "sketch-cat-0", "sketch-dog-0"]
    expected = [Path("out") / f"{name}-explained.png" for name in names]
    assert [target for target, _ in seen] == expected
    assert re.findall(r"out/\S+", capsys.readouterr().out) == list(map(str, expected))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/1.jpg"], ["1"]),
        (["a/1.jpg", "b/2.jpg"], ["1", "2"]),
        (["a/1.jpg", "b/1.jpg"], ["a-1", "b-1"]),
        (["a/1.jpg", "b/1.jpg", "b/2.jpg"], ["a-1", "b-1", "b-2"]),
        (["a/1.jpg", "a/1.png"], ["1.jpg", "1.png"]),
        (["a/1.jpg", "a/1.jpg"], ["1"]),
        (["a/x.jpg", "a/X.jpg"], None),
    ],
)
def test_each_picture_has_a_name_of_its_own(paths, names):
    given = list(map(Path, paths))
    if names is None:
        with pytest.raises(UserError, match="one after the other"):
            targets(given, Path("out"))
        return
    found = targets(given, Path("out"))
    assert list(found) == list(dict.fromkeys(given))
    assert [path.name for path in found.values()] == [f"{name}-explained.png" for name in names]


def test_both_maps_have_the_same_noise(images, seen):
    for seed in (0, 0, 1):
        explain("m", images[:1], explainer=SmoothGrad(3), attack=FGSM(eps=0), seed=seed)
    for _, maps in seen:
        assert torch.equal(maps["saliency"], maps["saliency_attacked"])
    first, again, other = (maps["saliency"] for _, maps in seen)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_works_on_the_device_that_is_decided_on(images, seen, monkeypatch):
    asked, lent = [], []

    @contextmanager
    def noted(*modules, device):
        lent.append((modules[0].classes, device))
        yield

    def decided(device):
        asked.append(device)
        return torch.device("cpu")

    monkeypatch.setattr("lookright.verbs.explain.best_device", decided)
    monkeypatch.setattr("lookright.verbs.explain.borrowed", noted)
    explain("m", images[:1], attack=FGSM())
    explain("m", images[:1], attack=FGSM(), device="cuda")
    assert asked == [None, "cuda"]
    assert lent == [(("cat", "dog"), torch.device("cpu"))] * 2


def test_a_device_that_is_not_there_is_told_before_the_model_is_opened(images, seen):
    with pytest.raises(UserError, match="device of this machine"):
        explain("m", images, device="gpu7")
    assert not seen


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"class_map": Path("map.yaml")}, "no data here .*: leave out --class_map"),
        ({"others": True}, "leave out --others"),
        ({"class_order": "numerical"}, "leave out --class_order"),
        ({"which": "last"}, "Only a run has epochs .* m.safetensors is none: leave out --which"),
        ({"masker": "own.Masker"}, "leave out --masker"),
    ],
)
def test_an_option_without_a_meaning_is_refused(images, options, says):
    with pytest.raises(UserError, match=says):
        explain("m.safetensors", images, options=ModelOptions(**options))


def test_no_picture_replaces_an_image_that_is_explained(tmp_path):
    images = [tmp_path / name for name in ("w.png", "w-explained.png")]
    with pytest.raises(UserError, match=r"would replace .*w-explained\.png, which is one of the"):
        targets(images, tmp_path)
    assert [*targets(images, tmp_path / "out")] == images
