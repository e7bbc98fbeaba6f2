"""Programs that someone saved: TorchScript and torch.export, without the code they came from."""

import warnings
from pathlib import Path
from typing import Final
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from lookright.errors import UserError

SUFFIXES: Final = (".pt", ".ts", ".jit", ".pt2")

_ATTENTION: Final = ("scaled_dot_product_attention", "softmax")


def load_program(path: Path) -> tuple[nn.Module, int | None]:
    """The program in a file, and the size of image that it was exported for, where it says so.

    A program is code: load one only from where you would install a package. What `torch.jit.save`
    wrote (.pt, .ts, .jit) keeps its submodules, but lets nobody look at what they give; so Grad-CAM
    cannot explain it. What `torch.export.save` wrote (.pt2) is a graph. Its last feature map is
    given a name here, `feature_map`, so that Grad-CAM can, unless the graph holds attention.

    Raises:
        UserError: no such file, no program in it, or an exported one that does not take any number
            of images.
    """
    if not path.is_file():
        raise UserError(f"No file at {path}: give a program that is there.")
    if path.suffix == ".pt2":
        return _exported(path)
    if not _is_script(path):
        raise UserError(
            f"{path} holds no TorchScript program (torch.jit.save): where it is a state dict, give "
            f"its architecture as the model, with --weights {path}."
        )
    try:
        with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # TorchScript ends
            return torch.jit.load(str(path), map_location="cpu"), None
    except RuntimeError as error:
        raise _unreadable(path, error) from error


def _is_script(path: Path) -> bool:
    if not is_zipfile(path):
        return False
    with ZipFile(path) as file:
        return any(name.endswith("constants.pkl") for name in file.namelist())


def _exported(path: Path) -> tuple[nn.Module, int | None]:
    try:
        program = torch.export.load(str(path))
    except Exception as error:
        raise _unreadable(path, error) from error
    module = program.module()
    assert isinstance(module, torch.fx.GraphModule)
    inputs = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or inputs[0].ndim != 4:
        raise UserError(
            f"Expected a program from images (B, 3, H, W) in {path}; this one has {len(inputs)} "
            "inputs of other shapes: export the classifier alone."
        )
    batch, _, height, _ = inputs[0].shape
    if isinstance(batch, int):
        raise UserError(
            f"{path} was exported for exactly {batch} images at once: export it for any number, "
            "by torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim('batch')},))."
        )
    module.add_submodule("feature_map", nn.Identity())
    _name_feature_map(module.graph)
    # A GraphModule of its own: that of a program refuses train() and eval().
    return torch.fx.GraphModule(module, module.graph), (height if isinstance(height, int) else None)


def _name_feature_map(graph: torch.fx.Graph) -> None:
    """The last value (B, C, h, h) larger than one place passes through a module `feature_map`.

    Images are square, and so are their feature maps unless their channels are last.
    """
    maps = []
    for node in graph.nodes:
        value, name = node.meta.get("val"), str(node.target)
        if node.op != "call_function" or not isinstance(value, Tensor) or value.ndim != 4:
            continue
        if any(attention in name for attention in _ATTENTION):
            return
        height, width = value.shape[2:]
        if "adaptive" not in name and height == width != 1:
            maps.append(node)
    if not maps:
        return
    with graph.inserting_after(maps[-1]):
        named = graph.call_module("feature_map", (maps[-1],))
    maps[-1].replace_all_uses_with(named, delete_user_cb=lambda user: user is not named)


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read as a program ({type(error).__name__}): expected what "
        "torch.jit.save (.pt, .ts) or torch.export.save (.pt2) wrote."
    )
