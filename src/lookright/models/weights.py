"""Loading weights from a file into a network: only plain tensors, and all of them or an error."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.files import as_path
from lookright.models.outputs import Outputs
from lookright.models.reading import read_tensors


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

    That is the names and values of its state and its other buffers, such as the mean and standard
    deviation of a classifier, and what that one takes its network's outputs for.
    """
    digest = hashlib.sha256()
    for module in network.modules():
        if isinstance(outputs := getattr(module, "outputs", None), Outputs):
            digest.update(outputs.value.encode())
    for name, value in {**dict(network.named_buffers()), **network.state_dict()}.items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]
