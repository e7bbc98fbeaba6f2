"""Models that nobody here trained, from one command: judged, shown, and refused in one line."""

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookright import cli
from lookright.data import load_data
from lookright.models import SmallResNet, build_model, save_classifier
from tiny import newest

QUICK = (
    "--protocol.limit 3 --protocol.stages.attacks.steps 1 --protocol.stages.attacks.restarts 1 "
    "--protocol.stages.attacks.curve [] --protocol.stages.explanations.fills [mean] "
    "--protocol.stages.explanations.removal_steps 1"
)

MAP = "--class_map map.yaml --classes names.txt"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Cats, dogs and owls, and one network of five classes saved in every way."""
    root = tmp_path_factory.mktemp("models")
    random = np.random.default_rng(0)
    for name in ("cat", "dog", "owl"):
        for index in range(3):
            path = root / "pets" / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    (root / "names.txt").write_text("tabby\nsiamese\nbeagle\nhusky\nowl\n")
    (root / "map.yaml").write_text("cat: [0-1]\ndog: [beagle, husky]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallResNet.__init__, "__defaults__", (4,))
        model = build_model("small_resnet", [str(i) for i in range(5)], 16).eval()
        torch.save(model.network.state_dict(), root / "state.pth")
        save_classifier(model, root / "kept.safetensors")
        batch = torch.export.Dim("batch")
        x = torch.rand(2, 3, 16, 16)
        exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},))
        torch.export.save(exported, root / "kept.pt2")
        yield root


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for entry in made.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    return tmp_path


@pytest.mark.filterwarnings("always::UserWarning")
def test_one_network_saved_in_every_way_gives_the_same_figures(here, capsys):
    for output, model in (
        ("a", "small_resnet --weights state.pth --image_size 16"),
        ("b", "kept.safetensors"),
        ("c", "kept.pt2"),
    ):
        cli.main(f"evaluate {model} --data pets {MAP} {QUICK} --output {output}".split())
        assert "has nothing for owl (3 images) of pets: left out" in capsys.readouterr().err
    results = [newest(folder) for folder in ("a/small_resnet", "b/kept", "c/kept")]
    assert [result.name for result in results] == ["small_resnet", "kept", "kept"]
    assert results[0].classes == ("cat", "dog")
    measures = [result.domains["pets"].measures for result in results]
    for other in measures[1:]:
        for key, estimate in measures[0].items():
            if key.startswith("randomisation"):  # weights are drawn module by module
                continue
            assert estimate.value == pytest.approx(other[key].value, abs=1e-4), key
    assert Path("c/kept/report.html").exists()
    groups = newest(Path("a/small_resnet")).config["model"]
    assert groups["class_map"] == {"cat": [0, 1], "dog": [2, 3]}


@pytest.mark.filterwarnings("always::UserWarning")
def test_images_of_some_of_the_classes_are_judged_among_all(here, capsys):
    Path("five.txt").write_text("owl\nemu\ncat\ndog\nyak\n")
    cli.main(f"evaluate kept.pt2 --data pets --classes five.txt {QUICK} --output a".split())
    assert "pets has 3 of the model's 5 classes" in capsys.readouterr().err
    result = newest("a/kept")
    assert result.classes == ("owl", "emu", "cat", "dog", "yak")
    assert result.domains["pets"].measures["accuracy"].n == 3
    assert Path("a/kept/report.html").exists()


@pytest.mark.filterwarnings("always::UserWarning", "ignore:.*torch.jit:FutureWarning")
def test_torchscript_is_judged_by_explanations_of_pixels(here, capsys):
    network = build_model("small_resnet", [str(i) for i in range(3)], 16).eval()
    torch.jit.save(torch.jit.trace(network, torch.rand(2, 3, 16, 16)), "traced.pt")
    line = f"evaluate traced.pt --image_size 16 --data pets {QUICK}"
    with pytest.raises(SystemExit):
        cli.main(line.split())
    assert "--protocol.explainer InputGradient" in capsys.readouterr().err
    cli.main(f"{line} --protocol.explainer inputgradient --overwrite".split())
    assert "taken in the order of the data's (cat, dog, owl)" in capsys.readouterr().err
    measures = newest("results/traced").domains["pets"].measures
    assert {"accuracy_pgd", "comprehensiveness_mean", "stability_cosine"} <= measures.keys()


def test_images_of_several_models_are_loaded_once(here, monkeypatch):
    calls = []

    def counted(*given, **options):
        calls.append(given)
        return load_data(*given, **options)

    monkeypatch.setattr("lookright.loading.load_data", counted)
    monkeypatch.setattr("lookright.loading.warnings.warn", lambda *given, **options: None)
    line = f"evaluate kept.safetensors kept.pt2 --data pets {MAP} {QUICK} --names a;b"
    cli.main(line.split())
    assert len(calls) == 1
    assert newest("results/a").name == "a"
    assert Path("results/report.html").exists()


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_a_mistake_in_the_last_model_is_found_before_the_first_is_judged(here, monkeypatch, capsys):
    monkeypatch.setattr("lookright.verbs.evaluate.judge", None)
    (here / "other").mkdir()
    (here / "other" / "kept.pt2").symlink_to(here / "kept.pt2")
    (here / "file").write_text("")
    for line, says in (
        ("kept.pt2 kept.pt3", "No model is called 'kept.pt3'"),
        ("kept.pt2 other/kept.pt2", "Two models are called kept: name each by --names 'a;b'."),
        ("kept.pt2 --page file/page.html", "Expected to write into file, but the system says"),
    ):
        with pytest.raises(SystemExit):
            cli.main(f"evaluate {line} --data pets {MAP} {QUICK}".split())
        assert f"error: {says}" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
def test_an_output_that_cannot_be_written_is_found_before_an_image_is_seen(
    here, monkeypatch, capsys
):
    monkeypatch.setattr("lookright.evaluation.evaluator.Evaluator.see", None)
    monkeypatch.setattr(import_module("lookright.claims.claim"), "try_batches", None)
    (here / "file").write_text("")
    for verb in (f"evaluate {QUICK} --page page.html", "claim --n 2"):
        with pytest.raises(SystemExit):
            cli.main(f"{verb} kept.pt2 --data pets {MAP} --output file".split())
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("error: Expected to write ")
        assert re.search("the system says '.*': choose another folder", said)


def test_a_set_of_hugging_face_is_judged_by_the_names_of_its_classes(here):
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    datasets.disable_progress_bars()
    names = ["husky", "owl", "beagle", "siamese", "tabby"]
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    rows = {
        "image": [str(path.resolve()) for path in sorted(Path("pets").rglob("*.png"))[:5]],
        "label": list(range(5)),
    }
    datasets.Dataset.from_dict(rows, features=datasets.Features(kinds)).save_to_disk("saved")
    cli.main(f"evaluate kept.pt2 --data saved --classes names.txt {QUICK}".split())
    assert newest("results/kept").classes == tuple(names)


def test_explain_takes_them_too(here, capsys):
    options = "--attack fgsm --attack.eps 0 --classes names.txt --label husky"
    cli.main(f"explain kept.pt2 pets/dog/0.png {options}".split())
    said = re.search(r"0.png: (\w+), under attack (\w+)", capsys.readouterr().out)
    assert said
    assert said[1] == said[2]
    assert Path("0-explained.png").exists()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("kept.pt2 --data pets", r"model's 5 classes are 0, 1, .* pets cat, dog, owl: .*class_map"),
        (f"kept.pt2 --data pets {MAP} --image_size 20", r"could not be run on images of 20 px"),
        ("kept.pt2 --data pets --class_map map.yaml", r"no class 'beagle'"),
        ("kept.pt2 --data pets --class_map none.yaml", r"No file at none.yaml"),
        ("kept.pt2 --data pets --classes map.yaml", r"two or more class names in map.yaml"),
        ("kept.pt2", r"on which images kept.pt2 is evaluated: --data"),
        ("state.pth --data pets", r"architecture as the model, with --weights state.pth"),
        (
            "small_resnet --weights state.pth --data pets",
            r"Give the image size that small_resnet was made for",
        ),
        ("kept.pt2 --data pets --weights state.pth", r"kept.pt2 already contains its weights"),
    ],
)
def test_a_mistake_is_one_clear_line(here, capsys, line, says):
    with pytest.raises(SystemExit):
        cli.main(f"evaluate {line}".split())
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("error: ")
    assert re.search(says, errors[-1])
    assert sum(each.startswith("error: ") for each in errors) == 1
