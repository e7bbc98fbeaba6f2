"""Links inside a run or result that somebody sent: replaced or refused, never followed."""

import os
from pathlib import Path

import pytest
from PIL import Image
from rich.progress import Progress

from lookright.attacks import PGD
from lookright.claims import Plan, claim
from lookright.console import Terminal
from lookright.data import Folder, MaskValues
from lookright.errors import UserError
from lookright.evaluation import evaluate
from lookright.files import WRITING, WRITTEN, inside, together, write_atomically
from lookright.jobs import InProcess, Workers, launch
from lookright.loading import load_subject
from lookright.locks import locked, settled
from lookright.methods import ERM
from lookright.models import build_model
from lookright.perturbations import Attacked
from lookright.report import write_page
from lookright.training import fit
from own_job import OwnJob
from ray_cluster import PATHS
from test_damage import narrow
from test_evaluation import judge
from test_locks import train
from test_training import Hook
from test_training_mistakes import interrupt
from tiny import Blobs, tiny_classifier

FILES = ("config.json", "seen.json.gz", "log.txt", "metrics.csv", "checksums.json", ".lock")
CHECKPOINTS = ("best.safetensors", "last.safetensors", "last.ckpt", "last.ckpt.partial")


@pytest.fixture
def victim(tmp_path):
    """A file of the user's, outside all that is written."""
    path = tmp_path / "victim"
    path.write_text("mine")
    yield path
    assert path.read_text() == "mine"


