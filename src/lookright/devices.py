"""Choosing a device, and moving modules to it temporarily."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lookright.errors import UserError


def best_device(asked: str | torch.device | None = None) -> torch.device:
    """The requested device; by default the first accelerator, or the CPU if there is none.

    Raises:
        UserError: a device that this machine does not have.
    """
    if asked is None:
        if not torch.accelerator.is_available():
            return torch.device("cpu")
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    here = _here()
    try:
        device = torch.device(asked)
    except RuntimeError:
        device = None
    if device is None or not any(_same(device, each) for each in here):
        raise UserError(
            f"Expected a device of this machine, one of {', '.join(map(str, here))}; got "
            f"'{asked}': name one of them, or leave it out."
        )
    return device


@contextmanager
def borrowed(*modules: nn.Module | None, device: torch.device | None = None) -> Iterator[None]:
    """Move modules to `device`; at the end each tensor is moved back to its own device.

    This also happens after an exception. Changes made meanwhile are kept, in the same parameters,
    buffers and memory as before, so that shared tensors stay shared; gradients are moved back too.
    device: None does not move the modules, but moves them back if something else does.
    """
    lent = [module for module in modules if module is not None]
    kept: list[tuple[Any, str, Tensor, Tensor]] = [
        (tensors, name, tensor, tensor.data)
        for module in lent
        for child in module.modules()
        for tensors in (child._parameters, child._buffers)
        for name, tensor in tensors.items()
        if tensor is not None
    ]
    try:
        if device is not None:
            for module in lent:
                module.to(device)
        yield
    finally:
        for tensors, name, tensor, values in kept:
            moved = tensors[name]
            if moved is not None and moved.device != values.device:
                gradient = None if moved.grad is None else moved.grad.to(values.device)
                tensor.grad = None
                tensor.data = values.copy_(moved.detach().to(values.device))
                tensor.grad = gradient
                tensors[name] = tensor


def _here() -> list[torch.device]:
    found = [torch.device("cpu")]
    if torch.accelerator.is_available():
        kind = torch.accelerator.current_accelerator()
        assert kind is not None
        found += [torch.device(kind.type, at) for at in range(torch.accelerator.device_count())]
    return found


def _same(asked: torch.device, here: torch.device) -> bool:
    return asked.type == here.type and asked.index in (None, here.index or 0)
