"""Loading weights from a file into a network: only plain tensors, and all of them or an error."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import numpy as np
import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.files import as_path
from lookright.models.classifier import Classifier
from lookright.models.reading import read_tensors

_EVERY_MODULES: Final = vars(nn.Module()).keys()
"""The attributes of a module without parts: its mode and hooks, and where torch keeps the parts."""


def read_weights(path: Path | str) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` file or of a state dict, read without running code in it."""
    return {name: value for name, (_, value) in read_tensors(as_path(path)).items()}


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], source: str, heads: Sequence[str] = ()
) -> None:
    """Load a state dict; a head that is missing or of another shape starts at zero instead.

    Fine-tuning therefore starts with all classes equally likely, not with a random head.

    Raises:
        UserError: missing or unexpected parameters, or parameters of another shape outside the
            heads.
    """
    own = network.state_dict()
    in_head = [name for name in own if name.startswith(tuple(f"{head}." for head in heads))]
    if any(name not in state or state[name].shape != own[name].shape for name in in_head):
        state = {name: value for name, value in state.items() if name not in in_head}
        state |= {name: torch.zeros_like(own[name]) for name in in_head}
    missing = own.keys() - state.keys()
    surplus = state.keys() - own.keys()
    shapes = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    if missing or surplus or shapes:
        examples = ", ".join(sorted(missing | surplus | shapes)[:3])
        raise UserError(
            f"{source} holds the weights of another model: {len(missing)} parameters missing, "
            f"{len(surplus)} unexpected, {len(shapes)} of another shape (such as {examples}): give "
            "the weights of this model, or name the model that they belong to."
        )
    network.load_state_dict(state)


def fingerprint(network: nn.Module) -> str:
    """16 hexadecimal digits: a hash of all that its answers depend on but its code.

    That is the names and values of its state, of its other buffers, and of the numbers, texts,
    tensors and arrays that its modules have as plain attributes, such as the mean and standard
    deviation of torchvision's `Normalize`; of a TorchScript program its code and constants, too. Of
    a `Classifier` it is not how it and its classes are called.
    """
    digest = hashlib.sha256()
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            digest.update(f"{name} {_program(module)}".encode())
        for attribute, value in vars(module).items():
            if isinstance(module, Classifier) and attribute != "outputs":
                continue
            if attribute not in _EVERY_MODULES and _plain(value):
                digest.update(f"{name}.{attribute} {_told(value)}".encode())
    for name, value in {**dict(network.named_buffers()), **network.state_dict()}.items():
        digest.update(f"{name} {_told(value)}".encode())
    return digest.hexdigest()[:16]


def _plain(value: Any) -> bool:
    """Whether it is a number, a text, a tensor or an array, or a list of such."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, int | float | complex | str | Tensor | np.ndarray)


def _told(value: Any) -> str:
    if isinstance(value, list | tuple):
        return str([_told(each) for each in value])
    if isinstance(value, np.ndarray):
        return hashlib.sha256(f"{value.dtype} {value.tolist()}".encode()).hexdigest()
    if not isinstance(value, Tensor):
        return repr(value)
    content = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.sha256(content.tobytes()).hexdigest()


def _program(module: torch.jit.ScriptModule) -> str:
    """A hash of what TorchScript saves, without the numbers that it gives to names of classes and
    without where the code came from."""
    file = BytesIO()
    torch.jit.save(module, file)
    digest = hashlib.sha256()
    with ZipFile(file) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith((".debug_pkl", "serialization_id")):
                told = name.partition("/")[2].encode() + b" " + archive.read(name)
                digest.update(re.sub(rb"___torch_mangle_\d+", b"", told))
    return digest.hexdigest()
