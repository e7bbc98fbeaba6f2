"""A training that cannot go on says so in one line and loses nothing."""

import errno
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lookright.attacks import FGSM, PGD
from lookright.data import Folder
from lookright.data.augment import Augment
from lookright.errors import UserError
from lookright.files import atomic, checksums, write_atomically
from lookright.methods import AWP
from lookright.methods.at import AT
from lookright.methods.erm import ERM
from lookright.models import Classifier, SmallResNet, build_model, save_classifier
from lookright.training import Run, fit
from test_training import ATTACK, QUICK, Hook, same_weights, train
from tiny import Blobs, tiny_classifier


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def spoil(module):
    with torch.no_grad():
        next(module.method.parameters()).fill_(torch.nan)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_loss_that_is_not_finite_stops_at_once_and_keeps_the_epochs_before(tmp_path):
    message = r"not finite \(clean = nan\) at step 2 of epoch 2: lower lr .*clip.*32-true"
    with pytest.raises(UserError, match=message):
        train(tmp_path / "run", ERM, callbacks=[Hook(spoil)])
    run = Run(tmp_path / "run")
    assert [row["epoch"] for row in run.history] == [1]
    assert all(p.isfinite().all() for p in run.model("last", SmallResNet(3, width=4)).parameters())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    last_step = Hook(lambda module: None)
    last_step.on_train_batch_end = lambda trainer, module, *rest: spoil(module)
    with pytest.raises(UserError, match="weights are not finite after epoch 1"):
        train(tmp_path / "run", ERM, callbacks=[last_step], batch_size=60)
    assert not Run(tmp_path / "run").last.exists()


def test_a_run_is_never_overwritten_silently(tmp_path):
    run = train(tmp_path / "run", ERM, epochs=1)
    before = contents(run.folder)
    with pytest.raises(UserError, match=r"already holds a run: .*--resume.*--overwrite"):
        train(run.folder, ERM, epochs=1)
    assert contents(run.folder) == before
    (run.folder / "notes.txt").write_text("mine")
    train(run.folder, ERM, epochs=2, overwrite=True)
    assert (run.folder / "notes.txt").read_text() == "mine"
    assert len(run.history) == 2


@pytest.mark.parametrize("option", [{}, {"overwrite": True}, {"resume": True}])
def test_files_that_are_no_runs_are_left_alone(tmp_path, option):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "precious").write_text("mine")
    with pytest.raises(UserError, match="holds checkpoints, but no run"):
        train(tmp_path, ERM, **option)
    assert (tmp_path / "checkpoints" / "precious").exists()


@pytest.mark.parametrize("option", [{}, {"overwrite": True}, {"resume": True}])
@pytest.mark.parametrize("written", [1, 2, 3])
def test_a_run_that_was_killed_at_its_start_can_be_begun(tmp_path, monkeypatch, option, written):
    """written: of its files before the kill; the first are its options."""
    given = {"epochs": 1, "options": "seed: 0\n"}
    left = [write_atomically] * written
    with monkeypatch.context() as patch:
        patch.setattr("lookright.training.opened.write_atomically", lambda *of: left.pop()(*of))
        with pytest.raises(IndexError):
            train(tmp_path / "run", ERM, **given)
    assert len(contents(tmp_path / "run")) == written
    run = train(tmp_path / "run", ERM, **given, **option)
    assert run.finished
    assert run.seen.scenes
    assert {"options.yaml", "config.json", "versions.json"} <= checksums(run.folder).keys()


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file"):
        train(tmp_path / "run", ERM)


def test_a_finished_run_is_given_back_as_it_is(tmp_path):
    run = train(tmp_path / "run", ERM, epochs=1)
    before = contents(run.folder)
    model = tiny_classifier(seed=5)
    settings = QUICK | {"epochs": 1, "augment": Augment()}
    fit(ERM(model), Blobs(), "train", run.folder, **settings, resume=True)
    assert contents(run.folder) == before
    kept = run.model("last", SmallResNet(3, width=4))
    assert torch.equal(kept.network.head.weight, model.network.head.weight)


