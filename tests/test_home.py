"""`~` is the user's home in every path, from Python, the command line and files."""

from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from lookright.claims import Plan, claim
from lookright.data import Folder, load_data, load_image
from lookright.errors import UserError
from lookright.evaluation import Answers, Protocol, evaluate
from lookright.evaluation.result import read_result
from lookright.loading import is_run
from lookright.methods import ERM
from lookright.models import (
    Classifier,
    build_model,
    load_classifier,
    open_model,
    read_class_map,
    read_classes,
    save_classifier,
)
from lookright.perturbations import Corrupted
from lookright.report import write_page
from lookright.training import Run, fit
from test_cli_options import values
from tiny import Blobs, tiny_classifier


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield tmp_path / "home"
    assert not Path("~").exists()


def test_from_training_to_the_page(home):
    run = fit(ERM(tiny_classifier()), Blobs(12), "train", "~/run", epochs=1, progress=False)
    assert run.folder == home / "run"
    assert Run("~/run").finished
    assert is_run("~/run")
    model = load_classifier("~/run/checkpoints/best.safetensors", tiny_classifier().network)
    named = Classifier(model.network, model.classes, 8, architecture="small_resnet")
    save_classifier(named, "~/copy.safetensors")
    assert load_classifier("~/copy.safetensors", model.network).classes == Blobs.classes
    protocol = Protocol(stages=(Answers(),))
    kept = evaluate(model, Blobs(12), "~/out", protocol=protocol, progress=False)
    assert kept.saved == home / "out"
    assert read_result("~/out").domains
    assert write_page(["~/out"], "~/page.html") == home / "page.html"
    plan = Plan(domain="other", perturbation=Corrupted(), n=2)
    claim({"erm": model}, Blobs(12), plan, save="~/out")
    assert (home / "out" / "claims.json").is_file()


def test_images_and_texts(home):
    for place in ("pets/cat", "pets/dog", "masks/cat"):
        (home / place).mkdir(parents=True)
        Image.new("RGB", (8, 8), (9, 9, 255)).save(home / place / "a.png")
    for root in ("~/pets", Path("~/pets")):
        assert load_data(root, 8, masks="~/masks").has_masks
        assert Folder(root, 8, "~/masks").root == home / "pets"
    assert load_image("~/pets/cat/a.png", 8).shape == (3, 8, 8)
    (home / "names").write_text("cat\ndog\n")
    (home / "map.yaml").write_text("cat: [a]\ndog: [b]\n")
    assert read_classes("~/names") == ("cat", "dog")
    assert read_class_map("~/map.yaml", ("cat", "dog"), ("a", "b")).groups
    network = build_model("resnet10t", ("cat", "dog"), 32).network
    torch.save(network.state_dict(), home / "w.pt")
    assert build_model("resnet10t", ("cat", "dog"), 32, weights="~/w.pt").origin[:9] == "file w.pt"
    assert len(open_model("resnet10t", weights="~/w.pt", image_size=32).classes) == 2


def test_options_and_files(home):
    assert values("train --run ~/run --masks=~")["run"] == home / "run"
    home.mkdir()
    (home / "a.yaml").write_text(yaml.safe_dump({"run": "~/x", "masks": None}))
    assert values("train --config ~/a.yaml")["run"] == home / "x"
    assert values("explain r ~/a.png ~/b.png")["images"] == [home / "a.png", home / "b.png"]
    with pytest.raises(UserError, match="Expected a path or null for run, got '~nobody-here/x'"):
        values("train --run ~nobody-here/x")
