"""The jobs of a comparison: what decides them, and that every launcher gives the same figures."""

import json
import os
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from lookright.attacks import PGD
from lookright.benchmark.plan import built
from lookright.data import Folder
from lookright.errors import UserError
from lookright.evaluation import Attacks, Protocol
from lookright.guides import LearnedMask
from lookright.jobs import InProcess, Workers, launch
from lookright.jobs.code import own_code
from lookright.jobs.grid import Entry, Grid, compare
from lookright.jobs.training import Evaluation, Training, _in_full, content_of
from lookright.methods import ALIGN, AT, EGAT, ERM
from lookright.spec import build, spec_of
from lookright.training import Run, fit
from test_data_folder import grow, paint
from tiny import Blobs

TESTS = Path(__file__).parent
QUICK = Protocol(stages=(Attacks(1, 1, ()),), limit=6)
ONCE = {"epochs": 1, "batch_size": 16}


def launched(jobs, root, launcher):
    return launch(jobs, root, launcher, Progress(console=Console(quiet=True)))


def evaluation(method=ERM, **options) -> Evaluation:
    training = Training("mine", method, Blobs(), ("train",), options=ONCE)
    return Evaluation(replace(training, **options), ("train", "other"), QUICK)


def softly(model, method, clean):
    return method(model, clean=clean)


@pytest.mark.parametrize(
    "method",
    [
        ERM,
        partial(ALIGN, guidance=0.5),
        partial(built, method=AT, awp=0.01),
        partial(built, method=partial(AT, attack=PGD(steps=3)), awp=0.01),
        partial(softly, method=EGAT, clean=0.5),
    ],
)
def test_a_job_is_built_again_from_its_spec(method, tmp_path):
    job = evaluation(method, seed=3)
    again = build(json.loads(json.dumps(spec_of(job))))
    assert again.place(tmp_path) == job.place(tmp_path)
    assert spec_of(again) == spec_of(job)
    assert spec_of(again.training.built()) == spec_of(job.training.built())


def test_a_method_that_only_says_partial_is_refused():
    spec = spec_of(evaluation().training)
    spec["init_args"]["method"] = {"partial": True}
    with pytest.raises(UserError, match="method"):
        build(spec)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"method": AT},
        {"method": partial(AT, attack=PGD(steps=3))},
        {"options": ONCE | {"lr": 0.1}},
        {"options": ONCE | {"devices": 2}},
        {"data": Blobs(n=60)},
        {"domains": ("other",)},
    ],
)
def test_what_decides_a_training_gives_it_another_folder(change, tmp_path):
    assert evaluation(**change).place(tmp_path).folder != evaluation().place(tmp_path).folder


@pytest.mark.parametrize(
    "said",
    [
        {"method": partial(ALIGN, guidance=1.0)},
        {"method": partial(ALIGN, guide=LearnedMask())},
        {"options": ONCE | {"lr": fit.__kwdefaults__["lr"], "patience": None}},
    ],
)
def test_what_a_default_says_already_is_the_same_training(said, tmp_path):
    plain = evaluation(ALIGN)
    assert evaluation(**({"method": ALIGN} | said)).place(tmp_path) == plain.place(tmp_path)


def test_with_other_defaults_it_is_another_training(monkeypatch, tmp_path):
    for method in (AT, partial(built, method=AT, awp=0.1)):
        before = evaluation(method).place(tmp_path)
        monkeypatch.setattr(AT.__init__, "__defaults__", (PGD(0.25),))
        _in_full.cache_clear()
        assert evaluation(method).place(tmp_path).folder != before.folder
        monkeypatch.undo()
        _in_full.cache_clear()
        assert evaluation(method).place(tmp_path) == before
    monkeypatch.setitem(fit.__kwdefaults__, "weight_decay", 0.5)
    assert evaluation(method).place(tmp_path).folder != before.folder


