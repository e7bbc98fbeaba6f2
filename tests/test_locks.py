"""One writer for each folder, and what a replacement that fails leaves of the former run."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

import pytest
from filelock import FileLock

from lookright import files
from lookright.attacks import PGD
from lookright.claims import Plan, claim
from lookright.errors import UserError
from lookright.evaluation import evaluate
from lookright.files import atomic
from lookright.locks import locked
from lookright.methods import ERM
from lookright.perturbations import Attacked
from lookright.training import Run, fit
from lookright.training.settings import Precision
from test_evaluation import judge
from test_training import Hook
from test_training_mistakes import contents, interrupt, spoil
from tiny import Blobs, tiny_classifier

HELD = r"is being written by process \d+ \(`.+`, since 20\d\d-.* UTC\): wait"


def train(run: Path, seed: int = 0, **options) -> Run:
    quick = {"epochs": 1, "progress": False} | options
    return fit(ERM(tiny_classifier(seed)), Blobs(), "train", run, **quick)


def other_process(folder: Path) -> subprocess.Popen[bytes]:
    """It holds the folder until it is killed."""
    code = (
        "import sys, time; from pathlib import Path; from lookright.locks import locked\n"
        "with locked(Path(sys.argv[1])): print(1, flush=True); time.sleep(60)"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert started.stdout is not None
    started.stdout.readline()
    return started


def test_a_second_process_is_told_who_writes_until_the_first_is_killed(tmp_path):
    first = other_process(tmp_path / "run")
    try:
        with pytest.raises(UserError, match=f"process {first.pid} ") as raised:
            train(tmp_path / "run")
        assert "\n" not in str(raised.value)
        assert os.uname().nodename not in str(raised.value)
        assert not (tmp_path / "run/config.json").exists()
    finally:
        first.kill()
        first.wait()
    assert train(tmp_path / "run").finished
    assert ".lock" not in os.listdir(tmp_path / "run")


def test_a_writer_waits_for_a_reader_that_holds_the_folder_for_a_moment(tmp_path):
    held = FileLock(tmp_path / ".lock", thread_local=False)
    held.acquire()
    ends = threading.Timer(0.1, held.release)
    ends.start()
    with locked(tmp_path):
        assert not held.is_locked
    ends.join()


def test_a_folder_made_for_nothing_goes_again_and_the_user_s_own_stays(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        with locked(tmp_path / name):
            assert os.listdir(tmp_path / name) == [".lock"]
    assert os.listdir(tmp_path) == ["mine"]
    assert os.listdir(tmp_path / "mine") == []


def test_a_process_started_by_the_holder_does_not_keep_the_lock(tmp_path):
    with locked(tmp_path):
        child = os.fork()
        if not child:
            os.execv("/bin/sleep", ["sleep", "60"])
    try:
        with locked(tmp_path):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_file_system_without_locks_is_told_of(tmp_path, monkeypatch):
    def missing(*given):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.warns(UserWarning, match="has no locks"), locked(tmp_path):
        pass


@pytest.mark.parametrize("option", [{"resume": True}, {"overwrite": True}, {}])
def test_a_run_being_trained_is_trained_by_no_second(tmp_path, option):
    refused = []

    def second(module):
        with pytest.raises(UserError, match=HELD):
            train(tmp_path / "run", seed=1, epochs=3, **option)
        refused.append(1)

    run = train(tmp_path / "run", epochs=2, callbacks=[Hook(second, 2, 0)])
    assert refused
    assert run.finished
    assert run.config["settings"]["init_args"]["epochs"] == 2


class Within(Blobs):
    """Calls `second` when images are read for the first time."""

    def __init__(self, second):
        super().__init__()
        self.second, self.refused = second, 0

    def samples(self, domain, indices):
        if not self.refused:
            self.refused = 1
            with pytest.raises(UserError, match=HELD):
                self.second()
        return super().samples(domain, indices)


def test_a_result_or_claim_being_made_is_made_by_no_second(tmp_path):
    model, plan = tiny_classifier(), Plan("train", Attacked(PGD(steps=1)), n=3)
    data = Within(lambda: evaluate(model, Blobs(), tmp_path / "r", seed=2, progress=False))
    judge(tmp_path / "r", model, data, domains=["other"])
    data = Within(lambda: claim(model, Blobs(), plan, save=tmp_path / "c", progress=False))
    claim(model, data, plan, save=tmp_path / "c", progress=False)
    assert data.refused
    assert set(os.listdir(tmp_path / "c")) == {"checksums.json", "claims.json"}


def test_a_run_whose_results_are_being_made_is_not_replaced(tmp_path):
    run = train(tmp_path / "run")
    result = evaluate(
        run.model("best", tiny_classifier().network),
        Blobs(),
        home=run.folder,
        progress=False,
        domains=["other"],
    )
    with locked(result.folder), pytest.raises(UserError, match=HELD):
        train(run.folder, overwrite=True)


class Meanwhile(Blobs):
    """Data whose first image is read when another training has taken the place of the run."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def samples(self, domain, indices):
        config = self.run.folder / "config.json"
        config.write_text(config.read_text().replace('"seed": 0', '"seed": 9'))
        return super().samples(domain, indices)


