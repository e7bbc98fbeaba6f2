"""What happens on a node of a Ray cluster: `work` does one job there.

The function travels to the node by value, so that a node without lookright can say so; it calls
nothing but Python's library and Ray.

If the node sees the launcher's folder (a shared disk), the job works there. Otherwise the launcher
sends the folder's files, the job works in a temporary folder, and its files come back.
"""

import hashlib
import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lookright.jobs.codes import FIRST

_LOOKS = 10
_SECONDS = 0.3
_PROBE = "import lookright as it; print(it.__version__); print(next(iter(it.__path__)))"


@dataclass(frozen=True)
class Order:
    """A job, as a node is given it.

    folder, about: its place on the launcher's machine; `about/launch` holds the token there. spec:
    as JSON. cwd: the launcher's working folder. paths: what must exist on the node. threads: those
    it computes on. version, source: of the launcher's lookright.
    """

    folder: str
    about: str
    token: str
    spec: str
    cwd: str
    paths: list[str]
    threads: int
    version: str
    source: str


@dataclass(frozen=True)
class Answer:
    """What came of it on the node called `host`.

    code: how the worker has exited (`jobs.codes`); None if it was not started. unfit: why the node
    cannot do the job. far: the node does not see the launcher's folder, and needs its files. files:
    of the folder, where the node does not see it.
    """

    node: str
    host: str
    code: int | None = None
    unfit: str = ""
    far: bool = False
    files: bytes | None = None


def work(order: Order, files: bytes | None = None) -> Answer:
    """Do a job on this node. files: of the launcher's folder, once the node has said it is far."""
    import ray

    # By it Ray stops a task; a `&` in the script that has started Ray switches it off.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    node, host = ray.get_runtime_context().get_node_id(), socket.gethostname()
    try:
        unfit = _unfit(order)
        if unfit:
            return Answer(node, host, unfit=unfit)
        if files is None:
            if not _sees(order):
                return Answer(node, host, far=True)
            return Answer(node, host, _run(order, Path(order.folder), Path(order.about)))
        with tempfile.TemporaryDirectory(prefix="lookright-") as scratch:
            here = Path(scratch) / Path(order.folder).name
            unpack(files, here)
            said = here / Path(order.about).relative_to(order.folder)
            code = _run(order, here, said)
            return Answer(node, host, code, files=pack(here))
    except OSError as error:
        where = error.filename or tempfile.gettempdir()
        return Answer(node, host, unfit=f"says '{error.strerror or error}' for {where}: mend that")


def source_of(package: Path) -> str:
    """A hash of a package's Python files."""
    found = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def pack(folder: Path) -> bytes:
    """The files of a folder as a tar, without links, locks and what is being written."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not _stays(path):
                tar.add(path, path.relative_to(folder))
    return packed.getvalue()


def unpack(files: bytes, folder: Path) -> None:
    """Unpack a job's files."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(files)) as tar:
        tar.extractall(folder, filter="data")


def opened_log(about: Path) -> BinaryIO:
    """The file for what a job prints, in its place, to be added to; a link there is replaced."""
    about.mkdir(parents=True, exist_ok=True)
    log = about / "log.txt"
    if log.is_symlink():
        log.unlink()
    return log.open("ab")


def _stays(path: Path) -> bool:
    """Whether a file is none of the job's: a link, a lock, or what is being written."""
    unfinished = path.suffix == ".partial" or ".writing" in path.parts
    return path.is_symlink() or path.name in (".lock", "launch") or unfinished


def _unfit(order: Order) -> str:
    """Why this node cannot do the job; empty if it can."""
    safe = os.environ | {"PYTHONSAFEPATH": "1"}
    asked = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, env=safe, check=False
    )
    if asked.returncode:
        return f"has no lookright for {sys.executable}: install version {order.version} there"
    version, package = asked.stdout.splitlines()
    source = source_of(Path(package))
    if (version, source) != (order.version, order.source):
        return (
            f"has another lookright (version {version}, source {source}) than the launcher "
            f"({order.version}, {order.source}): install the same on all nodes"
        )
    for path in order.paths:
        if not Path(path).exists():
            return (
                f"has no {path}, which a job reads: put the data under that path there, or on a "
                "disk that all nodes share"
            )
    return ""


def _sees(order: Order) -> bool:
    """Whether this node sees the launcher's folder; a network disk may show a new file late."""
    mark = Path(order.about) / "launch"
    for _ in range(_LOOKS if Path(order.folder).parent.is_dir() else 1):
        if mark.is_file() and mark.read_text() == order.token:
            return True
        time.sleep(_SECONDS)
    return False


def _run(order: Order, folder: Path, about: Path) -> int:
    """Do the job in a process of its own, which stops when this one ends."""
    with opened_log(about) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lookright.jobs.worker", str(folder), str(about)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=order.cwd if Path(order.cwd).is_dir() else None,
            env=os.environ
            | {"OMP_NUM_THREADS": str(order.threads), "PYTHONSAFEPATH": "1", FIRST: ""},
        )
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(order.spec.encode() + b"\n")
            process.stdin.flush()
        while process.poll() is None:  # Ray interrupts Python, and no call of the system
            time.sleep(_SECONDS)
        return process.returncode
    finally:  # also if the job is cancelled
        process.communicate()