def test_of_a_method_that_is_refused_what_is_given_decides(tmp_path):
    wrong = evaluation(partial(ALIGN, guidance=-1.0))
    assert wrong.place(tmp_path).folder != evaluation(ALIGN).place(tmp_path).folder
    with pytest.raises(UserError, match="guidance"):
        wrong.training.built()


def test_an_evaluation_of_another_kind_trains_nothing_again(tmp_path):
    job = evaluation()
    other = replace(job, protocol=replace(QUICK, limit=5))
    assert launched([job], tmp_path, InProcess()) == []
    run = Run(job.place(tmp_path).folder)
    before = run.resumable.stat().st_mtime_ns
    assert launched([other], tmp_path, InProcess()) == []
    assert other.place(tmp_path).folder == run.folder
    assert run.resumable.stat().st_mtime_ns == before
    assert [each.result(run.folder).domains["other"].n for each in (job, other)] == [6, 5]


def test_images_decide_and_not_where_they_lie(tmp_path):
    def folder(root: Path) -> Path:
        data = Folder(root, 8)
        return Training("mine", ERM, data, data.domains).place(tmp_path).folder

    first = grow(tmp_path / "first", "ink/cat", "ink/dog", "oil/cat", "oil/dog")
    moved = tmp_path / "moved"
    shutil.copytree(first, moved)
    assert folder(first) == folder(moved)
    next(moved.glob("ink/cat/*")).unlink()
    assert folder(first) != folder(moved)


def test_images_are_hashed_once_for_all_jobs(monkeypatch):
    asked = []

    def fingerprint(self, domain):
        asked.append(domain)
        return domain

    monkeypatch.setattr(Blobs, "fingerprint", fingerprint)
    grid = Grid(Blobs(), Blobs.domains, ONCE, QUICK)
    jobs = grid.jobs([Entry("good", "", ERM)], [["train"], ["other"]], range(3))
    assert len({job.digest for job in jobs}) == 6
    assert sorted(asked) == ["other", "train"]


def test_a_worker_refuses_images_that_are_others_than_those_of_the_job(tmp_path):
    root = grow(tmp_path / "data", "ink/cat", "ink/dog", "oil/cat", "oil/dog")
    data = Folder(root, 8)
    job = Training("mine", ERM, data, data.domains, options=ONCE)
    assert job.place(tmp_path).state == "waiting"
    next(root.glob("ink/cat/*")).unlink()
    (failure,) = launched([job], tmp_path, Workers(1))
    assert failure.error.startswith("The images or the weights of this job are others on ")


@pytest.mark.parametrize("devices", ["auto", -1, "0,1"])
def test_a_job_says_on_how_many_devices_it_trains(devices):
    with pytest.raises(UserError, match="devices is a number of devices, 1 or more, for a job"):
        evaluation(options={"devices": devices})


def test_a_job_trains_in_two_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]))
    two = {"devices": 2, "strategy": "ddp", "accelerator": "cpu"}
    job = evaluation(options=ONCE | two)
    assert launched([job], tmp_path, InProcess()) == []
    run = Run(job.place(tmp_path).folder)
    assert [row["step"] for row in run.history] == [1.0]


def test_workers_give_the_same_figures_and_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]))
    jobs = [evaluation(), evaluation(ALIGN)]
    found = []
    for root, launcher in ((tmp_path / "here", InProcess()), (tmp_path / "there", Workers(2))):
        assert launched(jobs, root, launcher) == []
        folders = [job.place(root).folder for job in jobs]
        figures = [
            job.result(at).domains["other"].measures for job, at in zip(jobs, folders, strict=True)
        ]
        found.append(([Run(at).last.read_bytes() for at in folders], figures))
    assert found[0] == found[1]


