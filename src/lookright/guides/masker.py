"""Maskers: networks from an image to a soft mask of the evidence for its class."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lookright.errors import UserError
from lookright.files import as_path, atomic
from lookright.models import load_weights, read_weights
from lookright.untrusted import parsed


class ConvMasker(nn.Module):
    """A small convolutional masker: images (B, 3, H, W) in [0, 1] to masks (B, 1, grid, grid).

    Two strided convolutions process the image, two more work at the mask's resolution. There is no
    BatchNorm, so a mask depends only on its own image. With width 32 it has 24,000 parameters.
    """

    def __init__(self, grid: int = 16, width: int = 32) -> None:
        super().__init__()
        if not 2 <= grid <= 1024 or not 16 <= width <= 4096 or width % 16:
            raise UserError(
                "A masker needs a grid of 2 to 1024 and a width that is a multiple of 16, up to "
                f"4096, got grid={grid}, width={width}."
            )
        self.grid = grid
        self.width = width
        self.read = nn.Sequential(_block(3, width // 2, 2), _block(width // 2, width, 2))
        self.join = nn.Sequential(_block(width, width), _block(width, width))
        self.mask = nn.Conv2d(width, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = F.adaptive_avg_pool2d(self.read(images - 0.5), self.grid)
        return self.mask(self.join(features)).sigmoid()


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.GroupNorm(outputs // 8, outputs),
        nn.ReLU(),
    )


def masks_of(masker: nn.Module, images: Tensor) -> Tensor:
    """The masks of images (B, 3, H, W) at the images' size: (B, 1, H, W).

    Raises:
        UserError: the masker's output is not (B, 1, h, w).
    """
    return at_size_of(images, masker(images))


def at_size_of(images: Tensor, masks: Tensor) -> Tensor:
    """The output of a masker for images (B, 3, H, W), resized to (B, 1, H, W).

    Raises:
        UserError: the output is not (B, 1, h, w).
    """
    if masks.ndim != 4 or masks.shape[:2] != (len(images), 1):
        raise UserError(
            f"A masker gives masks (B, 1, h, w), but this one gave {tuple(masks.shape)} for images "
            f"{tuple(images.shape)}."
        )
    masks = masks.to(images.dtype)
    return F.interpolate(masks, images.shape[-2:], mode="bilinear", align_corners=False)


def save_masker(masker: nn.Module, path: Path | str) -> None:
    """Write a masker's weights, and the arguments of a `ConvMasker`, to a `.safetensors` file.

    The file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    path = as_path(path)
    about = _arguments(masker) if type(masker) is ConvMasker else None
    state = {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in masker.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial, metadata={_ABOUT: json.dumps(about)})


def load_masker(path: Path | str, masker: nn.Module | None = None) -> nn.Module:
    """Load a masker written by `save_masker`; pass `masker` if it was your own module.

    Raises:
        UserError: no such file, no masker in it, or the weights of another masker.
    """
    state, about = read_weights(path), _about(as_path(path))
    if masker is None:
        if about is None:
            raise UserError(
                f"{path} holds the weights of your own masker module; give the module as masker= "
                "(--masker)."
            )
        masker = ConvMasker(about["grid"], about["width"])
    load_weights(masker, state, source=str(path))
    return masker


def _about(path: Path) -> Mapping[str, int] | None:
    """The arguments of the `ConvMasker` whose weights these are; None for another module's."""
    try:
        with safe_open(path, "pt") as file:
            found = parsed(file.metadata()[_ABOUT])
    except (SafetensorError, TypeError, KeyError, ValueError):
        found = ""
    match found:
        case None:
            return None
        case {"grid": int(), "width": int()}:
            return dict(found)
    raise UserError(
        f"{path} holds weights, but not of a masker: expected a file written by lookright train or "
        "save_masker."
    )


_ABOUT = "lookright masker"


def _arguments(masker: ConvMasker) -> dict[str, Any]:
    """The arguments of a `ConvMasker`, each kept as an attribute of the same name."""
    names = inspect.signature(ConvMasker).parameters
    return {name: getattr(masker, name) for name in names}
