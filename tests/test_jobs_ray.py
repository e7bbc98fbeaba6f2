"""What a node of a Ray cluster does with a job, and clusters that are not there."""

import errno
import json
import os
import tarfile
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from lookright.errors import UserError
from lookright.files import checksums, together, write_atomically
from lookright.locks import locked
from own_job import OwnJob, lines

pytest.importorskip("ray", reason="Ray is not installed")

from lookright.jobs import OnRay, on_node, ray_driver
from lookright.jobs.codes import DONE
from ray_cluster import PATHS


@pytest.fixture(autouse=True)
def _own_job_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PATHS)


@pytest.fixture
def order(tmp_path):
    """Of a job whose folder this machine is taken not to see."""
    job = OwnJob("far", steps=3)
    place = job.place(tmp_path / "launcher")
    place.about.mkdir(parents=True)
    (place.folder / "steps").write_text("0\n")
    (place.folder / ".lock").touch()
    package = Path(on_node.__file__).parent.parent
    version = __import__("lookright").__version__
    return on_node.Order(
        str(place.folder), str(place.about), "token", json.dumps(job.spec), str(tmp_path), [],
        1, version, on_node.source_of(package),
    )  # fmt: skip


@pytest.fixture
def on_a_node(monkeypatch):
    class Context:
        def get_node_id(self):
            return "node"

    monkeypatch.setattr("ray.get_runtime_context", Context)
    monkeypatch.setattr(on_node, "_SECONDS", 0.0)


@pytest.mark.usefixtures("on_a_node")
def test_without_a_shared_disk_files_go_there_and_come_back(order, tmp_path):
    assert on_node.work(order).far
    folder = Path(order.folder)
    answer = on_node.work(order, on_node.pack(folder))
    assert answer.code == DONE
    assert lines(folder / "steps") == ["0"]
    on_node.unpack(answer.files, folder)
    assert lines(folder / "steps") == ["0", "1", "2"]
    assert OwnJob("far", steps=3).place(tmp_path / "launcher").state == "done"


def kept(folder: Path) -> dict[str, str]:
    """What the files of a folder say, but for locks and logs."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    told = {path.relative_to(folder).as_posix(): path.read_text() for path in files}
    return {name: text for name, text in told.items() if name != ".lock"}


def wrote(folder: Path, content: str) -> Path:
    with locked(folder), together(folder) as new:
        for name in ("config.json", "checkpoints/last.ckpt", "metrics.csv"):
            write_atomically(new / name, content.encode())
    return folder


@pytest.mark.parametrize("written", [0, 1, 3, None])
def test_files_that_come_back_replace_the_others_together(order, tmp_path, monkeypatch, written):
    """written: of them before the disk is full."""
    home, copyfileobj, ended = wrote(Path(order.folder), "epoch 1"), tarfile.copyfileobj, StringIO()
    write_atomically(home / "checksums.json", json.dumps({"lookright": {"stays": "here"}}).encode())
    files = wrote(tmp_path / "node", "epoch 2")
    write_atomically(files / "jobs" / "done.json", b"{}")
    (files / "link").symlink_to(tmp_path)
    answer = on_node.Answer("node", "host", DONE, files=on_node.pack(files))
    left, before = [written], kept(home)

    def copied(*given):
        if left == [0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] = left[0] and left[0] - 1
        copyfileobj(*given)

    monkeypatch.setattr(tarfile, "copyfileobj", copied)
    monkeypatch.setattr(ray_driver.ray, "get", lambda reference: answer)
    driver = object.__new__(ray_driver.Driver)
    driver.told = ended
    driver._end(ray_driver._Task("token", order, {}), None)
    told = json.loads(ended.getvalue())
    if written is None:
        assert told["code"] == DONE
        assert checksums(home) == {"stays": "here", **checksums(files)}
        assert {**kept(home), "checksums.json": ""} == {
            **before, **kept(files), "checksums.json": ""
        }  # fmt: skip
    else:
        assert told["error"].startswith("No space left on the disk while writing")
        assert kept(home) == before


@pytest.mark.usefixtures("on_a_node")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paths": ["missing/PACS"]}, "has no missing/PACS, which a job reads: put the data under"),
        ({"version": "9.9"}, "has another lookright (version "),
        ({"source": "0" * 12}, "has another lookright (version "),
    ],
)
def test_a_node_that_cannot_do_a_job_says_why(order, change, said):
    answer = on_node.work(replace(order, **change))
    assert answer.code is None
    assert said in answer.unfit


@pytest.mark.usefixtures("on_a_node")
def test_a_node_without_lookright_says_so(order, tmp_path, monkeypatch):
    empty = tmp_path / "empty" / "lookright.py"
    empty.parent.mkdir()
    empty.write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(empty.parent))
    assert "has no lookright for " in on_node.work(order).unfit


@pytest.mark.usefixtures("on_a_node")
def test_a_full_disk_of_a_node_is_one_clear_line(order, monkeypatch):
    monkeypatch.setattr(on_node, "_run", lambda *given: Path("/dev/full").write_text("x"))
    monkeypatch.setattr(on_node, "_sees", lambda order: True)
    assert "No space left on device" in on_node.work(order).unfit


def test_a_cluster_that_is_not_there_is_one_clear_line():
    with pytest.raises(UserError) as raised:
        OnRay("127.0.0.1:1")
    assert str(raised.value) == (
        "Expected a Ray cluster at 127.0.0.1:1 (Connection refused): start one with `ray start "
        "--head`, or correct the address."
    )


@pytest.mark.parametrize("address", ["nonsense", "", "127.0.0.1:99999", "ray://10.0.0.1:10001"])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(UserError, match="of a cluster that this machine is part of, as HOST:PORT"):
        OnRay(address)
