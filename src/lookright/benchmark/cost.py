"""What a training step and the evaluation of a batch cost in time and memory, by trying them."""

import copy
import ctypes
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from lookright.batch import Batch
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.evaluation.evaluator import Evaluator
from lookright.methods.method import Method
from lookright.modes import frozen, full_precision
from lookright.seeds import own_noise

_SEED: Final = 0


@dataclass(frozen=True)
class Cost:
    """The cost of one batch.

    seconds: the median of the repeats, after one to warm up. bytes: the most memory that was in use
    for it, weights included: on a CUDA device what tensors took, on the CPU by how much the process
    grew beyond what it held already, so that little is seen of a model smaller than the memory that
    earlier work left behind. None where neither is known.
    """

    seconds: float
    bytes: int | None


def step_cost(method: Method, batch: Batch, repeats: int = 3) -> Cost:
    """One whole training step: attack, forward pass, explanation, backward pass and AdamW.

    A copy of the method is trained, on the device of its model, with its full objective
    (`progress` 1). The method, its model and the random state stay as they were.

    batch: images (B, 3, H, W) in [0, 1], with the domains and masks that the method needs.

    Raises:
        UserError: repeats below 1; whatever the method refuses.
    """
    device = _device(method)
    here = batch.to(device)
    with own_noise(device, _SEED), _peak(device) as peak:
        trained = copy.deepcopy(method).train()
        trained.progress = 1.0
        optimizer = AdamW(each for each in trained.parameters() if each.requires_grad)

        def step() -> None:
            optimizer.zero_grad()
            torch.stack([*trained(here).values()]).sum().backward()
            optimizer.step()

        seconds = _seconds(step, repeats, device)
        taken = peak()
    return Cost(seconds, taken)


def evaluation_cost(model: nn.Module, batch: Batch, protocol: Protocol, repeats: int = 1) -> Cost:
    """One batch through every stage of the protocol, as `evaluate` does it.

    It runs on the device of the model, which stays as it was, as does the random state.

    batch: images (B, 3, H, W) in [0, 1] with labels, and with masks where the data have some.

    Raises:
        UserError: repeats below 1; a model that gives NaN for every image.
    """
    device = _device(model)
    here = batch.to(device)
    judge = Evaluator(model, protocol, "cost", len(batch))

    def see() -> None:
        judge.see(here, 0, None, lambda done, stage: None)

    with own_noise(device, _SEED), full_precision(device), frozen(model), _peak(device) as peak:
        seconds = _seconds(see, repeats, device)
        taken = peak()
    return Cost(seconds, None if taken is None else taken + _size(model))


def _seconds(work: Callable[[], None], repeats: int, device: torch.device) -> float:
    """The median of `repeats` times, after one more to warm up."""
    if repeats < 1:
        raise UserError(f"repeats must be 1 or more, got {repeats}.")
    work()
    times = []
    for _ in range(repeats):
        _finish(device)
        start = time.perf_counter()
        work()
        _finish(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@contextmanager
def _peak(device: torch.device) -> Iterator[Callable[[], int | None]]:
    """Gives a function that says how much more memory than at the beginning was in use at most."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
    elif device.type == "cpu" and _peak_forgotten():
        held = _resident("VmRSS")
        yield lambda: max(0, _resident("VmHWM") - held)
    else:
        yield lambda: None


def _peak_forgotten() -> bool:
    """Begin the process's peak of resident memory anew; False where the system does not keep it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return True


def _resident(name: str) -> int:
    """VmRSS, the resident memory of this process, or VmHWM, its peak, in bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else 0


def _device(module: nn.Module) -> torch.device:
    return next((tensor.device for tensor in _tensors(module)), torch.device("cpu"))


def _size(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in _tensors(module))


def _tensors(module: nn.Module) -> Iterable[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _finish(device: torch.device) -> None:
    """Wait until the accelerator has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
