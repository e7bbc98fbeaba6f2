"""Jobs: done once, resumed, alone in their folder, on every launcher."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from lookright.errors import UserError
from lookright.jobs import InProcess, Launcher, Workers, launch
from own_job import OwnJob, lines

LAUNCHERS = {"in this process": InProcess, "workers": lambda: Workers(2)}
TESTS = Path(__file__).parent


@pytest.fixture(autouse=True)
def _own_job_is_found(monkeypatch):
    paths = [str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))


@pytest.fixture(params=LAUNCHERS)
def launcher(request) -> Launcher:
    return LAUNCHERS[request.param]()


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


def test_a_job_whose_worker_is_killed_goes_on(tmp_path):
    jobs = [OwnJob("twice", dies=2), OwnJob("always", dies=9)]
    (failure,) = launched(jobs, tmp_path, Workers(2))
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

    @property
    def needs(self):
        return self.first


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


def test_two_jobs_that_are_the_same_are_refused(tmp_path):
    with pytest.raises(UserError, match="Two jobs called twin are the same: leave one of them out"):
        launched([OwnJob("twin"), OwnJob("twin")], tmp_path, InProcess())


def test_the_error_of_a_job_whose_spec_cannot_be_built_is_in_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent / "src"))
    job = OwnJob("unknown there")
    (failure,) = launched([job], tmp_path, Workers(1))
    assert "log.txt" in failure.error
    assert failure.place.error == ""
    assert "own_job" in failure.place.log.read_text()
