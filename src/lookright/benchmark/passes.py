"""What a training step or an evaluation asks of the network, counted: the same on every machine."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from lookright.batch import Batch
from lookright.evaluation import Protocol
from lookright.evaluation.evaluator import Evaluator
from lookright.methods.method import Method
from lookright.modes import frozen
from lookright.seeds import own_noise


@dataclass(frozen=True)
class Passes:
    """Passes through the network, for each image of a batch.

    forward: images that pass through it. backward: gradients that come back from its logits, all
    the way or, as Grad-CAM's, to a layer. work: all multiplications in units of those of a forward
    pass; a learned masker's are among them, the optimiser's are not.
    """

    forward: float
    backward: float
    work: float


def step_passes(method: Method, batch: Batch) -> Passes:
    """The passes of one training step, with the full objective (`progress` 1).

    A copy of the method takes the step; the method, its model and the random state stay as they
    were.
    """
    trained = copy.deepcopy(method).train()
    trained.progress = 1.0

    def step(here: Batch) -> None:
        torch.stack([*trained(here).values()]).sum().backward()

    return _passes(step, lambda: trained.model, batch)


def evaluation_passes(model: nn.Module, batch: Batch, protocol: Protocol) -> Passes:
    """The passes of one batch through every stage of the protocol; the model stays as it was."""
    judged = copy.deepcopy(model).eval()
    judge = Evaluator(judged, protocol, "passes", len(batch))

    def see(here: Batch) -> None:
        with frozen(judged):
            judge.see(here, 0, None, lambda done, stage: None)

    return _passes(see, lambda: judged, batch)


def _passes(work: Callable[[Batch], None], model: Callable[[], nn.Module], batch: Batch) -> Passes:
    """Those of the work's second call: the first one also looks for the layer to explain.

    model: the network after the first call, which may have wrapped it.
    """
    here = batch.to(next(model().parameters()).device)
    with own_noise(here.images.device, 0):
        work(here)
        with _Work() as once, torch.no_grad(), frozen(model()):
            model()(here.images)
        counted = _Counted(model())
        with _Work() as whole:
            work(here)
    return Passes(
        counted.forward / len(batch), counted.backward / len(batch), whole.done / once.done
    )


class _Counted:
    """Counts the images that pass forwards and backwards through a model from now on."""

    def __init__(self, model: nn.Module) -> None:
        self.forward = self.backward = 0
        model.register_forward_hook(self._forwards)

    def _forwards(self, model: nn.Module, images: Any, logits: Tensor) -> None:
        self.forward += len(logits)
        if logits.requires_grad:
            logits.register_hook(self._backwards)

    def _backwards(self, gradient: Tensor) -> None:
        self.backward += len(gradient)


class _Work(TorchDispatchMode):
    """Counts floating-point operations of convolutions and matrix products."""

    done: int = 0

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        count = flop_registry.get(function._overloadpacket)
        if count is not None:
            self.done += count(*args, **(kwargs or {}), out_val=found)
        return found
