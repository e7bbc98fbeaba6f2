"""Temporary changes of a model's mode and of the precision, and when to check tensor values."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode with autograd enabled and parameters that need no gradient.

    The mode of every submodule and `requires_grad` of every parameter are restored at the end, also
    after an exception. In evaluation mode BatchNorm keeps its buffers and dropout is off. Computed
    parameters, as in `torch.func.functional_call`, are detached inside.
    """
    training = [each for each in model.modules() if getattr(each, "training", False)]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    computed = [
        (module._parameters, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if parameter is not None and not parameter.is_leaf
    ]
    try:
        for module in training:
            module.training = False
        for parameters, name, parameter in computed:
            parameters[name] = parameter.detach()  # type: ignore[assignment]
        for parameter in trainable:
            if parameter.is_leaf:
                parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module in training:
            module.training = True
        for parameters, name, parameter in computed:
            parameters[name] = parameter
        for parameter in trainable:
            parameter.requires_grad_(True)


def uncompiled() -> AbstractContextManager[object]:
    """What `torch.compile` makes runs as its source inside: hooks see it, and it has two gradients.

    Nothing is compiled before the compiler is loaded, which takes a second.
    """
    loaded = "torch._dynamo" in sys.modules and not torch.compiler.is_compiling()
    return torch.compiler.set_stance("force_eager") if loaded else nullcontext()


def freeze_statistics(model: nn.Module) -> None:
    """Evaluation mode for the BatchNorm layers: they use and keep the statistics that they have."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.eval()


def normalises_by_batch(model: nn.Module) -> bool:
    """Whether a BatchNorm layer is in training mode."""
    return any(isinstance(each, _BatchNorm) and each.training for each in model.modules())


def recomputing(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """The switches, timm's and Hugging Face's, of gradient checkpointing that are on.

    It computes the forward pass once more in the backward pass, when what was changed for a while
    is as it was before.
    """
    switches = ("grad_checkpointing", "gradient_checkpointing")
    found = ((each, name) for each in model.modules() for name in switches)
    return [(each, name) for each, name in found if getattr(each, name, False) is True]


@contextmanager
def not_recomputing(model: nn.Module) -> Iterator[None]:
    """Gradient checkpointing is off inside."""
    switches = recomputing(model)
    try:
        for module, name in switches:
            setattr(module, name, False)
        yield
    finally:
        for module, name in switches:
            setattr(module, name, True)


@contextmanager
def averaging_no_statistics(model: nn.Module) -> Iterator[None]:
    """BatchNorm in training mode normalises by the batch, and leaves its running statistics."""
    layers = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    try:
        for layer in layers:
            layer.track_running_stats = False
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


_SWITCHES = (
    "cuda.matmul",
    *(f"cudnn.{kind}" for kind in ("conv", "rnn")),
    *(f"mkldnn.{kind}" for kind in ("matmul", "conv", "rnn")),
)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Compute in float32, without autocast, TF32 and products of bfloat16.

    By default cuDNN's convolutions on a GPU use TF32, float32 with a mantissa of 10 bits. A user
    may have chosen by torch's former switches or by the present ones; the former cannot be read
    where the present ones were set, and are then left alone.
    """
    parts: list[Any] = [attrgetter(name)(torch.backends) for name in _SWITCHES]
    before = [part.fp32_precision for part in parts]
    former: tuple[bool, str] | None = None
    with suppress(RuntimeError):
        former = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
        _set_former(False, "highest")
    for part in parts:
        part.fp32_precision = "ieee"
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if former:
            _set_former(*former)
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


def _set_former(tf32: bool, products: str) -> None:
    torch.backends.cudnn.allow_tf32 = tf32
    torch.set_float32_matmul_precision(products)


_LOOKING = ContextVar("looking", default=True)


@contextmanager
def without_looking() -> Iterator[None]:
    """Skip checks of tensor values inside; checks of shapes and types remain.

    Reading a value waits until the accelerator has finished all its work, so training checks values
    only from time to time.
    """
    before = _LOOKING.set(False)
    try:
        yield
    finally:
        _LOOKING.reset(before)


def may_look() -> bool:
    """Whether tensor values may be read just to check them."""
    return _LOOKING.get()


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor detached; a copy if it was created under `torch.inference_mode`."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()