def test_resume_starts_a_run_that_is_not_there(tmp_path):
    assert train(tmp_path / "run", ERM, resume=True, epochs=1).finished


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lr": 0.5}, r"settings.lr \(0.001 in the run, 0.5 now\)"),
        ({"seed": 3}, "settings.seed"),
        ({"epochs": 9}, "settings.epochs"),
        ({"augment": None}, "settings.augment"),
        ({"method": AT}, "method "),
    ],
)
def test_resume_with_another_config_names_what_differs(tmp_path, change, named):
    with pytest.raises(UserError, match="Stopped"):
        train(tmp_path / "run", ERM, callbacks=[Hook(interrupt)])
    before = contents(tmp_path / "run")
    with pytest.raises(UserError, match=f"of another config: .*{named}"):
        train(tmp_path / "run", **({"method": ERM} | change), resume=True)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("kept", ["best", "last", "metrics.csv"])
def test_a_model_is_not_replaced_because_its_state_was_deleted(tmp_path, kept):
    run = train(tmp_path / "run", ERM, epochs=1)
    for path in (run.resumable, run.best, run.last, run.folder / "metrics.csv"):
        if kept not in path.name:
            path.unlink()
    before = contents(run.folder)
    with pytest.raises(UserError, match=r"already holds a run: .*--overwrite"):
        train(run.folder, ERM, epochs=1, seed=7)
    assert contents(run.folder) == before


def test_a_training_whose_state_was_deleted_does_not_begin_anew(tmp_path):
    with pytest.raises(UserError, match="Stopped"):
        train(tmp_path / "run", ERM, epochs=3, callbacks=[Hook(interrupt)])
    run = Run(tmp_path / "run")
    done = len(run.history)
    assert done
    run.resumable.unlink()
    before = contents(run.folder)
    with pytest.raises(UserError, match=f"has {done} finished epochs, but no last.ckpt to go on"):
        train(run.folder, ERM, epochs=3, resume=True)
    assert contents(run.folder) == before


def test_a_run_goes_on_where_the_folder_of_its_data_has_another_name(tmp_path):
    chance = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / "photo" / name).mkdir(parents=True)
        for number in range(24):
            pixels = chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / "photo" / name / f"{number}.png")

    def resumed(folder: str, **options):
        data = Folder(tmp_path / folder, 8)
        method = ERM(build_model("small_resnet", data.classes, 8))
        return fit(method, data, data.domains, tmp_path / "run", **(QUICK | options))

    resumed("pets")
    (tmp_path / "pets").rename(tmp_path / "animals")
    assert resumed("animals", resume=True).finished


def interrupt(module):
    raise KeyboardInterrupt


def test_resume_with_other_data_names_what_differs(tmp_path):
    fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path / "run", **QUICK)
    with pytest.raises(UserError, match=r"data.spec.n \(72 in the run, 90 now\)"):
        fit(ERM(tiny_classifier()), Blobs(90), "train", tmp_path / "run", **QUICK, resume=True)


@pytest.mark.parametrize("change", ["masks", "labels"])
def test_resume_with_other_masks_or_labels_is_refused(tmp_path, change):
    chance = np.random.default_rng(0)
    for kind in ("images", "masks"):
        for name in ("cat", "dog"):
            (tmp_path / kind / name).mkdir(parents=True)
            for number in range(24):
                path = tmp_path / kind / name / f"{name}{number}.png"
                size = (8, 8, 3) if kind == "images" else (8, 8)
                Image.fromarray(chance.integers(0, 256, size, dtype=np.uint8)).save(path)

    def resumed(resume: bool):
        data = Folder(tmp_path / "images", 8, masks=tmp_path / "masks")
        method = ERM(build_model("small_resnet", data.classes, 8))
        return fit(method, data, data.domains, tmp_path / "run", **QUICK, resume=resume)

    resumed(False)
    assert resumed(True).best.is_file()
    if change == "masks":
        for path in (tmp_path / "masks").rglob("*.png"):
            Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    else:
        for kind in ("images", "masks"):  # the order of all images remains
            for path in sorted((tmp_path / kind / "cat").iterdir())[-8:]:
                path.rename(tmp_path / kind / "dog" / path.name)
    with pytest.raises(UserError, match=r"another config: data\.samples"):
        resumed(True)


