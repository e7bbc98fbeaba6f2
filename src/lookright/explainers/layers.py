"""Finding a network's feature map and arranging it as (B, C, h, w)."""

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lookright.errors import UserError, did_you_mean
from lookright.modes import frozen


@dataclass(frozen=True)
class FeatureLayer:
    """A submodule and the function that arranges its output as (B, C, h, w)."""

    module: nn.Module
    grid: Callable[[Tensor], Tensor]


def named_layer(model: nn.Module, name: str) -> FeatureLayer:
    """The submodule of that name, in the model or in the network it wraps."""
    _refuse_script(model)
    modules = dict(model.named_modules())
    wrapped = (modules.get(prefix + name) for prefix in ("", "network.", "network.network."))
    module = next((found for found in wrapped if found is not None), None)
    if module is None:
        raise UserError(
            f"The model has no layer '{name}'.{did_you_mean(name, modules)} "
            f"Layers near its end: {', '.join(_near_the_end(model))}."
        )
    return FeatureLayer(module, _layout(model))


def find_layer(model: nn.Module, x: Tensor) -> FeatureLayer:
    """The last feature map: a transformer's last block, else the last map larger than 1 x 1."""
    by_size = _found.setdefault(model, {})
    size = tuple(x.shape[-2:])
    if size not in by_size:
        by_size[size] = _transformer(model) or _last_map(model, x)
    name, grid = by_size[size]
    return FeatureLayer(model.get_submodule(name), grid)


_Found = tuple[str, Callable[[Tensor], Tensor]]
_found: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], _Found]] = WeakKeyDictionary()


def _layout(model: nn.Module) -> Callable[[Tensor], Tensor]:
    found = _transformer(model)
    return found[1] if found else _channels_first


def _transformer(model: nn.Module) -> _Found | None:
    """The layer and layout for the known transformer families; None for other networks.

    In ViT only the class token of the last block's output reaches the head, so the feature map is
    the input of that block's attention.
    """
    import timm.models as tm
    import torchvision.models as tv

    for name, module in model.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(module, tm.VisionTransformer):
            last, skip = len(module.blocks) - 1, module.num_prefix_tokens
            return f"{prefix}blocks.{last}.norm1", _Tokens(skip)
        if isinstance(module, tv.VisionTransformer):
            last = len(module.encoder.layers) - 1
            return f"{prefix}encoder.layers.encoder_layer_{last}.ln_1", _Tokens(1)
        if isinstance(module, tm.SwinTransformer | tm.SwinTransformerV2 | tv.SwinTransformer):
            return f"{prefix}norm", _channels_last
    return None


@dataclass(frozen=True)
class _Tokens:
    """Arranges tokens (B, skip + h * w, C) as a square grid (B, C, h, w)."""

    skip: int

    def __call__(self, tokens: Tensor) -> Tensor:
        if tokens.ndim == 4:
            return _channels_last(tokens)
        if tokens.ndim != 3:
            raise UserError(_no_map(tokens))
        side = round((tokens.shape[1] - self.skip) ** 0.5)
        if self.skip + side * side != tokens.shape[1]:
            raise UserError(
                f"Grad-CAM arranges a transformer's tokens as a square, got {tokens.shape[1]} "
                f"tokens of which {self.skip} are not image patches; use square images."
            )
        return tokens[:, self.skip :].unflatten(1, (side, side)).permute(0, 3, 1, 2)


def _channels_last(features: Tensor) -> Tensor:
    if features.ndim != 4:
        raise UserError(_no_map(features))
    return features.permute(0, 3, 1, 2)


def _channels_first(features: Tensor) -> Tensor:
    if features.ndim != 4:
        raise UserError(_no_map(features))
    return features


def _no_map(output: Tensor) -> str:
    return (
        f"Grad-CAM needs a layer whose output is a feature map (B, C, h, w), got {output.ndim} "
        f"dimensions, {tuple(output.shape)}; name a convolutional layer."
    )


def _refuse_script(model: nn.Module) -> None:
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise UserError(
            "Grad-CAM cannot see the layers of a TorchScript program: choose an explainer that "
            "works on the pixels (--protocol.explainer InputGradient, or --explainer), or export "
            "the model with torch.export."
        )


def _last_map(model: nn.Module, x: Tensor) -> _Found:
    from timm.layers import SelectAdaptivePool2d

    _refuse_script(model)
    pools = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, SelectAdaptivePool2d)
    found: list[str] = []
    handles = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
                found.append(name)

        return hook

    try:
        for name, module in model.named_modules():
            if name and not isinstance(module, pools):
                handles.append(module.register_forward_hook(note(name)))
        with frozen(model), torch.no_grad():
            model(x[:1])
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UserError(
            "Grad-CAM found no feature map (B, C, h, w) larger than 1 x 1 in this model; name a "
            f"layer with GradCAM(layer=...), such as {', '.join(_near_the_end(model))}, or explain "
            "the pixels (InputGradient)."
        )
    return found[-1], _channels_first


def _near_the_end(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if not list(module.children())][-8:]