def linked(path: Path, to: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


@pytest.mark.parametrize("name", [*FILES, *(f"checkpoints/{name}" for name in CHECKPOINTS)])
def test_a_run_is_written_into_its_own_folder(tmp_path, victim, name):
    run = train(tmp_path / "run")
    linked(run.folder / name, victim)
    train(run.folder, overwrite=True)
    assert not (run.folder / name).is_symlink()


@pytest.mark.parametrize(
    "name", ["result.json", "result.json.partial", "examples.npz", "images.csv.gz", ".lock"]
)
def test_a_result_is_written_into_its_own_folder(tmp_path, victim, name):
    (tmp_path / "r").mkdir()
    linked(tmp_path / "r" / name, victim)
    judge(tmp_path / "r", tiny_classifier(), Blobs(), domains=["other"], overwrite=True)


@pytest.mark.parametrize("name", ["claims.json", "claims.json.partial", "checksums.json"])
def test_claims_are_written_into_their_own_folder(tmp_path, victim, name):
    linked(tmp_path / name, victim)
    plan = Plan("train", Attacked(PGD(steps=1)), n=3)
    if name == "claims.json":  # what it links to is read, and is no claims
        with pytest.raises(UserError, match=r"claims.json is damaged"):
            claim(tiny_classifier(), Blobs(), plan, save=tmp_path, progress=False)
    else:
        claim(tiny_classifier(), Blobs(), plan, save=tmp_path, progress=False)


def test_a_page_or_picture_replaces_a_link(tmp_path, victim):
    linked(tmp_path / "report.html", victim)
    judge(tmp_path / "r", tiny_classifier(), Blobs(), domains=["other"])
    write_page([tmp_path / "r"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").is_symlink()


@pytest.mark.parametrize("name", ["tensorboard", "checkpoints"])
def test_a_folder_of_a_run_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="Stopped"):
        train(tmp_path / "run", epochs=3, callbacks=[Hook(interrupt, 2, 0)])
    (tmp_path / "run" / name).rename(tmp_path / "elsewhere")
    before = sorted(os.listdir(tmp_path / "elsewhere"))
    linked(tmp_path / "run" / name, tmp_path / "elsewhere")
    for option in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match=f"{name} is a link to .*elsewhere, and nothing is"):
            train(tmp_path / "run", epochs=3, **option)
    assert sorted(os.listdir(tmp_path / "elsewhere")) == before


def test_what_others_write_follows_no_link(tmp_path, victim):
    run = tmp_path / "run"
    with pytest.raises(UserError, match="Stopped"):
        train(run, epochs=2, callbacks=[Hook(interrupt, 2, 0)])
    linked(run / "tensorboard" / "hparams.yaml", tmp_path / "made")
    linked(run / "log.txt", victim)
    train(run, epochs=2, resume=True)
    assert not (tmp_path / "made").exists()
    assert "mine" not in (run / "log.txt").read_text()


@pytest.mark.parametrize("name", ["results", ".partial-batches"])
def test_a_folder_of_results_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").mkdir()
    linked(tmp_path / "home" / name, tmp_path / "elsewhere")
    where = {"home": tmp_path / "home"} if name == "results" else {"save": tmp_path / "home"}
    with pytest.raises(UserError, match=f"{name} is a link to"):
        evaluate(tiny_classifier(), Blobs(), **where, progress=False)
    assert not os.listdir(tmp_path / "elsewhere")


def test_a_job_is_kept_in_its_own_folder(tmp_path, victim, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATHS)
    job, bar = OwnJob("job", seconds=1.5), Progress(console=Terminal(quiet=True))
    place = job.place(tmp_path / "out")
    place.about.mkdir(parents=True)
    for name in (".lock", "failed.json", "log.txt", "progress.json", "spec.json"):
        linked(place.about / name, victim)
    assert launch([job], tmp_path / "out", Workers(1), bar) == []
    assert place.state == "done"
    assert not [path for path in place.folder.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_folder_of_a_job_that_leads_elsewhere_is_refused(tmp_path, depth):
    job, bar = OwnJob("job"), Progress(console=Terminal(quiet=True))
    place = job.place(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    link = (place.folder, place.about.parent, place.about)[depth]
    link.parent.mkdir(parents=True, exist_ok=True)
    linked(link, tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"{link.name} is a link to .*elsewhere, and nothing is"):
        launch([job], tmp_path, InProcess(), bar)
    assert not os.listdir(tmp_path / "elsewhere")


def test_the_folder_itself_may_be_a_link_of_the_user_s(tmp_path):
    (tmp_path / "disk").mkdir()
    linked(tmp_path / "run", tmp_path / "disk")
    assert train(tmp_path / "run").finished
    assert (tmp_path / "disk" / "config.json").is_file()


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_what_somebody_left_to_be_finished_stays_within_its_folder(tmp_path, victim, name):
    with pytest.raises(UserError, match="within"):
        inside(tmp_path / "run", name)
    run = tmp_path / "run"
    (run / WRITTEN).mkdir(parents=True)
    (run / WRITTEN / "removed.json").write_text('["../victim"]')
    with pytest.raises(UserError, match="within"), locked(run):
        pass


@pytest.mark.parametrize("name", [WRITING, WRITTEN])
def test_a_link_in_place_of_what_is_being_written_is_replaced(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mine")
    (tmp_path / "run").mkdir()
    linked(tmp_path / "run" / name, tmp_path / "elsewhere")
    settled(tmp_path / "run")
    with locked(tmp_path / "run"), together(tmp_path / "run") as new:
        write_atomically(new / "file", b"new")
    assert (tmp_path / "elsewhere" / "file").read_text() == "mine"
    assert (tmp_path / "run" / "file").read_text() == "new"


def test_folders_and_changes_that_only_a_config_tells_of_are_said(tmp_path, monkeypatch, capsys):
    narrow(monkeypatch)
    for name, level in (("cat", 0), ("dog", 200)):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for at in range(12):
            Image.new("RGB", (32, 32), (level, at, 0)).save(tmp_path / "pets" / name / f"{at}.png")
    data = Folder(tmp_path / "pets", 32)
    model = build_model("small_resnet", data.classes, 32)
    run = fit(ERM(model), data, run=tmp_path / "run", epochs=1, batch_size=4, progress=False)

    def said(*given: str) -> str:
        load_subject(str(run.folder), *given)
        return " ".join(capsys.readouterr().err.split())

    assert f"note: Images and masks are read from {tmp_path / 'pets'}, as config.json" in said()
    assert said(str(tmp_path / "pets")) == ""
    config = run.folder / "config.json"
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 9'))
    assert f"note: {config} was changed after the training" in said(str(tmp_path / "pets"))
    config.write_text(config.read_text().replace('"image_size": 32', '"image_size": 48'))
    with pytest.raises(UserError, match=r"config.json is damaged: it says images of 48 pixels"):
        said()


def test_what_a_run_says_of_its_masks_is_not_said_of_others(tmp_path, monkeypatch):
    narrow(monkeypatch)
    for name, level in (("cat", 0), ("dog", 200)):
        for folder in ("pets", "trimaps", "masks"):
            (tmp_path / folder / name).mkdir(parents=True)
        for at in range(12):
            file = f"{name}/{at}.png"
            Image.new("RGB", (32, 32), (level, at, 0)).save(tmp_path / "pets" / file)
            for folder, here, outside in (("trimaps", 1, 2), ("masks", 255, 0)):
                mask = Image.new("L", (32, 32), outside)
                mask.paste(here, (8, 8, 16, 16))
                mask.save(tmp_path / folder / file)
    values = MaskValues(object=(1,))
    data = Folder(tmp_path / "pets", 32, masks=tmp_path / "trimaps", mask_values=values)
    model = build_model("small_resnet", data.classes, 32)
    run = fit(ERM(model), data, run=tmp_path / "run", epochs=1, batch_size=4, progress=False)
    for folder in ("trimaps", "masks"):
        found = load_subject(str(run.folder), masks=tmp_path / folder).data
        assert sum(found.masked("pets")) == 24