@pytest.mark.parametrize(
    "wrap", [lambda method: method, AWP], ids=["alone", "with perturbed weights"]
)
def test_a_targeted_attack_is_refused_in_training(tmp_path, wrap):
    method = wrap(AT(tiny_classifier(), PGD(steps=1, targeted=True)))
    with pytest.raises(UserError, match=r"PGD is targeted.*leave targeted out"):
        fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    options = QUICK | {"validation_attack": FGSM(targeted=True)}
    with pytest.raises(UserError, match="FGSM is targeted"):
        fit(ERM(tiny_classifier()), Blobs(), "train", tmp_path / "run", **options)


def test_a_truncated_checkpoint_is_one_clear_line(tmp_path):
    with pytest.raises(UserError, match="Stopped"):
        train(tmp_path / "run", ERM, callbacks=[Hook(interrupt)])
    path = Run(tmp_path / "run").resumable
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"last.ckpt cannot be read .*--overwrite.*last.saf"):
        train(tmp_path / "run", ERM, resume=True)


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path, monkeypatch):
    replace, calls = os.replace, []

    def full(source, target):
        calls.append(target)
        if len(calls) > 8:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left on the disk while writing"):
        train(tmp_path / "run", AT)
    monkeypatch.undo()
    assert not [*(tmp_path / "run").rglob("*.partial")]
    resumed = train(tmp_path / "run", AT, resume=True)
    assert same_weights(resumed.last, train(tmp_path / "whole", AT).last)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_atomic_keeps_the_file_that_was_there(tmp_path, error):
    path = tmp_path / "file"

    def write(text: str, failure: Exception | None = None) -> None:
        with atomic(path) as partial:
            partial.write_text(text)
            if failure:
                raise failure

    write("old")
    with pytest.raises(UserError, match="No space"):
        write("half", error)
    with pytest.raises(ZeroDivisionError):
        write("half", ZeroDivisionError())
    assert path.read_text() == "old"
    write("new")
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_a_classifier_on_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise RuntimeError("No space left on device (os error 28)")

    monkeypatch.setattr("lookright.models.stored.save_file", full)
    with pytest.raises(UserError, match="No space left"):
        save_classifier(tiny_classifier(), tmp_path / "model.safetensors")


def test_labels_outside_the_classes_are_refused(tmp_path):
    with pytest.raises(UserError, match="labels from 0 to 2, one of 3 classes; got 3"):
        fit(ERM(tiny_classifier()), Blobs(labels_up_to=4), "train", tmp_path / "run", **QUICK)


def test_a_model_of_other_classes_or_size_or_kind_is_refused(tmp_path):
    into = partial(fit, data=Blobs(), domains="train", run=tmp_path / "run", **QUICK)
    network = SmallResNet(3, width=4)
    with pytest.raises(UserError, match="classes are a, b, c, those of Blobs red, green, blue"):
        into(ERM(Classifier(network, "abc", 8)))
    with pytest.raises(UserError, match="images of 16 px, Blobs gives 8 px"):
        into(ERM(Classifier(network, Blobs.classes, 16)))
    with pytest.raises(UserError, match="got SmallResNet: wrap"):
        into(ERM(network))
    with pytest.raises(UserError, match="nothing to train"):
        into(ERM(tiny_classifier().requires_grad_(False)))


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"lr": 0.0},
        {"weight_decay": -1.0},
        {"clip": 0.0},
        {"validate_every": 0},
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, option):
    with pytest.raises(UserError, match=f"{next(iter(option))} .*[0-9]"):
        train(tmp_path / "run", AT, **option)
    assert not (tmp_path / "run").exists()


def test_an_unknown_domain_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="Did you mean 'train'"):
        fit(AT(tiny_classifier(), ATTACK), Blobs(), "trian", tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_a_domain_that_is_named_twice_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="different domains to train on; got train, train: name ea"):
        fit(AT(tiny_classifier(), ATTACK), Blobs(), ["train"] * 2, tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_the_terminal_shows_the_epochs_and_nothing_of_the_machinery(tmp_path, capfd):
    train(tmp_path / "run", AT, progress=True, epochs=2)
    out, err = capfd.readouterr()
    assert out == ""
    shown = [line for line in err.splitlines() if line.strip()]
    assert [line.split()[0] for line in shown] == ["epoch", "epoch", "AT"]
