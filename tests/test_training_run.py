"""What a finished run gives back: its method, classifier, data and settings, and its start."""

import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cases import METHODS, learned_mask
from lookright import cli
from lookright.attacks import PGD
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.loading import load_subject
from lookright.methods import AT, EGAT, ERM
from lookright.models import SmallResNet, build_model, read_weights
from lookright.spec import spec_of
from lookright.training import Run, fit
from lookright.training.run import load_masker
from test_methods_resume import Known, train
from tiny import Blobs, tiny_classifier


@pytest.fixture
def narrow(monkeypatch):
    """Small networks are narrower still, and Shortcut has a few digits."""
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))
    keys = Shortcut.keys
    monkeypatch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:60])


@pytest.mark.parametrize("name", ["at", "egat-learned", "awp-egat", "rrr-learned", "irm"])
def test_a_run_gives_its_method_back(tmp_path, name):
    run = train(METHODS[name], tmp_path / "run", epochs=1, validate_every=1)
    model = tiny_classifier(data=Known())
    method = run.method("last", model)
    assert type(method) is type(METHODS[name](model))
    assert spec_of(method) == run.config["method"]
    assert method.model is model


def test_a_method_comes_back_with_the_masker_it_learned(tmp_path):
    run = train(lambda model: EGAT(model, guide=learned_mask()), tmp_path / "run")
    masker = run.method("last", tiny_classifier(data=Known())).guide.masker
    kept = load_masker(run.masker_file("last")).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in masker.state_dict().items())
    assert not torch.equal(masker.mask.weight, learned_mask().masker.mask.weight)


def test_a_run_is_found_by_text_and_gives_model_data_and_settings(tmp_path, narrow):
    data = Shortcut(strength=0.7, seed=3)
    torch.manual_seed(0)
    model = build_model("small_resnet", data.classes, data.image_size)
    fit(AT(model, PGD(steps=1)), data, "train", tmp_path / "run", epochs=1, seed=5)
    run = Run(str(tmp_path / "run"))
    assert run.best.is_file()
    assert spec_of(run.data()) == spec_of(data)
    assert run.data(image_size=48).image_size == 48
    assert (run.settings.seed, run.settings.domains) == (5, ("train",))
    weights = run.model("last").network.state_dict()
    assert all(
        torch.equal(weights[name], value) for name, value in model.network.state_dict().items()
    )
    method = run.method()
    assert isinstance(method, AT)
    assert method.attack == PGD(steps=1)
    assert method.model.classes == data.classes


def test_data_that_no_spec_holds_are_asked_for(tmp_path):
    images, labels = torch.rand(80, 3, 8, 8), torch.arange(80) % 3
    model = tiny_classifier()
    model.classes = ("0", "1", "2")
    run = fit(AT(model, PGD(steps=1)), (images, labels), run=tmp_path / "run", epochs=1)
    with pytest.raises(
        UserError, match="InMemory needs images, labels, which a spec does not contain"
    ):
        run.data()


@pytest.mark.parametrize("config", ['{"format": 1, "settings": {"epochs": 1}}', "{}", "[1]"])
def test_a_run_of_another_version_is_refused_in_one_line(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"Expected a run of format 2.*train again"):
        load_subject(str(tmp_path), "Shortcut")


def test_a_lambda_is_refused_before_anything_is_written(tmp_path):
    method = AT(tiny_classifier(), PGD(steps=1))
    with pytest.raises(UserError, match=r"lambda.*define it with `def`"):
        fit(method, Blobs(), "train", tmp_path / "run", augment=lambda batch: batch)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_start_is_not_resumed(tmp_path, narrow, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "train --method erm --epochs 1 --run run"
    first, second = (SmallResNet(10).state_dict() for _ in range(2))
    save_file(first, "a.safetensors")
    save_file(second, "b.safetensors")
    cli.main(f"{line} --weights a.safetensors".split())
    assert Run("run").config["model"]["weights"].startswith("file a.safetensors ")
    cli.main(f"{line} --weights a.safetensors --resume".split())
    Path("other").mkdir()
    shutil.move("b.safetensors", "other/a.safetensors")
    for other in ("--weights other/a.safetensors", "--weights null"):
        with pytest.raises(SystemExit):
            cli.main(f"{line} {other} --resume".split())
        assert "of another config: model.weights (file a.safetensors" in capsys.readouterr().err
    assert read_weights(Run("run").last)


@pytest.mark.parametrize(
    ("options", "folder"),
    [
        ("--method egat", "runs/shortcut-egat-0"),
        ("--method egat --method.guide humanmask --seed 1", "runs/shortcut-egat-humanmask-1"),
        ("--method align", "runs/shortcut-align-0"),
    ],
)
def test_a_run_is_named_by_its_method_and_guide(tmp_path, narrow, monkeypatch, options, folder):
    monkeypatch.chdir(tmp_path)
    found = []
    monkeypatch.setattr(
        "lookright.verbs.train.fit", lambda *given, **options: found.append(given[3]) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        cli.main(f"train {options}".split())
    assert found == [Path(folder)]


def test_a_folder_called_images_gives_a_run_the_name_of_the_one_above(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, label in (("cat", 0), ("dog", 100)):
        for index in range(12):
            path = Path("pets/images", name, f"{index}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (label, index, 0)).save(path)
    found = []
    monkeypatch.setattr(
        "lookright.verbs.train.fit", lambda *given, **options: found.append(given[3]) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        cli.main(["train", "--method", "erm", "--data", "pets/images", "--image_size", "32"])
    assert found == [Path("runs/pets-erm-0")]


def test_a_run_without_tensorboard_has_no_curves_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["lookright.training.trainer"], "find_spec", lambda name: None)
    run = fit(ERM(tiny_classifier()), Blobs(12), "train", "run", epochs=1, progress=False)
    assert run.finished
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert not (run.folder / "tensorboard").exists()


def test_a_folder_whose_name_is_not_utf_8_holds_a_run(tmp_path):
    folder = tmp_path / os.fsdecode(b"r\xe9")
    with pytest.warns(UserWarning, match="whose name is not UTF-8"):
        run = fit(ERM(tiny_classifier()), Blobs(12), "train", folder, epochs=1, progress=False)
    assert run.finished
