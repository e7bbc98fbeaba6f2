"""What a file names is not run: only what lookright offers, or what the user names beside it."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lookright import cli
from lookright.data import Shortcut
from lookright.errors import UserError
from lookright.methods import ERM
from lookright.models import SmallResNet, build_model, load_classifier, open_model, save_classifier
from lookright.training import Run, fit

HELPER = """
open({mark!r}, "a").write("imported ")
def net(count):
    from lookright.models import SmallResNet
    open({mark!r}, "a").write("called ")
    return SmallResNet(count)
"""


def rename(path, **changes):
    """Change what a classifier's file says of itself."""
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["lookright"])
    save_file(load_file(path), path, metadata={"lookright": json.dumps(about | changes)})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, and a photo."""
    root = tmp_path_factory.mktemp("sent")
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(root / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        keys = Shortcut.keys
        patch.setattr(Shortcut, "keys", lambda self, domain: keys(self, domain)[:60])
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        data = Shortcut(strength=0.7)
        model = build_model("small_resnet", data.classes, data.image_size)
        fit(ERM(model), data, "train", root / "run", epochs=1, progress=False)
        yield root


@pytest.fixture
def sent(made, tmp_path, monkeypatch):
    """The same with a helper beside them, which both name; its mark is the second."""
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    for path in made.rglob("*"):
        if path.is_file():
            target = tmp_path / path.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    Path("helper.py").write_text(HELPER.format(mark=str(mark)))
    config = json.loads(Path("run/config.json").read_text())
    config["model"]["architecture"] = "helper:net"
    Path("run/config.json").write_text(json.dumps(config))
    for name in ("best", "last"):
        rename(Run("run").folder / "checkpoints" / f"{name}.safetensors", architecture="helper:net")
    Path("run/checksums.json").unlink()
    yield mark
    sys.modules.pop("helper", None)


FILE = "run/checkpoints/best.safetensors"
REFUSED = "names the function helper:net, which is code.*--architecture helper:net"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("evaluate run", REFUSED),
        (f"evaluate {FILE} --data shortcut", REFUSED),
        ("explain run photo.png", REFUSED),
        (f"explain {FILE} photo.png", REFUSED),
        ("claim run --n 2", REFUSED),
        ("report run", "result"),
        ("train --data shortcut --method erm --run run --resume --epochs 1", "of another config"),
        (f"explain small_resnet photo.png --weights {FILE} --image_size 32", None),
    ],
)
def test_a_function_that_a_file_names_does_not_run(line, says, sent, capsys):
    if says is None:
        cli.main(line.split())
    else:
        with pytest.raises(SystemExit):
            cli.main(line.split())
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("error: ")
        with pytest.raises(UserError, match=says):
            raise UserError(said)
    assert not sent.exists()


@pytest.mark.parametrize("model", ["run", FILE])
def test_it_runs_where_the_user_names_it(model, sent):
    cli.main(f"explain {model} photo.png --architecture helper:net".split())
    assert "called" in sent.read_text()


def test_a_training_ends_with_a_line_that_evaluates_it(sent, capsys):
    cli.main(["train", "--method", "erm", "--model", "helper:net", "--epochs", "1", "--run", "new"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Evaluate it: lookright evaluate new --architecture helper:net"
    cli.main([*shlex.split(last)[3:], "--protocol.limit", "2", "--protocol.stages", "[answers]"])
    assert Path("new/results").is_dir()


def test_a_file_of_a_library_network_does_not_use_the_users_function(sent):
    for path in Path("run/checkpoints").glob("*.safetensors"):
        rename(path, architecture="small_resnet")
    cli.main(["explain", "run", "photo.png", "--architecture", "helper:net"])
    assert not sent.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("helper:net", REFUSED),
        ("os:getpid", "names the function os:getpid, which is code"),
        ("torch.hub:load", "names the function torch.hub:load"),
        ("hf-hub:somebody/net", "names the function"),
        ("helper.net", "No model is called"),
        ("torchvision/../helper", "torchvision has no model"),
        ("", "your own module"),
    ],
)
def test_only_what_is_offered_is_made(name, says, sent):
    rename(FILE, architecture=name)
    for read in (load_classifier, open_model):
        with pytest.raises(UserError, match=says) as raised:
            read(FILE)
        assert "\n" not in str(raised.value)
    assert not sent.exists()


def test_in_python_the_function_is_an_argument(sent, monkeypatch):
    monkeypatch.syspath_prepend(Path.cwd())
    model = Run("run").model(architecture="helper:net")
    x = torch.rand(2, 3, 32, 32)
    for again in (
        load_classifier(FILE, architecture="helper:net"),
        load_classifier(FILE, SmallResNet(len(model.classes))),
        open_model(FILE, architecture="helper:net"),
    ):
        assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": "ab"},
        {"classes": []},
        {"classes": [1, 2]},
        {"image_size": "32"},
        {"image_size": -1},
        {"image_size": 10_000_000},
        {"mean": []},
        {"mean": ["0.5"]},
        {"std": None},
        {"architecture": ["small_resnet"]},
        {"nameless": 3},
    ],
)
def test_a_damaged_description_is_one_clear_line(changes, tmp_path):
    path = tmp_path / "a.safetensors"
    save_classifier(build_model("small_resnet", ("a", "b"), 32), path)
    rename(path, **changes)
    with pytest.raises(UserError, match=r"says of its classifier cannot be read") as raised:
        load_classifier(path)
    assert "\n" not in str(raised.value)
