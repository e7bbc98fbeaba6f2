"""Passes jobs on to a Ray cluster: `python -m lookright.jobs.ray_driver ADDRESS CPUS GPUS`.

It is a process of its own because a Ray driver ends when its cluster does; the launcher then starts
another one. It reads a line of JSON for each job, and writes lines of JSON: how many jobs the
cluster takes (`slots`), how a job has ended (`token`, `code`, `error`), what the user should know
(`note`). When its input ends it stops all jobs, and ends.
"""

import json
import logging
import os
import queue
import socket
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path
from typing import Any, NoReturn, TextIO

import ray
from ray import cloudpickle

import lookright
from lookright.errors import UserError
from lookright.files import together
from lookright.jobs import on_node
from lookright.jobs.codes import DONE, FAILED, HELD, KILLED
from lookright.jobs.job import Place
from lookright.jobs.on_node import Answer, Order
from lookright.locks import HeldError, locked, settled

_RETRIES = 2
_SECONDS = 0.2
_SURVEY = 1.0
_REACH = 10.0
_CONNECT = 60.0
_STOP = 70.0
_WITHOUT_ROOM = 30.0
"""Seconds for which a job waits for a node that is large enough, as while a cluster is started."""


@dataclass
class _Task:
    """A job that the cluster has.

    needs: of a node. unfit: nodes that cannot do it, and why. held: the lock of its place, while a
    node works that does not see it. stuck: since when no node is large enough.
    """

    token: str
    order: Order
    needs: dict[str, float]
    unfit: dict[str, str] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)
    stuck: float | None = None

    @property
    def place(self) -> Place:
        return Place(Path(self.order.folder), Path(self.order.about))

    def fits(self, node: dict[str, Any]) -> bool:
        """Whether a node is large enough and not known to be unfit."""
        has = node["Resources"]
        return node["NodeID"] not in self.unfit and all(
            has.get(name, 0) >= needed for name, needed in self.needs.items()
        )