def test_no_masker_is_shared_between_trainings(tmp_path):
    jobs = [evaluation(ALIGN, seed=seed) for seed in (0, 1)]
    apart = [launched([job], tmp_path / "apart", InProcess()) for job in jobs]
    assert [*apart, launched(jobs[1:], tmp_path / "alone", InProcess())] == [[], [], []]
    after, alone = (
        Run(jobs[1].place(tmp_path / where).folder).last.read_bytes()
        for where in ("apart", "alone")
    )
    assert after == alone


def test_failed_jobs_are_named_and_the_others_done(tmp_path):
    entries = [Entry("good", "", ERM), Entry("bad", "", partial(AT, unknown=1))]
    jobs = Grid(Blobs(), ("other",), ONCE, QUICK).jobs(entries, [["train"]], [0])
    with pytest.raises(UserError, match=r"of the trial have failed: bad train 0: .*tries these ag"):
        compare("trial", jobs, tmp_path)
    (good,) = tmp_path.glob("good-*")
    assert Run(good).finished


def test_a_network_of_ones_own_is_judged_too(tmp_path):
    training = Training("mine", ERM, Blobs(), ("train",), model="tiny:own_network", options=ONCE)
    job = Evaluation(training, ("train",), QUICK)
    assert launched([job], tmp_path, InProcess()) == []
    assert job.result(job.place(tmp_path).folder).domains["train"].n == 6


def test_a_job_of_a_long_name_has_a_folder_that_can_be_made(tmp_path):
    name = "hospital station " * 40
    folders = {
        replace(evaluation().training, name=name + last).place(tmp_path).folder
        for last in ("a", "b")
    }
    assert len(folders) == 2
    for folder in folders:
        folder.mkdir()


@pytest.mark.filterwarnings("ignore:Domain 'photo' of")
def test_a_class_that_only_other_domains_have_makes_another_job(tmp_path):
    before = grow(tmp_path / "before", "photo/cat", "photo/dog", "sketch/cat", "sketch/dog")
    after = shutil.copytree(before, tmp_path / "after")
    paint(after / "sketch" / "bird" / "0.png", 7)
    one, other = (Folder(root, 4) for root in (before, after))
    assert one.fingerprint("photo") == other.fingerprint("photo")
    assert content_of(one, ("photo",)) != content_of(other, ("photo",))
    assert "classes" not in content_of(one, ("photo",))


OWN = """
from dataclasses import dataclass
from lookright.attacks import FGSM
from lookright.methods import ERM
from lookright.models import SmallResNet


class Mine(ERM):
    pass


@dataclass(frozen=True)
class Once(FGSM):
    pass


def network():
    return SmallResNet(3, 4)
"""


@pytest.mark.parametrize("where", ["method", "model", "protocol", "nowhere"])
def test_code_of_ones_own_that_has_changed_makes_another_job(tmp_path, monkeypatch, where):
    (tmp_path / "ours_for_a_test.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ours_for_a_test", raising=False)
    ours = pytest.importorskip("ours_for_a_test")

    def job() -> Evaluation:
        found = evaluation(ours.Mine if where == "method" else ERM)
        if where == "model":
            found = evaluation(model="ours_for_a_test:network")
        if where == "protocol":
            return replace(
                found, protocol=replace(QUICK, stages=(Attacks(attacks=(ours.Once(),)),))
            )
        return found

    before = job()
    assert job().digest == before.digest
    (tmp_path / "ours_for_a_test.py").write_text(OWN + "\n# other\n")
    assert (job().digest != before.digest) == (where != "nowhere")
    trained_anew = job().training.digest != before.training.digest
    assert trained_anew == (where in ("method", "model"))


def test_what_is_installed_and_what_a_library_names_is_no_code_of_ones_own():
    job = evaluation(partial(AT, attack=PGD()))
    assert own_code(job.training.decides()).keys() == {"tiny"}, "the data's class"
    assert own_code({"model": "resnet50.a1_in1k", "import": "torch.nn.Linear"}) == {}
    assert own_code({"import": "nowhere_at_all.Thing"}) == {}
