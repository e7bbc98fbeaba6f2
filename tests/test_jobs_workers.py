"""Workers: their devices and memory, and what runs in them; which launcher a user gets."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from lookright.errors import UserError
from lookright.jobs import InProcess, OnRay, Workers, choose, launch, workers
from own_job import Both, Large, OwnJob, Reading, lines
from ray_cluster import PATHS


@pytest.fixture(autouse=True)
def _own_job_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATHS)


def launched(jobs, root, launcher):
    return launch(jobs, root, launcher, Progress(console=Console(quiet=True)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_job_may_fork_processes_that_read_images(tmp_path):
    assert launched([Reading("reading")], tmp_path, Workers(1)) == []


@pytest.mark.parametrize("gpus", ["", "0"])
def test_a_job_that_fits_only_alone_is_tried_again_alone(gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    job, hungry = Large("job", seconds=1.0), Large("hungry", fails=True, seconds=1.0)
    (failure,) = launched([job, hungry], tmp_path, Workers(2, per_gpu=2))
    assert failure.job == hungry
    assert failure.error.startswith("The memory is full (not enough memory): choose a smaller")
    assert job.place(tmp_path).state == "done"
    assert len(lines(hungry.place(tmp_path).folder / "devices")) <= 2


def test_jobs_have_gpus_of_their_own_as_many_as_they_ask_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    jobs = [Large(f"job {at}", takes=1 + at % 2) for at in range(3)]
    roots = [tmp_path / str(at) for at in range(3)]
    launcher, bar = Workers(), Progress()
    ongoing = [
        launcher.start(job, job.place(root), bar) for job, root in zip(jobs, roots, strict=True)
    ]
    assert ongoing.pop() is None  # no room
    for each in ongoing:
        each.wait()
    assert launched(jobs[2:], roots[2], launcher) == []
    found = [
        lines(job.place(root).folder / "devices") for job, root in zip(jobs, roots, strict=True)
    ]
    assert found == [["3"], ["5,7"], ["3"]]
    (failure,) = launched([Large("too large", takes=4)], tmp_path, launcher)
    assert failure.error.startswith("it asks for 4 GPUs, and this machine has 3: ")


def test_several_jobs_share_a_gpu_where_that_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert launched([Both("one"), Both("other")], tmp_path / "both", Workers(2, per_gpu=2)) == []
    jobs = [Large(f"job {at}", seconds=0.3) for at in range(2)]
    assert launched(jobs, tmp_path / "alone", Workers(2)) == []
    tries = [lines(job.place(tmp_path / "alone").folder / "devices") for job in jobs]
    assert tries == [["0"], ["0"]]


HELPED = """
    import os, subprocess, sys
    from dataclasses import dataclass
    import __main__
    from lookright.jobs import Job

    @dataclass(frozen=True)
    class Helped(Job):
        '''Begins its process once more, as Lightning does for a second device.'''

        title = "helped"
        devices = 2

        def work(self, folder, progress):
            rank = os.environ.get("LOCAL_RANK", "0")
            (folder / f"rank {rank}").write_text(str(self))
            if rank == "0":
                again = [sys.executable, "-m", __main__.__spec__.name, *sys.argv[1:]]
                subprocess.run(again, env=os.environ | {"LOCAL_RANK": "1"}, check=True)
"""


@pytest.mark.parametrize("launcher", [InProcess, Workers])
def test_a_job_on_several_devices_may_begin_its_process_again(launcher, tmp_path, monkeypatch):
    """Its class lies in the working folder, where the worker finds it."""
    (tmp_path / "helped.py").write_text(textwrap.dedent(HELPED))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    job = __import__("helped").Helped()
    assert launched([job], tmp_path / "out", launcher()) == []
    folder = job.place(tmp_path / "out").folder
    assert [(folder / f"rank {rank}").read_text() for rank in range(2)] == ["Helped()"] * 2


def test_files_of_the_working_folder_that_bear_a_librarys_name_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("json", "rich", "typing_extensions", "traceback"):
        Path(f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert launched([OwnJob("job")], tmp_path / "out", Workers(1)) == []
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("asked", "kind", "slots"),
    [
        ({}, InProcess, 1),
        ({"workers": 1}, InProcess, 1),
        ({"workers": 3}, Workers, 3),
        ({"ray": "10.0.0.1:6379", "per_gpu": 4, "threads": 3}, OnRay, (3, 0.25)),
    ],
)
def test_the_launcher_that_is_asked_for(asked, kind, slots, monkeypatch):
    def init(self, address, cpus, gpus):
        self.takes = cpus, gpus

    monkeypatch.setattr(OnRay, "__init__", init)
    found = choose(**asked)
    assert type(found) is kind
    assert (found.takes if kind is OnRay else found.slots) == slots


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"workers": 2, "ray": "a:1"}, "Expected --workers or --ray, got both: --workers 2 are"),
        ({"workers": 0}, "workers is a number of jobs at a time, 1 or more; got 0"),
        ({"per_gpu": 0}, "per_gpu is a number of jobs on one GPU, 1 or more; got 0"),
        ({"threads": 0}, "threads is a number of threads of each job, 1 or more; got 0"),
    ],
)
def test_what_cannot_be_chosen_is_one_clear_line(asked, said):
    with pytest.raises(UserError, match=said):
        choose(**asked)


def test_the_package_loads_neither_ray_nor_torch():
    code = "import sys, lookright.jobs; assert not {'ray', 'torch'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("lookright.jobs.on_ray.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lookright\[ray\]' here and on every node"):
        choose(ray="auto")


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        ("-1", []),
        ("none", []),
        ("NoDevFiles", []),
        ("0,2", ["0", "2"]),
        ("1, 3,-1,2", ["1", "3"]),
        ("GPU-8932f937,MIG-4/1/0", ["GPU-8932f937", "MIG-4/1/0"]),
    ],
)
def test_the_gpus_are_those_that_cuda_sees(visible, gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert workers._gpus() == gpus
