"""Jobs: done once, resumed, alone in their folder, on every launcher."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from lookright import cli
from lookright.errors import UserError
from lookright.jobs import InProcess, Launcher, OnRay, Workers, launch
from own_job import OwnJob, lines
from planted import planted
from ray_cluster import PATHS, QUICK, CannotStartError, Cluster

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def cluster():
    """Two nodes, with the launcher that was the first to reach them."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", PATHS)
        for name, value in QUICK.items():
            patch.setenv(name, value)
        made = Cluster()
        try:
            try:
                made.launcher = made.start()
            except CannotStartError as error:
                pytest.skip(f"Ray does not start here: {error}")
            yield made
            made.launcher.close()
        finally:
            made.remove()


LAUNCHERS = {
    "in this process": lambda request: InProcess(),
    "workers": lambda request: Workers(2),
    "ray": lambda request: request.getfixturevalue("cluster").launcher,
}
in_processes_of_their_own = pytest.mark.parametrize("launcher", ["workers", "ray"], indirect=True)


@pytest.fixture(autouse=True)
def _own_job_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATHS)


@pytest.fixture(params=LAUNCHERS)
def launcher(request) -> Launcher:
    return LAUNCHERS[request.param](request)


def launched(jobs, root, launcher, **more):
    return launch(jobs, root, launcher, Progress(console=Console(quiet=True)), **more)


def test_a_job_is_done_once(launcher, tmp_path):
    jobs = [OwnJob(f"job {at}", steps=2) for at in range(3)]
    seen = []
    for _ in range(2):
        assert launched(jobs, tmp_path, launcher, told=lambda job, place: seen.append(job)) == []
    folders = [job.place(tmp_path).folder for job in jobs]
    assert [lines(folder / "steps") for folder in folders] == [["0", "1"]] * 3
    assert [len(lines(folder / "tries")) for folder in folders] == [1] * 3
    assert {job.place(tmp_path).state for job in jobs} == {"done"}
    assert sorted(job.title for job in seen) == sorted(2 * [job.title for job in jobs])


def test_a_failed_job_is_reported_and_stops_no_other(launcher, tmp_path):
    jobs = [OwnJob("bad", fails=True), OwnJob("good")]
    (failure,) = launched(jobs, tmp_path, launcher)
    assert (failure.job.title, failure.error) == ("bad", "ValueError: the work of this job fails")
    assert [job.place(tmp_path).state for job in jobs] == ["failed", "done"]
    (tmp_path / "mended").touch()
    assert launched(jobs, tmp_path, launcher) == []
    assert [len(lines(job.place(tmp_path).folder / "tries")) for job in jobs] == [2, 1]


@in_processes_of_their_own
def test_a_job_whose_worker_is_killed_goes_on(launcher, tmp_path):
    jobs = [OwnJob("twice", dies=2), OwnJob("always", dies=9)]
    (failure,) = launched(jobs, tmp_path, launcher)
    assert failure.job.title == "always"
    assert "exit code -9" in failure.error
    assert [len(lines(job.place(tmp_path).folder / "tries")) for job in jobs] == [3, 3]
    assert jobs[0].place(tmp_path).state == "done"


LAUNCH = """
    import sys
    from pathlib import Path
    from own_job import OwnJob
    from rich.console import Console
    from rich.progress import Progress
    from lookright.jobs import Workers, launch
    jobs = [OwnJob(f"job {at}", steps=5, seconds=0.2) for at in range(3)]
    print(launch(jobs, Path(sys.argv[1]), Workers(2), Progress(console=Console(quiet=True))))
"""
LAUNCHED = [OwnJob(f"job {at}", steps=5, seconds=0.2) for at in range(3)]


