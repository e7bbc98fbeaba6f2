"""Exported programs, which run without their original code: TorchScript and torch.export."""

import warnings
from pathlib import Path
from typing import Final
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.models.pickled import pickled_class, whole_model
from lookright.spec.place import PROGRAMS

SUFFIXES: Final = PROGRAMS

_ATTENTION: Final = ("scaled_dot_product_attention", "softmax")
_POOLED: Final = (
    *("adaptive", "amax", "mean", "sum", "clone", "contiguous", "dropout"),
    *("flatten", "permute", "reshape", "transpose", "unsafe_view", "view"),
)
"""Operations that pool or rearrange a map that another gave."""


def load_program(path: Path) -> tuple[nn.Module, int | None]:
    """Load a program from a file; also gives the image size it was exported for, if known.

    A program is code: load one only from a source that you would install a package from. A program
    saved by `torch.jit.save` (.pt, .ts, .jit) keeps its submodules but hides their outputs, so
    Grad-CAM cannot explain it. A program saved by `torch.export.save` (.pt2) is a graph. Its last
    feature map is made a module named `feature_map`, so that Grad-CAM works, unless the program
    reads its answer from tokens, as ViT does.

    Raises:
        UserError: no such file, no program in it, or an exported program with a fixed batch size.
    """
    if not path.is_file():
        raise UserError(f"No file at {path}: give the path of an existing program.")
    if path.suffix == ".pt2":
        return _exported(path)
    if not _is_script(path):
        if whole := pickled_class(path):
            raise UserError(whole_model(path, whole))
        raise UserError(
            f"{path} is not a TorchScript program (torch.jit.save): if it is a state dict, give "
            f"its architecture as the model, with --weights {path}."
        )
    try:
        with warnings.catch_warnings(
            category=FutureWarning, action="ignore"
        ):  # TorchScript is deprecated
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
            f"Expected a program that takes images (B, 3, H, W) in {path}, but it has "
            f"{len(inputs)} inputs of other shapes: export only the classifier."
        )
    batch, _, height, _ = inputs[0].shape
    if isinstance(batch, int):
        raise UserError(
            f"{path} was exported for a fixed batch size of {batch}: export it for any batch size, "
            "with torch.export.export(model, (x,), "
            "dynamic_shapes=({0: torch.export.Dim('batch')},))."
        )
    module.add_submodule("feature_map", nn.Identity())
    _name_feature_map(module.graph)
    # A new GraphModule, because that of a program refuses train() and eval().
    return torch.fx.GraphModule(module, module.graph), (height if isinstance(height, int) else None)


def _name_feature_map(graph: torch.fx.Graph) -> None:
    """Route the last feature map through a new module `feature_map`.

    It is the last value with several positions that everything passes which the logits know of the
    image, before it was pooled or rearranged. If attention gave it, nothing is named.
    """
    for node in _on_every_path(graph)[::-1]:
        value, name = node.meta.get("val"), str(node.target)
        if not isinstance(value, Tensor) or sum(size != 1 for size in value.shape[1:]) < 2:
            continue
        if name.removeprefix("aten.").lstrip("_").startswith(_POOLED):
            continue
        if not any(attention in name for attention in _ATTENTION):
            _route(graph, node)
        return


def _route(graph: torch.fx.Graph, node: torch.fx.Node) -> None:
    with graph.inserting_after(node):
        named = graph.call_module("feature_map", (node,))
    node.replace_all_uses_with(named, delete_user_cb=lambda user: user is not named)


def _on_every_path(graph: torch.fx.Graph) -> list[torch.fx.Node]:
    """The operations that no value made of the image goes around."""
    place = {node: index for index, node in enumerate(graph.nodes)}
    image = next(node for node in graph.nodes if node.op == "placeholder")
    of_image, furthest, found = {image}, 0, []
    for node in graph.nodes:
        if node is not image:
            if of_image.isdisjoint(node.all_input_nodes) or not _is_tensor(node):
                continue  # a weight, or a size
            of_image.add(node)
            if furthest <= place[node]:
                found.append(node)
        users = (place[user] for user in node.users if _is_tensor(user) or user.op == "output")
        furthest = max([furthest, *users])
    return found


def _is_tensor(node: torch.fx.Node) -> bool:
    return isinstance(node.meta.get("val"), Tensor)


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} cannot be read as a program ({type(error).__name__}): expected a file written by "
        "torch.jit.save (.pt, .ts) or torch.export.save (.pt2)."
    )
