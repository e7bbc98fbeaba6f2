"""Wherever a path is asked for, text will do."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lookright.data import Folder, Shortcut, load_data, load_image
from lookright.evaluation import Protocol, evaluate
from lookright.evaluation.result import read_result
from lookright.evaluation.table import read_table
from lookright.guides import ConvMasker
from lookright.guides.masker import load_masker, save_masker
from lookright.models import (
    build_model,
    load_classifier,
    open_model,
    read_class_map,
    read_classes,
    read_weights,
    save_classifier,
)
from lookright.report import write_page
from lookright.training import Run
from tiny import Blobs, tiny_classifier


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat", "dog"):
        for folder in ("pets", "masks"):
            Path(folder, name).mkdir(parents=True)
            Image.new("RGB", (9, 9), "white").save(f"{folder}/{name}/0.png")


def test_models_and_maskers():
    torch.manual_seed(0)
    model = build_model("small_resnet", ("cat", "dog"), 32)
    save_classifier(model, "model.safetensors")
    save_masker(ConvMasker(4, 16), "masker.safetensors")
    torch.save(model.network.state_dict(), "weights.pt")
    assert load_classifier("model.safetensors").classes == ("cat", "dog")
    assert load_masker("masker.safetensors").grid == 4
    assert read_weights("weights.pt").keys() == model.network.state_dict().keys()
    begun = build_model("small_resnet", ("cat", "dog"), 32, weights="weights.pt")
    assert begun.origin.startswith("file weights.pt ")
    opened = open_model("small_resnet", weights="weights.pt", image_size=32)
    assert len(opened.classes) == 2


def test_names_of_classes():
    Path("names.txt").write_text("cat\ndog\n")
    Path("map.json").write_text(json.dumps({"cat": [0], "dog": [1]}))
    assert read_classes("names.txt") == ("cat", "dog")
    assert read_class_map("map.json", ("cat", "dog"), ("a", "b")).groups == {
        "cat": (0,),
        "dog": (1,),
    }


def test_images():
    assert load_image("pets/cat/0.png", 4).shape == (3, 4, 4)
    data = Folder("pets", 4, "masks")
    assert data.masks == Path("masks").resolve()
    assert load_data("pets", 4, masks="masks").classes == data.classes == ("cat", "dog")


def test_results_and_runs():
    protocol = Protocol(limit=2, batch_size=2)
    evaluate(
        tiny_classifier(), Blobs(), "out", protocol=protocol, domains=("train",), progress=False
    )
    assert read_result("out").domains.keys() == {"train"}
    assert len(read_table("out")["train"]["label"]) == 2
    assert write_page(["out"], "page.html") == Path("page.html")
    assert Run("runs/x").best == Path("runs/x/checkpoints/best.safetensors")
    assert Shortcut().fingerprint("train") == Shortcut().fingerprint("train")