class Driver:
    """Submits jobs to the cluster that this process is connected to, and tells how they end."""

    def __init__(self, cpus: float, gpus: float, told: TextIO) -> None:
        cloudpickle.register_pickle_by_value(on_node)
        self.work: Any = ray.remote(max_retries=_RETRIES)(on_node.work)
        self.told = told
        self.each, self.threads = {"CPU": cpus}, max(1, int(cpus))
        if ray.cluster_resources().get("GPU", 0) >= gpus > 0:
            self.each["GPU"] = gpus
        self.slots, self.surveyed = 0, -inf
        self.nodes: list[dict[str, Any]] = []
        self.tasks: dict[Any, _Task] = {}
        self.noted: set[str] = set()
        package = Path(next(iter(lookright.__path__)))
        self.version, self.source = lookright.__version__, on_node.source_of(package)

    def serve(self, lines: queue.Queue[str | None]) -> None:
        """Submit the jobs of the lines, until these end with None; then stop."""
        while True:
            self.look()
            try:
                while (line := lines.get(timeout=_SECONDS)) is not None:
                    self.submit(json.loads(line))
                return self.stop()
            except queue.Empty:
                continue

    def submit(self, told: dict[str, Any]) -> None:
        """Give a job to the cluster."""
        devices, token = told.pop("devices"), told["token"]
        needs = {name: each * devices for name, each in self.each.items()}
        if "GPU" in needs and (devices > 1 or told["alone"]):
            needs["GPU"] = ceil(needs["GPU"] / devices) * devices
        del told["alone"]
        order = Order(**told, threads=self.threads, version=self.version, source=self.source)
        self._send(_Task(token, order, needs))

    def look(self) -> None:
        """Tell how large the cluster is, and how jobs have ended."""
        if time.monotonic() - self.surveyed > _SURVEY:
            self._survey()
        ended, _ = ray.wait(list(self.tasks), timeout=0) if self.tasks else ([], [])
        for reference in ended:
            self._end(self.tasks.pop(reference), reference)

    def stop(self) -> None:
        """Stop all jobs, and wait until they have stopped."""
        left = list(self.tasks)
        for reference in left:
            ray.cancel(reference)
        if left:
            ray.wait(left, num_returns=len(left), timeout=_STOP)

    def tell(self, what: dict[str, Any]) -> None:
        self.told.write(json.dumps(what) + "\n")
        self.told.flush()

    def _send(self, task: _Task, files: bytes | None = None, node: str | None = None) -> None:
        where: dict[str, Any] = {}
        if node is not None:
            where = {"label_selector": {"ray.io/node-id": node}}
        elif task.unfit:
            where = {"label_selector": {"ray.io/node-id": f"!in({','.join(task.unfit)})"}}
        sent = self.work.options(
            num_cpus=task.needs["CPU"], num_gpus=task.needs.get("GPU", 0), **where
        ).remote(task.order, files)
        self.tasks[sent] = task

    def _survey(self) -> None:
        """Look at the nodes that there are, and tell how many jobs they take."""
        self.nodes = [each for each in ray.nodes() if each["Alive"]]
        room = [
            min(each["Resources"].get(name, 0) // size for name, size in self.each.items() if size)
            for each in self.nodes
        ]
        if self.slots != (slots := max(1, int(sum(room)))):
            self.slots = slots
            self.tell({"slots": slots})
        for reference, task in list(self.tasks.items()):
            self._check(reference, task)
        self.surveyed = time.monotonic()

    def _check(self, reference: Any, task: _Task) -> None:
        """Give up a job for which no node is large enough."""
        now = time.monotonic()
        if any(map(task.fits, self.nodes)):
            task.stuck = None
        elif task.stuck is None:
            task.stuck = now
        elif now - task.stuck > _WITHOUT_ROOM:
            del self.tasks[reference]
            ray.cancel(reference)
            asks = " and ".join(f"{size:g} {name}s" for name, size in task.needs.items())
            why = f"no node of the cluster has the {asks} that it asks for: give it fewer devices"
            self._tell_end(task, FAILED, "; ".join([why, *task.unfit.values()]))

    def _end(self, task: _Task, reference: Any) -> None:
        try:
            answer: Answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            return self._tell_end(task, FAILED, str(error).strip().rpartition("\n")[2])
        except ray.exceptions.RayError as error:
            return self._tell_end(task, KILLED, f"Ray says: {error}")
        try:
            if answer.unfit:
                self._elsewhere(task, answer)
            elif answer.far:
                task.held.enter_context(locked(task.place.about))
                settled(task.place.folder)
                if task.place.state == "done":
                    self._tell_end(task, DONE)
                else:
                    self._send(task, on_node.pack(task.place.folder), answer.node)
            else:
                if answer.files is not None:
                    folder = task.place.folder
                    with locked(folder), together(folder, brought=True) as new:
                        on_node.unpack(answer.files, new)
                self._tell_end(task, FAILED if answer.code is None else answer.code)
        except HeldError:
            self._tell_end(task, HELD)
        except UserError as error:
            self._tell_end(task, FAILED, str(error))

    def _elsewhere(self, task: _Task, answer: Answer) -> None:
        """Let other nodes try a job that one cannot do."""
        why = f"node {answer.host} ({answer.node[:8]}) {answer.unfit}"
        task.unfit[answer.node] = why
        if not any(map(task.fits, self.nodes)):
            return self._tell_end(task, FAILED, "; ".join(task.unfit.values()))
        if why not in self.noted:
            self.noted.add(why)
            self.tell({"note": f"{why}. Other nodes do its jobs meanwhile."})
        task.held.close()
        self._send(task)

    def _tell_end(self, task: _Task, code: int, error: str = "") -> None:
        task.held.close()
        self.tell({"token": task.token, "code": code, "error": error})


def main() -> None:
    """Pass on jobs until the standard input ends."""
    address, cpus, gpus = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    told = _own_output()
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    _connect(address, told)
    driver = Driver(cpus, gpus, told)
    try:
        driver.serve(lines)
    except Exception as error:
        driver.tell({"note": f"Ray says: {' '.join(str(error).split())[:300]}"})
        raise


def _own_output() -> TextIO:
    """The standard output, kept from what Ray prints."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return told


def _read(lines: queue.Queue[str | None]) -> None:
    for line in sys.stdin:
        lines.put(line)
    lines.put(None)
    if not ray.is_initialized():
        os._exit(FAILED)


def _connect(address: str, told: TextIO) -> None:
    """Connect to the cluster; what is wrong is told, and ends the process."""

    def fail(why: str) -> NoReturn:
        told.write(json.dumps({"unreachable": " ".join(why.split())}) + "\n")
        told.flush()
        os._exit(FAILED)

    host, _, port = address.rpartition(":")
    try:  # Ray itself would wait for minutes
        if address != "auto":
            socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except OSError as error:
        fail(error.strerror or str(error))
    late = threading.Timer(_CONNECT, fail, ["no answer as from a Ray cluster"])
    late.daemon = True
    late.start()
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except BaseException as error:
        fail(str(error))
    late.cancel()


if __name__ == "__main__":
    main()