def started(root: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", textwrap.dedent(LAUNCH), str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begun(root: Path) -> bool:
    return any(lines(job.place(root).folder / "steps") for job in LAUNCHED)


def wait_until(holds, seconds=120.0):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_job_whose_place_cannot_be_written_is_reported(launcher, tmp_path):
    jobs = [OwnJob("bad"), OwnJob("good")]
    jobs[0].place(tmp_path).folder.touch()
    (failure,) = launched(jobs, tmp_path, launcher)
    assert failure.job == jobs[0]
    assert "the system says 'Not a directory'" in failure.error
    assert jobs[1].place(tmp_path).state == "done"


def all_once(root: Path) -> bool:
    steps = [lines(job.place(root).folder / "steps") for job in LAUNCHED]
    return steps == [[str(step) for step in range(5)]] * 3


def test_two_launchers_do_nothing_twice(tmp_path):
    ended = [each.communicate(timeout=240) for each in (started(tmp_path), started(tmp_path))]
    assert [out for out, _ in ended] == ["[]\n", "[]\n"], ended
    assert all_once(tmp_path)
    assert [len(lines(job.place(tmp_path).folder / "tries")) for job in LAUNCHED] == [1] * 3


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_workers_stop_with_their_launcher_and_the_next_goes_on(by, tmp_path):
    process = started(tmp_path)
    wait_until(lambda: begun(tmp_path))
    process.send_signal(by)
    process.communicate(timeout=120)
    wait_until(lambda: all(job.place(tmp_path).free for job in LAUNCHED))
    assert not all_once(tmp_path)
    assert launched(LAUNCHED, tmp_path, Workers(2)) == []
    assert all_once(tmp_path)


@dataclass(frozen=True)
class After(OwnJob):
    first: OwnJob = OwnJob("first")  # noqa: RUF009
    worked_out: ClassVar[Counter] = Counter()

    @property
    def needs(self):
        return self.first

    def decides(self):
        self.worked_out[self.title] += 1
        return super().decides()


def test_a_job_comes_after_the_one_that_it_needs_in_the_same_folder(tmp_path):
    job = After("second", first=OwnJob("first", fails=True))
    first, second = launched([job], tmp_path, InProcess())
    assert (first.job, second.job) == (job.first, job)
    assert second.error == "first, which it needs, has failed"
    (tmp_path / "mended").touch()
    order = []
    assert launched([job], tmp_path, InProcess(), told=lambda job, _: order.append(job)) == []
    assert order == [job.first, job]
    assert job.place(tmp_path).folder == job.first.place(tmp_path).folder


def chain(fails: bool = False) -> After:
    return After("third", first=After("second", first=OwnJob("first", fails=fails)))


def test_chains_of_jobs_that_need_others_are_done_in_order_and_worked_out_once(launcher, tmp_path):
    After.worked_out.clear()
    job, order = chain(), []
    assert launched([job], tmp_path, launcher, told=lambda job, _: order.append(job.title)) == []
    assert order == ["first", "second", "third"]
    assert job.place(tmp_path).folder == job.first.first.place(tmp_path).folder
    assert After.worked_out == {"second": 1, "third": 1}


def test_all_that_a_failed_job_is_needed_for_has_failed(tmp_path):
    job = chain(fails=True)
    failures = launched([job, After("beside", first=job.first.first)], tmp_path, InProcess())
    assert [(each.job.title, each.error) for each in failures] == [
        ("first", "ValueError: the work of this job fails"),
        ("second", "first, which it needs, has failed"),
        ("third", "second, which it needs, has failed"),
        ("beside", "first, which it needs, has failed"),
    ]


def test_two_jobs_that_are_the_same_are_refused(tmp_path):
    with pytest.raises(UserError, match="Two jobs called twin are the same: leave one of them out"):
        launched([OwnJob("twin"), OwnJob("twin")], tmp_path, InProcess())


def test_the_error_of_a_job_whose_spec_cannot_be_built_is_in_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent / "src"))
    job = OwnJob("unknown there")
    (failure,) = launched([job], tmp_path, Workers(1))
    assert "log.txt" in failure.error
    assert failure.place.error == ""
    assert "own_job" in failure.error
    assert "own_job" in failure.place.log.read_text()


