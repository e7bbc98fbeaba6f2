"""How the outputs of layers lie: channels first, channels last, or tokens after prefix tokens."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Grid = Callable[[Tensor], Tensor]
"""Arranges a layer's output as (B, C, h, w)."""


def channels_first(features: Tensor) -> Tensor:
    """(B, C, h, w) as it is."""
    return features


def channels_last(features: Tensor) -> Tensor:
    """(B, h, w, C) to (B, C, h, w)."""
    return features.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Tokens:
    """Arranges tokens (B, skip + h * w, C), row by row, as a square grid (B, C, h, w)."""

    skip: int

    def __call__(self, tokens: Tensor) -> Tensor:
        side = round((tokens.shape[1] - self.skip) ** 0.5)
        return tokens[:, self.skip :].unflatten(1, (side, side)).permute(0, 3, 1, 2)


class Layouts:
    """What is known of the layouts in a model.

    timm's networks give their features as (B, C, h, w) (`forward_intermediates`). An output with
    the same values as such a feature lies as the arrangement that makes it equal, and so do all
    outputs with as many tokens. Other outputs with four dimensions lie as the shape of the image
    says: two neighbouring dimensions have its aspect ratio. Tokens elsewhere, or those that form no
    square, are not known.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        self._image = x.shape[-2:]
        self._features = list(_library_features(model, x))
        self._skip: dict[int, int] = {}  # prefix tokens, by the number of all tokens
        self._last: set[torch.Size] = set()  # shapes with channels last
        # timm's class attention prepends its tokens after the last feature.
        self._prefix = max(getattr(module, "num_prefix_tokens", 0) for module in model.modules())
        self._torchvision(model)

    def learn(self, output: Tensor) -> None:
        """Compare an output with the library's features."""
        if output.ndim == 3 and output.shape[1] not in self._skip:
            for feature in self._features:
                height, width = feature.shape[2:]
                skip = output.shape[1] - height * width
                if (
                    height == width
                    and skip >= 0
                    and _equal(output[:, skip:].mT, feature.flatten(2))
                ):
                    self._skip[output.shape[1]] = skip
        elif output.ndim == 4:
            arranged = channels_last(output)
            self._last.update(
                output.shape for feature in self._features if _equal(arranged, feature)
            )

    def of(self, output: Tensor) -> Grid | None:
        """How an output lies; None if that is not known."""
        if output.ndim == 3:
            for added in (0, self._prefix):
                if output.shape[1] - added in self._skip:
                    return Tokens(self._skip[output.shape[1] - added] + added)
            return None
        if output.ndim != 4:
            return None
        if output.shape in self._last:
            return channels_last
        if self._is_spatial(*output.shape[2:]):
            return channels_first
        return channels_last if self._is_spatial(*output.shape[1:3]) else None

    def _is_spatial(self, height: int, width: int) -> bool:
        of_height, of_width = self._image
        return abs(height * of_width - width * of_height) < max(of_height, of_width)

    def _torchvision(self, model: nn.Module) -> None:
        from torchvision.models import VisionTransformer

        for module in model.modules():
            if isinstance(module, VisionTransformer):
                self._skip[module.seq_length] = 1


def _equal(arranged: Tensor, feature: Tensor) -> bool:
    return arranged.shape == feature.shape and torch.allclose(
        arranged.float(), feature.float(), rtol=1e-3, atol=1e-5
    )


def _library_features(model: nn.Module, x: Tensor) -> Iterable[Tensor]:
    """The features (1, C, h, w) that a timm network inside the model gives for the images."""
    network: Any = next((m for m in model.modules() if hasattr(m, "forward_intermediates")), None)
    if network is None:
        return
    inputs: list[Any] = []

    def keep(module: nn.Module, given: tuple[Any, ...]) -> None:
        inputs[:] = given

    handle = network.register_forward_pre_hook(keep)
    try:
        with torch.no_grad():
            model(x)
    finally:
        handle.remove()
    try:
        with torch.no_grad():
            features = network.forward_intermediates(*inputs, intermediates_only=True)
    except Exception:
        return  # not in this configuration, or a function of another meaning
    yield from (part for part in features if isinstance(part, Tensor) and part.ndim == 4)
