"""Names are names: a file or folder called like a member or a model changes nothing."""

import json
from pathlib import Path

import pytest

from lookright.attacks import PGD
from lookright.data import Shortcut, load_data
from lookright.explainers import GradCAM
from lookright.guides import HumanMask
from lookright.loading import is_run
from lookright.methods import ALIGN, ERM
from lookright.models import open_model
from lookright.spec import spec_of
from test_cli_options import values

MEMBERS = ("erm", "ERM", "GradCAM", "gradcam", "pgd", "PGD", "HumanMask", "align", "Shortcut")
MODELS = ("small_resnet", "resnet18", "resnet18.a1_in1k", "torchvision/resnet18", "models:net")


@pytest.fixture(params=["file", "folder"])
def crowded(request, tmp_path, monkeypatch):
    """A working folder with a file, or a run's folder, of each name."""
    monkeypatch.chdir(tmp_path)
    for name in (*MEMBERS, *MODELS):
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        if request.param == "folder":
            path.mkdir(exist_ok=True)
            (path / "config.json").write_text(json.dumps({"format": 2}))
        else:
            path.write_text("class_path: EGAT\n")
    return request.param


def test_a_member_is_the_one_of_its_name(crowded):
    assert values("train --method erm")["method"] is ERM
    align = values("train --method align --method.guide learnedmask")["method"]
    assert align.func is ALIGN
    seen = values("explain r x.png --explainer GradCAM --attack pgd")
    assert (seen["explainer"], seen["attack"]) == (GradCAM(), PGD())
    guided = values("train --method egat --method.guide HumanMask")["method"]
    assert spec_of(guided.keywords["guide"]) == spec_of(HumanMask())
    assert isinstance(load_data("Shortcut"), Shortcut)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_one_of_its_name(crowded, name):
    if crowded == "folder":
        with pytest.warns(UserWarning, match=f"{name} is the name of a model.*write ./{name} for"):
            assert not is_run(name)
        assert is_run(f"./{name}")
        assert is_run(str(Path(name).resolve()))
    else:
        assert not is_run(name)


def test_weights_of_a_named_model_are_loaded_beside_a_file_of_its_name(crowded, tmp_path):
    import timm
    from safetensors.torch import save_file

    network = timm.create_model("resnet10t", num_classes=3)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    Path("resnet10t").write_text("")
    found = open_model("resnet10t", weights="weights.safetensors", image_size=32)
    assert len(found.classes) == 3