def test_jobs_of_a_cluster_stop_with_their_launcher(cluster, tmp_path):
    job = OwnJob("long", steps=1000, seconds=0.1)
    place, launcher = job.place(tmp_path), OnRay(cluster.address)
    assert launcher.start(job, place, Progress()).poll() is None
    wait_until(lambda: lines(place.folder / "steps"))
    before = time.monotonic()
    launcher.close()
    wait_until(lambda: place.free)
    assert place.state == "begun"
    assert time.monotonic() - before < 60


BENCHMARK = """
    data: {folder: pets, image_size: 16}
    only: [ink]
    methods: {EGAT: }
    training: {epochs: 2, batch_size: 16}
    launch: {workers: 2, threads: 1}
    evaluation: {only: true, limit: 8, stages: {attacks: {steps: 1, restarts: 1, curve: []}}}
"""


def test_a_benchmark_has_the_same_jobs_and_figures_wherever_it_runs(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    planted(tmp_path / "pets", ("ink", "oil"))
    path = tmp_path / "trial.yaml"
    path.write_text(textwrap.dedent(BENCHMARK))

    def table(*options: str) -> list[dict[str, str]]:
        output = tmp_path / "".join(options)
        cli.main(["benchmark", str(path), "--output", str(output), *options])
        rows = list(csv.DictReader((output / "table.csv").open()))
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]

    torch.set_num_threads(2)
    try:
        here = table("--workers=1")
    finally:
        torch.set_num_threads(1)
    assert len(here) == 2
    assert table() == here
    assert table(f"--ray={cluster.address}") == here


def test_data_that_no_node_has_is_one_clear_line(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("lookright.jobs.on_ray._paths", lambda spec: [tmp_path / "PACS"])
    with pytest.warns(UserWarning, match="has no .*PACS, which a job reads.*Other nodes do its"):
        (failure,) = launched([OwnJob("without data")], tmp_path, cluster.launcher)
    assert (
        failure.error.count(f") has no {tmp_path / 'PACS'}, which a job reads: put the data") == 2
    )


def test_nothing_is_lost_or_done_twice_when_a_cluster_and_its_processes_are_killed(
    cluster, tmp_path
):
    jobs = [OwnJob(f"job {at}", steps=8, seconds=0.3, dies=int(at == 1)) for at in range(3)]
    folders = [job.place(tmp_path).folder for job in jobs]

    def kill() -> None:
        wait_until(lambda: lines(folders[0] / "steps"))
        os.kill(parent_of(int(lines(folders[0] / "tries")[-1])), signal.SIGKILL)
        wait_until(lambda: len(lines(folders[0] / "tries")) == 2 and lines(folders[1] / "steps"))
        cluster.kill()
        other.parent.mkdir()
        other.write_text("__version__, __path__ = '0.0.1', ['.']\n")
        again.append(cluster.start(second=str(other.parent)))

    other, again = tmp_path / "other" / "lookright.py", []
    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.warns(UserWarning, match="is gone: waiting up to 10 minutes"):
        failures = launched(jobs, tmp_path, cluster.launcher)
    killing.join()
    assert failures == []
    assert {job.place(tmp_path).state for job in jobs} == {"done"}
    assert [lines(folder / "steps") for folder in folders] == [[str(at) for at in range(8)]] * 3
    more = [OwnJob(f"more {at}", seconds=2.0) for at in range(2)]
    with pytest.warns(UserWarning, match=r"node .* has another lookright \(version 0.0.1, "):
        assert launched(more, tmp_path, *again) == []
    again[0].close()


def parent_of(process: int) -> int:
    told = subprocess.run(["ps", "-o", "ppid=", "-p", str(process)], capture_output=True, text=True)
    return int(told.stdout)
