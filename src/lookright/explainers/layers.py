"""Finding a network's feature map.

The map is the last output of a submodule through which everything passes that the logits know of
the image, and which has more than one position. If its layout is unknown, it is refused. In a
network that reads its answer from a class token no such output is left at the end: there the map is
the input of the last block's attention, where the class token gathers from all patches for the last
time. That the map changes the logits is tested in any network.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.explainers.layouts import Grid, Layouts, Tokens
from lookright.explainers.paths import on_every_path
from lookright.modes import frozen, ordinary


@dataclass(frozen=True)
class FeatureLayer:
    """A submodule and the function that arranges its output as (B, C, h, w)."""

    module: nn.Module
    grid: Grid


_NONE = "no such layer lies on every path to the logits in the last part of the network"
_LATE = 0.75
"""The last part of a network: the last quarter of the outputs that have several positions."""

_Found = tuple[str, Grid]
_found: WeakKeyDictionary[nn.Module, dict[object, _Found]] = WeakKeyDictionary()


def find_layer(model: nn.Module, x: Tensor) -> FeatureLayer:
    """The last feature map, searched once per model and size of image.

    Raises:
        UserError: no feature map was found; layers that may serve are named.
    """
    return _once(model, x, "", _search)


def named_layer(model: nn.Module, name: str, x: Tensor, grid: Grid | None = None) -> FeatureLayer:
    """The submodule of that name, in the model or in the network it wraps.

    Raises:
        UserError: no such submodule; its layout is not known and no `grid` is given; the logits do
            not depend on it.
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
    return _once(model, x, (full, grid), lambda model, x: _named(model, x, full, grid))


def _once(
    model: nn.Module, x: Tensor, key: object, search: Callable[[nn.Module, Tensor], _Found]
) -> FeatureLayer:
    found = _found.setdefault(model, {})
    key = key, *x.shape[-2:]
    if key not in found:
        _refuse_script(model)
        with frozen(model), _awake(model):
            found[key] = search(model, ordinary(x[:1]))
    name, grid = found[key]
    return FeatureLayer(model.get_submodule(name), grid)


@dataclass(frozen=True)
class _Output:
    """What a submodule gave in its last call, for one image."""

    name: str
    value: Tensor
    grid: Grid | None

    @property
    def skip(self) -> int:
        """The number of tokens that are no patches."""
        return self.grid.skip if isinstance(self.grid, Tokens) else 0

    @property
    def is_flat(self) -> bool:
        """Whether it has a single position."""
        if self.grid is None:
            return sum(size > 1 for size in self.value.shape) < 2
        return self.grid(self.value)[0, 0].numel() == 1


def _search(model: nn.Module, x: Tensor) -> _Found:
    logits, outputs = _run(model, x)
    outputs = [output for output in outputs if not (output.is_flat or _only_moves(model, output))]
    found = _adapted(model, outputs) or _map(logits, outputs)
    if isinstance(found, str):
        raise _no_map(model, outputs, found)
    if not _changes_logits(model, x, found.name):
        raise _no_map(model, outputs, f"the logits do not depend on '{found.name}'")
    assert found.grid is not None
    return found.name, found.grid


def _named(model: nn.Module, x: Tensor, name: str, grid: Grid | None) -> _Found:
    _, outputs = _run(model, x)
    output = next((output for output in outputs if output.name == name), None)
    if output is None:
        raise UserError(
            f"Grad-CAM's layer '{name}' was not run in the forward pass, or its output is no "
            "tensor; name another."
        )
    grid = grid or output.grid
    if grid is None:
        raise UserError(
            f"Grad-CAM needs a layer whose output is a feature map (B, C, h, w), got "
            f"{output.value.ndim} dimensions, {tuple(output.value.shape)}, of '{name}'; name "
            "another, or give the function that arranges it, GradCAM(layer=..., grid=...)."
        )
    if not _changes_logits(model, x, name):
        raise UserError(
            f"The logits do not depend on Grad-CAM's layer '{name}'; name another, such as "
            f"{', '.join(_near_the_end(model))}."
        )
    return name, grid


def _only_moves(model: nn.Module, output: _Output) -> bool:
    """Whether a layer only pools or rearranges the map that another gave."""
    from timm.layers import SelectAdaptivePool2d
    from torchvision.ops import Permute

    pools = nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, SelectAdaptivePool2d
    moves = nn.Flatten, nn.Unflatten, Permute
    return isinstance(model.get_submodule(output.name), pools + moves)


