"""Loading weights from a file into a network: only plain tensors, and all of them or an error."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.files import as_path


def read_weights(path: Path | str) -> Mapping[str, Tensor]:
    """The tensors of a `.safetensors` file or of a state dict, read with `weights_only=True`."""
    path = as_path(path)
    if not path.is_file():
        raise UserError(f"No file of weights at {path}.")
    state: Any
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            state = state.get("state_dict", state) if isinstance(state, Mapping) else state
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as weights ({type(error).__name__}): expected .safetensors or "
            "a state dict of plain tensors saved by torch.save."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(
            f"{path} is not a state dict: expected a mapping from parameter names to tensors."
        )
    return state


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], source: str, heads: Sequence[str] = ()
) -> None:
    """Load a state dict; a head of another shape is left out and starts at zero instead.

    Fine-tuning therefore starts with all classes equally likely, not with a random head.

    Raises:
        UserError: missing or unexpected parameters, or parameters of another shape outside the
            heads.
    """
    own = network.state_dict()
    in_head = [name for name in own if name.startswith(tuple(f"{head}." for head in heads))]
    if any(name in state and state[name].shape != own[name].shape for name in in_head):
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
    """16 hexadecimal digits: a hash of the names and values of its state."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
