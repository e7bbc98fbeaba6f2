"""Borrow a model, or the precision, and give it back as it was; when to look at values."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, parameters without gradients and autograd on, whatever the caller's mode.

    Every submodule's own flag and every parameter's `requires_grad` return at the end, after an
    exception too. In evaluation mode BatchNorm keeps its buffers and dropout is off. Parameters
    that were computed, those in `torch.func.functional_call`, are without their history inside.
    """
    training = [module for module in model.modules() if module.training]
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


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Figures are float32, whatever the caller's autocast, and not TF32.

    On a GPU cuDNN's convolutions are TF32 unless told otherwise: float32 with 10 bits of mantissa.
    """
    tf32, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        torch.set_float32_matmul_precision(products)


_LOOKING = ContextVar("looking", default=True)


@contextmanager
def without_looking() -> Iterator[None]:
    """Inside, no tensor's values are looked at only to check them.

    To look at a value is to wait until the accelerator has done all its work. A training checks
    values from time to time, and shapes and types always.
    """
    before = _LOOKING.set(False)
    try:
        yield
    finally:
        _LOOKING.reset(before)


def may_look() -> bool:
    """Whether values may be looked at only to check them."""
    return _LOOKING.get()


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor without history; a copy where it was made under `torch.inference_mode`."""
    return tensor.clone() if tensor.is_inference() else tensor.detach()
