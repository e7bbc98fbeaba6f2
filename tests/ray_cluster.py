"""A Ray cluster of two nodes on this machine, which ends with the test however that ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lookright.errors import UserError
from lookright.jobs import OnRay

TESTS = Path(__file__).parent
PATHS = os.pathsep.join(
    filter(None, [str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH")])
)
QUICK = {"RAY_gcs_rpc_server_reconnect_timeout_s": "3"}
"""How soon a node and a driver give up a head that is gone."""

_GUARDED = '{ "$@"; kill -9 0; } & read; kill -9 0'
"""Runs a command until the standard input ends, as it does when the test's process dies."""


class CannotStartError(Exception):
    """Ray does not start on this machine; the message is what it said."""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """A head and a second node, each with one CPU."""

    def __init__(self) -> None:
        short = Path(os.sep, "tmp")  # names of sockets have at most 107 characters
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir=short if short.is_dir() else None))
        self.address = f"127.0.0.1:{free_port()}"
        self.nodes: list[subprocess.Popen] = []

    def start(self, second: str = "") -> OnRay:
        """A launcher on the cluster; second: goes before the second node's PYTHONPATH."""
        self.latest = time.monotonic() + 180
        host, _, port = self.address.rpartition(":")
        client = f"--ray-client-server-port={free_port()}"
        self._node("--head", f"--port={port}", "--include-dashboard=false", client)
        while not self._listens(host, int(port)):
            if self.nodes[0].poll() is not None:
                raise CannotStartError(self.said())
            self._wait()
        self._node(f"--address={self.address}", path=second)
        launcher = self._launcher()
        while launcher.slots < 2:
            self._wait()
        return launcher

    def kill(self) -> None:
        for node in self.nodes:
            with suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL)
            node.communicate()
        self.nodes = []

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))

    def _listens(self, host: str, port: int) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex((host, port)) == 0

    def _launcher(self) -> OnRay:
        while True:
            try:
                return OnRay(self.address)
            except UserError:
                self._wait()

    def _wait(self) -> None:
        time.sleep(0.2)
        assert time.monotonic() < self.latest, self.said()

    def _node(self, *options: str, path: str = "") -> None:
        command = [str(Path(sys.executable).parent / "ray"), "start", "--block", "--num-cpus=1"]
        small = ["--object-store-memory=80000000", f"--plasma-directory={self.folder}"]
        own = [f"--temp-dir={self.folder}", "--disable-usage-stats", "--include-log-monitor=false"]
        with (self.folder / f"{len(self.nodes)}.log").open("ab") as log:
            self.nodes.append(
                subprocess.Popen(
                    ["bash", "-c", _GUARDED, "bash", *command, *small, *own, *options],
                    env=os.environ
                    | QUICK
                    | {"PYTHONPATH": os.pathsep.join(filter(None, [path, PATHS]))},
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