def _map(logits: Tensor, outputs: list[_Output]) -> _Output | str:
    """The output that is the feature map, or why there is none."""
    if not logits.requires_grad:  # the model blocks the gradient
        return next((output for output in outputs[::-1] if output.grid), _NONE)
    outputs = [output for output in outputs if output.value.requires_grad]
    if not outputs:
        return _NONE
    gradients = _gradients(logits, outputs)
    blocked = not any(gradient.any() for gradient in gradients.values())

    def reaches(output: _Output) -> bool:
        assert output.grid is not None
        return blocked or bool(output.grid(gradients[output.name]).any())

    def is_whole(output: _Output) -> bool:
        """Whether nothing reaches the logits through a class token beside the grid."""
        return not gradients[output.name][:, : output.skip].any()

    def is_late(output: _Output) -> bool:
        return outputs.index(output) + 1 >= _LATE * len(outputs)

    passed = on_every_path(logits)
    cuts = [output for output in outputs if output.value.grad_fn in passed]
    last = next((output for output in cuts[::-1] if output.grid is None or reaches(output)), None)
    if last is None:
        return _NONE
    if last.grid is None:
        return (
            f"the last output with several positions is that of '{last.name}', "
            f"{tuple(last.value.shape)}, whose layout is not known"
        )
    if not is_whole(last):
        known = [output for output in cuts if output.grid and reaches(output)]
        whole = next((output for output in known[::-1] if is_whole(output)), None)
        if whole and is_late(whole):
            return whole
        following = [output for output in outputs[outputs.index(last) + 1 :] if output.grid]
        for output in following[::-1]:
            if reaches(output) and _passes_all(last, output, gradients):
                return output
    return last if is_late(last) else _NONE


def _passes_all(before: _Output, output: _Output, gradients: dict[str, Tensor]) -> bool:
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


def _gradients(logits: Tensor, outputs: list[_Output]) -> dict[str, Tensor]:
    """The gradient of a weighted sum of the logits, whose weights also suit a softmax."""
    weights = torch.arange(logits.numel(), device=logits.device).cos().view_as(logits)
    found = torch.autograd.grad(
        (weights * logits).sum(),
        [output.value for output in outputs],
        retain_graph=True,
        materialize_grads=True,
    )
    return {output.name: gradient for output, gradient in zip(outputs, found, strict=True)}


def _run(model: nn.Module, x: Tensor) -> tuple[Tensor, list[_Output]]:
    """The logits, and what every submodule gave, in the order of the calls."""
    layouts = Layouts(model, x)
    values: dict[str, Tensor] = {}

    def note(name: str) -> Callable[..., Tensor | None]:
        def hook(module: nn.Module, inputs: object, output: object) -> Tensor | None:
            for part in output if isinstance(output, tuple | list) else (output,):
                if isinstance(part, Tensor):
                    layouts.learn(part.detach())
            if not isinstance(output, Tensor) or not output.is_floating_point():
                return None
            values.pop(name, None)
            values[name] = output.clone()
            return values[name].clone()  # later layers may write in place

        return hook

    with _hooks(model, note):
        logits = model(x.clone().requires_grad_())
    return logits, [_Output(name, value, layouts.of(value)) for name, value in values.items()]


def _changes_logits(model: nn.Module, x: Tensor, name: str) -> bool:
    """Whether noise in place of a layer's output changes any logit."""
    random = torch.Generator().manual_seed(0)

    def replace(with_noise: bool) -> Tensor:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
            noise = torch.randn(output.shape, generator=random).to(output)
            return noise if with_noise else output.clone()

        handle = model.get_submodule(name).register_forward_hook(hook)
        try:
            with torch.no_grad():
                return model(x)
        finally:
            handle.remove()

    return not torch.equal(replace(False), replace(True))


@contextmanager
def _hooks(model: nn.Module, hook: Callable[[str], Callable[..., Tensor | None]]) -> Iterator[None]:
    handles = []
    try:
        for name, module in model.named_modules():
            if name:
                handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _awake(model: nn.Module) -> Iterator[None]:
    """Random values for parameters that are all zero, such as those of a head before training.

    They hide which layers the logits depend on.
    """
    asleep = [parameter for parameter in model.parameters() if not parameter.any()]
    before = [parameter.data for parameter in asleep]
    random = torch.Generator().manual_seed(0)
    try:
        for parameter in asleep:
            values = torch.randn(parameter.shape, generator=random)
            parameter.data = 0.1 * values.to(parameter.data)
        yield
    finally:
        for parameter, data in zip(asleep, before, strict=True):
            parameter.data = data


def _adapted(model: nn.Module, outputs: list[_Output]) -> _Output | None:
    """The map of families whose pixels reach the logits along paths that no layer joins."""
    from timm.models import TNT

    for name, module in model.named_modules():
        if isinstance(module, TNT):  # as in ViT, the input of the last block's attention
            layer = f"{name}.blocks.{len(module.blocks) - 1}.norm_out".lstrip(".")
            return next(output for output in outputs if output.name == layer)
    return None


def _no_map(model: nn.Module, outputs: list[_Output], why: str) -> UserError:
    maps = [output.name for output in outputs if output.grid][-8:]
    return UserError(
        f"Grad-CAM found no feature map (B, C, h, w) larger than 1 x 1 in this model: {why}. Name "
        "a layer with GradCAM(layer=...), if need be with grid=..., a function that arranges its "
        f"output, such as {', '.join(maps or _near_the_end(model))}, or explain the pixels "
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
