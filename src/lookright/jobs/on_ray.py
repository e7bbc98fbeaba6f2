"""Runs jobs on a Ray cluster: its scheduling, its retries and its object store."""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.progress import Progress

from lookright.errors import UserError
from lookright.files import write_atomically
from lookright.jobs.codes import FAILED, LOST
from lookright.jobs.job import Job, Place
from lookright.jobs.launcher import Ended, Launcher, Ongoing
from lookright.spec.folders import FOLDERS

_PATIENCE = 600.0
_AGAIN = 2.0
_LOSSES = 5
_STOP = 80.0
_GIVE_UP = {"RAY_gcs_rpc_server_reconnect_timeout_s": "20"}
"""Seconds after which a driver gives up a head that is gone; by Ray's default 60."""


class OnRay(Launcher):
    """Each job as a task of a Ray cluster, on any of its nodes.

    address: of the cluster's head, such as 10.0.0.1:6379; "auto" is the cluster that this machine
    is part of. cpus, gpus: what a job takes of a node for each of its devices; half a GPU lets two
    jobs share it. Where the cluster has no GPUs, none is asked for. A job computes on as many
    threads as it takes CPUs.

    If the cluster is restarted, its jobs are given to it again; they go on where they were.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str = "auto", cpus: float = 1, gpus: float = 1) -> None:
        if find_spec("ray") is None:
            raise UserError(
                "Expected Ray for jobs on a cluster, and it is not installed: pip install "
                "'lookright[ray]' here and on every node."
            )
        host, _, port = address.rpartition(":")
        numbered = port.isdecimal() and int(port) < 2**16
        if address != "auto" and (not host or "/" in host or not numbered):
            raise UserError(
                "Expected the address of a cluster that this machine is part of, as HOST:PORT or "
                f"auto; got '{address}': `ray start --address=HOST:PORT` makes it part of one."
            )
        self.address, self.cpus, self.gpus = address, cpus, gpus
        self.driver = _Driver(self)
        self.losses = 0

    @property
    def slots(self) -> int:
        return self.driver.slots

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))

    def start(
        self, job: Job, place: Place, progress: Progress, alone: bool = False
    ) -> Ongoing | None:
        if not self.driver.alive:
            self._connect_again()
        try:
            return self.driver.start(job, place, alone)
        except UserError as error:
            return Ended(FAILED, str(error))

    def close(self) -> None:
        """Leave the cluster; what still runs there is stopped."""
        self.driver.stop()
        self.driver.wait()

    def _connect_again(self) -> None:
        """Wait until the cluster can be reached again."""
        self.losses = 0 if self.driver.ended else self.losses + 1
        if self.losses > _LOSSES:
            raise UserError(
                f"The Ray cluster at {self.address} was lost {self.losses} times, and no job ended "
                "meanwhile: look into its logs; the same command goes on then."
            )
        warnings.warn(
            f"The Ray cluster at {self.address} is gone: waiting up to {_PATIENCE / 60:g} minutes "
            "for it; its jobs go on then.",
            stacklevel=2,
        )
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self.driver = _Driver(self)
                return
            except UserError:
                if time.monotonic() > until:
                    raise
                time.sleep(_AGAIN)


class _Driver:
    """A process that is connected to the cluster (`jobs.ray_driver`)."""

    def __init__(self, ray: OnRay) -> None:
        self.shared = ray.gpus < 1
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lookright.jobs.ray_driver", ray.address]
            + [str(each) for each in (ray.cpus, ray.gpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**_GIVE_UP, **os.environ, "PYTHONSAFEPATH": "1"},
            start_new_session=True,  # Ctrl-C reaches the launcher, which asks the driver
        )
        self.ended: dict[str, tuple[int, str]] = {}
        self.notes: list[str] = []
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.jobs, self.told = self.process.stdin, self.process.stdout
        first = json.loads(self.told.readline() or '{"unreachable": "its driver was killed"}')
        if "unreachable" in first:
            self.process.wait()
            raise UserError(
                f"Expected a Ray cluster at {ray.address} ({first['unreachable'][:300]}): start "
                "one with `ray start --head`, or correct the address."
            )
        self.slots = int(first["slots"])
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def start(self, job: Job, place: Place, alone: bool) -> "_OnNode":
        token = secrets.token_hex(8)
        write_atomically(place.about / "launch", token.encode())
        told = {
            "folder": str(place.folder.resolve()),
            "about": str(place.about.resolve()),
            "token": token,
            "spec": json.dumps(job.spec),
            "cwd": os.getcwd(),
            "paths": sorted({str(path) for path in _paths(job.spec)}),
            "devices": job.devices,
            "alone": alone,
        }
        with suppress(BrokenPipeError):
            self.jobs.write(json.dumps(told) + "\n")
            self.jobs.flush()
        return _OnNode(self, token, alone or not self.shared or job.devices > 1)

    def stop(self) -> None:
        with suppress(BrokenPipeError):
            self.jobs.close()  # the end of its input stops all jobs

    def wait(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOP)
        self.process.kill()  # where it has lost the cluster meanwhile
        self.process.wait()

    def _listen(self) -> None:
        for line in self.told:
            told: dict[str, Any] = json.loads(line)
            self.slots = told.get("slots", self.slots)
            if "note" in told:
                self.notes.append(told["note"])
            if "token" in told:
                self.ended[told["token"]] = told["code"], told["error"]


class _OnNode(Ongoing):
    """A job on the cluster."""

    def __init__(self, driver: _Driver, token: str, alone: bool) -> None:
        self.driver, self.token, self.alone = driver, token, alone

    def poll(self) -> int | None:
        alive = self.driver.alive
        while self.driver.notes:
            warnings.warn(self.driver.notes.pop(0), stacklevel=2)
        if self.token not in self.driver.ended:
            return None if alive else LOST
        code, self.error = self.driver.ended[self.token]
        return code

    def stop(self) -> None:
        self.driver.stop()

    def wait(self) -> None:
        self.driver.wait()


def _paths(spec: Any, name: str = "") -> Iterator[Path]:
    """The files and folders of this machine that a spec names."""
    if isinstance(spec, Mapping):
        for key, each in spec.items():
            yield from _paths(each, key)
    elif isinstance(spec, list):
        for each in spec:
            yield from _paths(each, name)
    elif isinstance(spec, str) and (os.sep in spec or name in FOLDERS):
        with suppress(OSError, ValueError):
            if (path := Path(spec).absolute()).exists():
                yield path