def test_the_former_models_figures_are_not_those_of_the_run_that_replaced_it(tmp_path):
    run = train(tmp_path / "run")
    model = run.model("best", tiny_classifier().network)
    with pytest.raises(UserError, match="was replaced while its former model was judged"):
        evaluate(model, Meanwhile(run), home=run.folder, domains=["other"], progress=False)
    assert not [*run.folder.glob("results/*/result.json")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator=tpu"),
        ({"accelerator": "cpu", "devices": -2}, "devices=-2"),
        ({"accelerator": "cpu", "devices": 0}, "devices=0"),
        ({"strategy": "none such"}, "strategy=none such"),
        ({"precision": "16-true"}, "precision to be one of 32-true, bf16-mixed, 16-mixed"),
        ({"callbacks": [Hook(spoil, 1, 0)]}, "not finite"),
        ({"callbacks": [Hook(interrupt, 1, 0)]}, "Stopped"),
    ],
)
def test_a_run_is_not_lost_where_its_replacement_fails(tmp_path, options, message):
    run = train(tmp_path / "run")
    before = contents(run.folder)
    with pytest.raises(UserError, match=message):
        train(run.folder, seed=1, overwrite=True, **options)
    after = {name: kept for name, kept in contents(run.folder).items() if name in before}
    assert after == before
    assert train(run.folder, overwrite=True, epochs=2).finished
    assert len([*run.folder.glob("tensorboard/events*")]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator=tpu"),
        ({"callbacks": [Hook(spoil, 1, 0)]}, "not finite"),
    ],
)
def test_a_run_that_failed_before_its_first_epoch_begins_again_by_the_same_command(
    tmp_path, options, message
):
    with pytest.raises(UserError, match=message):
        train(tmp_path / "run", **options)
    assert train(tmp_path / "run").finished


@pytest.mark.parametrize("precision", get_args(Precision))
def test_every_precision_that_is_offered_works(tmp_path, precision):
    assert train(tmp_path / "run", precision=precision, accelerator="cpu").finished


def test_a_run_that_is_replaced_takes_its_results_and_claims_with_it(tmp_path):
    run = train(tmp_path / "run")
    model = run.model("best", tiny_classifier().network)
    evaluate(model, Blobs(), home=run.folder, domains=["other"], progress=False)
    claim(model, Blobs(), Plan("train", n=3), save=run.folder, progress=False)
    (run.folder / "report.html").write_text("of the former model")
    (run.folder / "notes.txt").write_text("mine")
    train(run.folder, seed=1, overwrite=True)
    assert set(os.listdir(run.folder)) == {
        *("config.json", "versions.json", "log.txt", "metrics.csv", "tensorboard", "checkpoints"),
        *("checksums.json", "seen.json.gz", "notes.txt"),
    }


def test_two_writers_of_a_file_do_not_share_a_temporary_one(tmp_path):
    path = tmp_path / "file"
    with atomic(path) as one:
        one.write_text("one" * 99)
        with atomic(path) as two:
            two.write_text("two")
        assert path.read_text() == "two"
    assert path.read_text() == "one" * 99
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_is_on_the_disk_before_it_is_put_in_place_and_then_its_name(tmp_path, monkeypatch):
    done = []
    fsync, replace = os.fsync, os.replace

    def flushed(opened):
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{opened}") else "file")
        fsync(opened)

    def replaced(*given):
        done.append("replace")
        replace(*given)

    monkeypatch.setattr(files.os, "fsync", flushed)
    monkeypatch.setattr(files.os, "replace", replaced)
    files.write_atomically(tmp_path / "file", b"x")
    assert done == ["file", "replace", "folder"]
