"""Presets: what they say, what is trained with them, and that options given go over them."""

import inspect
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml

from lookright import cli
from lookright.data import Augment
from lookright.errors import UserError
from lookright.methods import ALIGN, ERM
from lookright.models import Preprocessing, SmallResNet
from lookright.training import Run, fit, preset
from lookright.training.presets import PRESETS
from lookright.verbs.train import train
from test_cli import write_pets
from tiny import Blobs, tiny_classifier

VIEWS = Augment(flip=True, shift=0, scale=0, crop=0.7, colour=0.3, grey=0.1)
"""The augmentation of DomainBed and DRE."""

every_preset = pytest.mark.parametrize("name", PRESETS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def printed(capsys, line: str) -> dict:
    """What `lookright train` would use."""
    cli.main(["train", *line.split(), "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


@every_preset
def test_a_preset_has_options_of_fit_and_of_the_verb_and_a_model_with_weights(name):
    found = preset(name)
    assert found.name == found.options["preset"] == name
    assert set(found.options) <= inspect.signature(fit).parameters.keys()
    assert set(found.of_train) <= inspect.signature(train).parameters.keys()
    assert timm.is_model_pretrained(found.model)
    assert found.source


@every_preset
def test_any_method_trains_with_it_and_the_run_says_so(tmp_path, name):
    given = {"batch_size": 16, "epochs": 1}
    if "steps" in preset(name).options:
        given = {"steps": 3, "validate_every": 2, "domain_batch_size": 4}
    options = {**preset(name).beneath(given).options, **given}
    run = fit(ERM(tiny_classifier()), Blobs(), run=tmp_path / "run", progress=False, **options)
    assert run.settings.preset == name
    for option, value in options.items():
        assert getattr(run.settings, option) == value or option == "epochs"


def test_the_published_figures():
    for name, each, every in (("domainbed", 32, 300), ("dre", 16, 200)):
        found, options = preset(name), preset(name).options
        assert (options["steps"], options["domain_batch_size"]) == (5000, each)
        assert (options["validate_every"], options["augment"]) == (every, VIEWS)
        assert (options["optimizer"], options["lr"], options["weight_decay"]) == ("Adam", 5e-5, 0)
        assert (options["schedule"], options["warm_up"], options["clip"]) == ("constant", 0, None)
        assert options["freeze_batchnorm"]
        assert (found.image_size, found.preprocessing) == (224, Preprocessing(mode="squash"))
        assert timm.get_pretrained_cfg(found.model).architecture == "resnet50"
    method = ALIGN(tiny_classifier())
    assert method.warm_up * preset("align").options["epochs"] == pytest.approx(200)


def test_an_option_of_the_same_meaning_goes_before_that_of_a_preset():
    found = preset("domainbed")
    assert found.beneath(["lr", "seed"]) == found
    options = found.beneath(["epochs", "batch_size"]).options
    assert {*found.options} - {*options} == {"steps", "validate_every", "domain_batch_size"}
    assert found.beneath(["epochs"]).pretrained
    counting = replace(found, options={"epochs": 9, "validate_every": 3})
    assert counting.beneath(["epochs"]) == counting
    assert counting.beneath(["steps"]).options == {"epochs": 9}
    assert not found.beneath(["weights"]).pretrained
    assert found.pretrained


def test_an_unknown_preset_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"no preset 'domainbd': .* Did you mean 'domainbed'\?"):
        preset("domainbd")


def test_the_command_line_shows_a_preset_and_what_goes_over_it(capsys, tmp_path):
    found = printed(capsys, "--preset domainbed")
    assert (found["steps"], found["lr"], found["clip"]) == (5000, 5e-5, None)
    assert (found["model"], found["pretrained"]) == ("resnet50.tv_in1k", True)
    assert found["preprocessing"]["init_args"]["mode"] == "squash"
    found = printed(capsys, "--lr 0.5 --epochs 3 --augment.flip false --preset domainbed")
    assert (found["lr"], found["epochs"], found["steps"]) == (0.5, 3, None)
    assert found["domain_batch_size"] == 32
    assert (found["augment"]["init_args"]["flip"], found["augment"]["init_args"]["crop"]) == (
        False,
        0.7,
    )
    found = printed(capsys, "--preset photos-finetune --augment false --ema 0 --weights w.pt")
    assert (found["augment"], found["ema"], found["lr"]) == (False, 0, 5e-4)
    assert (found["weights"], found["pretrained"]) == ("w.pt", False)
    file = tmp_path / "options.yaml"
    file.write_text("preset: dre\nlr: 0.1\nepochs: 3\naugment: {flip: false}\n")
    found = printed(capsys, f"--config {file}")
    assert (found["steps"], found["epochs"], found["lr"]) == (None, 3, 0.1)
    assert found["augment"]["init_args"] == vars(replace(VIEWS, flip=False))
    assert printed(capsys, f"--config {file} --preset domainbed")["domain_batch_size"] == 32
    file.write_text(yaml.safe_dump(found))
    assert printed(capsys, f"--config {file}") == found


@pytest.mark.parametrize("named", ["in the file", "on the command line"])
def test_a_file_changes_an_augmentation_of_a_preset_or_gives_its_own(capsys, tmp_path, named):
    file = tmp_path / "options.yaml"

    def made(augment: str) -> dict:
        lines = [f"augment: {augment}"] + ["preset: dre"] * (named == "in the file")
        file.write_text("\n".join(lines))
        line = "" if named == "in the file" else "--preset dre"
        return printed(capsys, f"--config {file} {line}")["augment"]["init_args"]

    assert made("{grey: 0.2, shift: 0.1}") == vars(replace(VIEWS, grey=0.2, shift=0.1))
    assert made("{class_path: Augment, init_args: {grey: 0.2}}") == vars(Augment(grey=0.2))


def test_options_alone_change_what_an_earlier_file_says(capsys, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(yaml.safe_dump(printed(capsys, "--preset domainbed")))
    second.write_text("augment: {grey: 0.2}\nepochs: 2\n")
    found = printed(capsys, f"--config {first} --config {second}")
    assert found["augment"]["init_args"] == vars(replace(VIEWS, grey=0.2))
    assert (found["epochs"], found["steps"], found["validate_every"]) == (2, None, None)


def test_the_command_line_goes_over_a_file_as_over_a_preset(capsys, tmp_path):
    file = tmp_path / "domainbed.yaml"
    whole = printed(capsys, "--preset domainbed")
    file.write_text(yaml.safe_dump(whole))
    given = {"epochs": 2, "batch_size": 8, "weights": "w.pt"}
    gone = {"steps": None, "validate_every": None, "domain_batch_size": None, "pretrained": False}
    line = " ".join(f"--{name} {value}" for name, value in given.items())
    assert printed(capsys, f"--config {file} {line}") == whole | given | gone
    assert printed(capsys, f"{line} --validate_every 3 --config {file}")["validate_every"] == 3
    file.write_text("epochs: 9\nvalidate_every: 3\n")
    assert printed(capsys, f"--config {file} --epochs 20")["validate_every"] == 3
    assert printed(capsys, f"--config {file} --steps 20")["validate_every"] is None


def test_nothing_gives_way_of_what_a_run_began_with(capsys, tmp_path):
    """So another batch is refused, and the command that began the run goes on with it."""
    file = tmp_path / "domainbed.yaml"
    whole = printed(capsys, "--preset domainbed")
    file.write_text(yaml.safe_dump(whole))
    kept, resumed = tmp_path / "options.yaml", f"--resume --run {tmp_path}"
    kept.write_text(file.read_text())
    with pytest.raises(SystemExit):
        printed(capsys, f"{resumed} --batch_size 8")
    assert "this one has domain_batch_size 32" in capsys.readouterr().err
    began = f"--config {file} --epochs 2 --batch_size 8"
    kept.write_text(yaml.safe_dump(printed(capsys, began)))
    assert printed(capsys, f"{resumed} {began}")["steps"] is None
    assert printed(capsys, f"{resumed} {began}") == printed(capsys, resumed) | {"resume": True}


def test_a_preset_is_trained_with_from_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(SmallResNet.__init__, "__defaults__", (4,))
    monkeypatch.chdir(tmp_path)
    write_pets(Path("pets"))
    small = "--model small_resnet --pretrained false --image_size 16"
    less = "--steps 3 --validate_every 2 --domain_batch_size 4"
    line = f"train --data pets --method erm --run run --preset domainbed {small} {less}"
    cli.main(line.split())
    settings = Run("run").settings
    assert (settings.preset, settings.steps, settings.lr) == ("domainbed", 3, 5e-5)
    assert (settings.optimizer, settings.freeze_batchnorm) == ("Adam", True)
    assert [row["step"] for row in Run("run").history] == [2, 3]
    assert Run("run").data().preprocessing == Preprocessing(mode="squash")
    cli.main([*line.split(), "--resume"])
