"""Finding a network's feature map.

The map is the last output of a submodule that has several positions and a known layout, and through
which everything passes that the logits know of the image. It must lie in the last part of the
network, or, if it has fewer places a side than are asked for, as of small images, it is the end of
the last stage with as many, but for the network's first quarter. Where the logits are read from a
class token, it is the input of the last block's attention: there the class token gathers from all
patches for the last time. That the map changes the logits is tested in any network.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.explainers.layouts import Grid, channels_first
from lookright.explainers.outputs import Output, awake, changes_logits, outputs_of
from lookright.explainers.paths import on_every_path
from lookright.modes import frozen, ordinary, uncompiled


@dataclass(frozen=True)
class FeatureLayer:
    """A submodule and the function that arranges its output as (B, C, h, w)."""

    module: nn.Module
    grid: Grid


_NONE = (
    "no layer on every path to the logits, in the last part of the network, has a known layout "
    "(tokens must form a square)"
)
_LATE, _DEEP = 0.25, 0.75
"""The last part of a network, and all but its first, as shares of the outputs that have several
positions."""

_Found = tuple[str, Grid]
_found: WeakKeyDictionary[nn.Module, dict[object, _Found]] = WeakKeyDictionary()


def find_layer(model: nn.Module, x: Tensor, places: int = 1) -> FeatureLayer:
    """The last feature map, searched once per model and size of image.

    Args:
        places: how many it should have a side; if none behind the network's first quarter has, or
            the logits are read from a class token, it is the last one all the same.

    Raises:
        UserError: no feature map was found; layers that may serve are named.
    """
    return _once(model, x, places, partial(_search, places=places))


def named_layer(model: nn.Module, name: str, x: Tensor, any_layout: bool) -> FeatureLayer:
    """The submodule of that name, in the model or in the network it wraps.

    Args:
        any_layout: whether the caller arranges its output himself.

    Raises:
        UserError: no such submodule; its layout is not known; the logits do not depend on it.
    """
    _refuse_script(model)
    modules = dict(model.named_modules())
    wrapped = (prefix + name for prefix in ("", "network.", "network.network."))
    full = next((found for found in wrapped if found in modules), None)
    if full is None:
        raise UserError(
            f"The model has no layer '{name}'.{did_you_mean(name, modules)} "
            f"Layers near its end: {', '.join(_near_the_end(model))}."
        )
    search = partial(_named, name=full, any_layout=any_layout)
    return _once(model, x, (full, any_layout), search)


def _once(
    model: nn.Module, x: Tensor, key: object, search: Callable[[nn.Module, Tensor], _Found]
) -> FeatureLayer:
    found = _found.setdefault(model, {})
    key = key, *x.shape[-2:]
    if key not in found:
        _refuse_script(model)
        image = ordinary(x[:1]) if len(x) else x.new_full((1, *x.shape[1:]), 0.5)
        precision = torch.autocast(x.device.type, enabled=False)
        with frozen(model), awake(model), uncompiled(), precision:
            found[key] = search(model, image)
    name, grid = found[key]
    return FeatureLayer(model.get_submodule(name), grid)


def _search(model: nn.Module, x: Tensor, places: int) -> _Found:
    logits, outputs = outputs_of(model, x)
    outputs = [
        output for output in outputs if not (output.is_flat or _only_moves(model, output.name))
    ]
    found = _map(model, logits, outputs, places)
    if isinstance(found, str):
        raise _no_map(model, outputs, found)
    if not changes_logits(model, x, found):
        others = [output for output in outputs if output is not found]
        raise _no_map(model, others, f"the logits do not depend on '{found.name}'")
    assert found.grid is not None
    return found.name, found.grid


def _named(model: nn.Module, x: Tensor, name: str, any_layout: bool) -> _Found:
    _, outputs = outputs_of(model, x)
    output = next((output for output in outputs if output.name == name), None)
    if output is None:
        raise UserError(
            f"Grad-CAM's layer '{name}' was not run in the forward pass, or its output is no "
            "tensor; name another."
        )
    grid = channels_first if any_layout else output.grid
    if grid is None:
        raise UserError(
            f"Grad-CAM needs a layer whose output is a feature map (B, C, h, w), got "
            f"{output.value.ndim} dimensions, {tuple(output.value.shape)}, of '{name}'; name "
            "another, or give the function that arranges it, GradCAM(layer=..., grid=...)."
        )
    if not changes_logits(model, x, output):
        raise UserError(
            f"The logits do not depend on the map of Grad-CAM's layer '{name}'; name another, such "
            f"as {', '.join(_near_the_end(model))}."
        )
    return name, grid


def _only_moves(model: nn.Module, name: str) -> bool:
    """Whether a layer, or one that it is part of, pools or rearranges the map of another."""
    from timm import layers as tl
    from torchvision.ops import Permute

    attention = tl.AttentionPool2d, tl.AttentionPoolLatent, tl.AttentionPoolPrr
    pools = nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, tl.SelectAdaptivePool2d, *attention
    moves = nn.Flatten, nn.Unflatten, Permute
    parents = (name[:end] for end, letter in enumerate(f"{name}.") if letter == ".")
    return any(isinstance(model.get_submodule(parent), pools + moves) for parent in parents)


def _map(model: nn.Module, logits: Tensor, outputs: list[Output], places: int) -> Output | str:
    """The output that is the feature map, or why there is none."""
    if not logits.requires_grad:  # the model blocks the gradient
        return next((output for output in outputs[::-1] if output.grid), _NONE)
    outputs = [output for output in outputs if output.value.requires_grad]
    if not outputs:
        return _NONE
    gradients = _gradients(logits, outputs)
    blocked = not any(gradient.any() for gradient in gradients.values())

    def reaches(output: Output) -> bool:
        assert output.grid is not None
        return blocked or bool(output.grid(gradients[output.name]).any())

    def is_whole(output: Output) -> bool:
        """Whether nothing reaches the logits through a class token beside the grid."""
        return not gradients[output.name][:, : output.skip].any()

    passed = on_every_path(logits)
    known = [output for output in outputs if output.grid and output.value.grad_fn in passed]
    maps = [output for output in known if reaches(output)]
    if known and not reaches(known[-1]):  # of the final tokens only the class token is read
        gathered = _adapted(model, outputs)
        after = outputs[outputs.index(maps[-1]) + 1 :] if maps and not gathered else []
        for output in after:
            if output.grid and reaches(output) and _passes_all(maps[-1], output, gradients):
                gathered = output
        if gathered:
            return gathered

    def from_the_last(share: float) -> list[Output]:
        late = [each for each in maps if outputs.index(each) + 1 >= (1 - share) * len(outputs)]
        return [output for output in late if is_whole(output)] or late

    late = from_the_last(_LATE)
    return _with_places(places, late[-1], from_the_last(_DEEP)) if late else _NONE


def _with_places(places: int, last: Output, maps: list[Output]) -> Output:
    """The last map, or if it has fewer places, the end of the last stage with as many.

    That is the least nested of the smallest such maps: the block that makes the map smaller may
    begin with layers that leave its size.
    """
    enough = [each for each in maps if each.side >= places]
    if last.side >= places or not enough:
        return last
    smallest = min(each.side for each in enough)
    stage = [each for each in enough if each.side == smallest]
    nested = min(each.name.count(".") for each in stage)
    return [each for each in stage if each.name.count(".") == nested][-1]


def _passes_all(before: Output, output: Output, gradients: dict[str, Tensor]) -> bool:
    """Whether the patches of one output reach the logits only through those of a later one."""
    if output.value.shape != before.value.shape or output.grid != before.grid:
        return False
    through = torch.autograd.grad(
        output.value,
        before.value,
        gradients[output.name],
        retain_graph=True,
        materialize_grads=True,
    )[0]
    patches = slice(before.skip, None)
    whole = gradients[before.name][:, patches]
    return torch.allclose(
        through[:, patches], whole, rtol=1e-3, atol=1e-4 * float(whole.abs().max())
    )


def _gradients(logits: Tensor, outputs: list[Output]) -> dict[str, Tensor]:
    """The gradient of a weighted sum of the logits, whose weights also suit a softmax."""
    weights = torch.arange(logits.numel(), device=logits.device).cos().view_as(logits)
    found = torch.autograd.grad(
        (weights * logits).sum(),
        [output.value for output in outputs],
        retain_graph=True,
        materialize_grads=True,
    )
    return {output.name: gradient for output, gradient in zip(outputs, found, strict=True)}


def _adapted(model: nn.Module, outputs: list[Output]) -> Output | None:
    """The input of the last block's attention in families whose blocks give several tensors."""
    from timm.models import TNT, MultiScaleVit

    found = []
    for module in model.modules():
        network: Any = module
        if isinstance(module, TNT):
            found.append(network.blocks[-1].norm_out)
        elif isinstance(module, MultiScaleVit):
            found.append(network.stages[-1].blocks[-1].norm1)
    return next((output for output in outputs if model.get_submodule(output.name) in found), None)


def _no_map(model: nn.Module, outputs: list[Output], why: str) -> UserError:
    last = [f"{output.name} {tuple(output.value.shape)}" for output in outputs[-6:]]
    return UserError(
        f"Grad-CAM found no feature map (B, C, h, w) larger than 1 x 1 in this model: {why}. Name "
        "a layer with GradCAM(layer=...), if need be with grid=..., a function that arranges its "
        f"output, such as {', '.join(last or _near_the_end(model))}, or explain the pixels "
        "(InputGradient)."
    )


def _refuse_script(model: nn.Module) -> None:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UserError(
            "Grad-CAM cannot see the layers of a TorchScript program: choose an explainer that "
            "works on the pixels (--protocol.explainer InputGradient, or --explainer), or export "
            "the model with torch.export."
        )


def _near_the_end(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if not list(module.children())][-8:]
