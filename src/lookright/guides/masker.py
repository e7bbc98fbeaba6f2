"""Maskers: networks from an image to a soft mask of the evidence for its class."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lookright.distances import in_unit_range
from lookright.errors import UserError
from lookright.files import as_path, atomic
from lookright.models import Classifier, build_model, load_weights, read_weights
from lookright.modes import may_look
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


class PyramidMasker(nn.Module):
    """A masker on the classifier's features: (B, 3, H, W) in [0, 1] to masks (B, 1, h, w).

    It begins with a copy of the classifier's network as it is before training. The last feature map
    of each stride is projected to `width` channels; maps are enlarged and added from the coarsest
    to that of `stride`, as in a feature pyramid network (Lin et al., CVPR 2017). On few
    photographs pretrained features gave better masks than a masker that begins anew
    (docs/results/align.md). They are trained with the masker, apart from the classifier; BatchNorm
    uses stored statistics, so a mask depends only on its own image.

    `fit` calls `begin`. In a loop of your own call it before you make the optimizer.

    Args:
        stride: H / h, the stride of a feature map of the network.
        width: channels of the pyramid, a multiple of 8.

    Raises:
        UserError: an argument out of range.
    """

    def __init__(self, stride: int = 8, width: int = 32) -> None:
        super().__init__()
        if not (stride >= 1 and 8 <= width <= 4096 and width % 8 == 0):
            raise UserError(
                "A pyramid needs a stride of 1 or more and a width that is a multiple of 8, up to "
                f"4096, got stride={stride}, width={width}."
            )
        self.stride = stride
        self.width = width
        self.body: Classifier | None = None

    def begin(self, classifier: nn.Module) -> None:
        """Copy the classifier's network, unless it has begun already.

        Raises:
            UserError: it is no network of timm with feature maps of several strides, `stride` and a
                coarser one among them.
        """
        if self.body is not None:
            return
        if not (
            isinstance(classifier, Classifier)
            and classifier.by_library
            and hasattr(classifier.network, "forward_intermediates")
        ):
            name = getattr(classifier, "architecture", "") or type(classifier).__name__
            raise UserError(
                f"PyramidMasker needs feature maps of a network of timm, and {name} gives none: "
                "train another, such as resnet18, or take ConvMasker."
            )
        body = deepcopy(classifier)
        network: Any = body.network
        last = {
            each["reduction"]: (at, each["num_chs"]) for at, each in enumerate(network.feature_info)
        }
        taken = [each for each in last if each >= self.stride]
        if self.stride not in taken or len(taken) < 2:
            raise UserError(
                f"{body.architecture} has feature maps of the strides "
                f"{', '.join(map(str, last))}: the stride of a PyramidMasker is one of these, and "
                f"not the last, got {self.stride}."
            )
        levels = [last[each][0] for each in taken]
        network.prune_intermediate_layers(levels, prune_norm=True, prune_head=True)
        for name in ("mean", "std"):  # so that they are kept in the masker's file
            body.register_buffer(name, getattr(body, name))
        self.levels = levels
        body.requires_grad_(True).eval()
        self.body = body
        self.project = nn.ModuleList(nn.Conv2d(last[at][1], self.width, 1) for at in taken)
        self.mask = nn.Sequential(_block(self.width, self.width), nn.Conv2d(self.width, 1, 1))
        self.to(classifier.mean.device)

    @property
    def anew(self) -> tuple[nn.Module, ...]:
        """The layers that are not copied from the classifier."""
        return (self.project, self.mask)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.body is not None:
            self.body.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        if self.body is None:
            raise UserError("Call the masker's begin(classifier) first.")
        network: Any = self.body.network
        *finer, coarsest = network.forward_intermediates(
            self.body.normalised(images), indices=self.levels, intermediates_only=True
        )
        *projections, first = self.project
        joined = first(coarsest)
        for feature, project in zip(reversed(finer), reversed(projections), strict=True):
            level = project(feature)
            joined = level + F.interpolate(
                joined, level.shape[-2:], mode="bilinear", align_corners=False
            )
        return self.mask(joined).sigmoid()


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
    return at_size_of(images, masker(images), type(masker).__name__)


def at_size_of(images: Tensor, masks: Tensor, masker: str) -> Tensor:
    """The output of a masker of that name for images (B, 3, H, W), resized to (B, 1, H, W).

    Raises:
        UserError: the output is not (B, 1, h, w), or not in [0, 1], but for rounding.
    """
    if masks.ndim != 4 or masks.shape[:2] != (len(images), 1):
        raise UserError(
            f"A masker gives masks (B, 1, h, w), but this one gave {tuple(masks.shape)} for images "
            f"{tuple(images.shape)}."
        )
    if may_look() and not in_unit_range(masks):
        low, high = masks.aminmax()
        raise UserError(
            f"A mask is from 0 to 1, but {masker} gave values from {low:.3g} to {high:.3g}: end "
            "the masker in a sigmoid."
        )
    masks = masks.to(images.dtype)
    return F.interpolate(masks, images.shape[-2:], mode="bilinear", align_corners=False)


def save_masker(masker: nn.Module, path: Path | str) -> None:
    """Write a masker's weights, and what makes one of ours again, to a `.safetensors` file.

    The file is replaced atomically.

    Raises:
        UserError: the disk is full.
    """
    path = as_path(path)
    about = _makes(masker)
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
        masker = _made(about)
    elif isinstance(masker, PyramidMasker) and about and "model" in about:
        masker.begin(_network(about))
    load_weights(masker, state, source=str(path))
    return masker


_ABOUT = "lookright masker"


def _about(path: Path) -> dict[str, Any] | None:
    """What makes the masker whose weights these are again; None for a module of the user's own."""
    try:
        with safe_open(path, "pt") as file:
            found = parsed(file.metadata()[_ABOUT])
    except (SafetensorError, TypeError, KeyError, ValueError):
        found = ""
    match found:
        case None:
            return None
        case {"grid": int(), "width": int(), **rest} if not rest:
            return dict(found)
        case {
            "model": str(model),
            "image_size": int(),
            "stride": int(),
            "width": int(),
            **rest,
        } if not rest and ":" not in model:  # a file names no code
            return dict(found)
    raise UserError(
        f"{path} holds weights, but not of a masker: expected a file written by lookright train or "
        "save_masker."
    )


def _makes(masker: nn.Module) -> dict[str, Any] | None:
    """What `_made` makes a masker of ours of; None for another module."""
    if type(masker) is ConvMasker:
        return {"grid": masker.grid, "width": masker.width}
    if type(masker) is PyramidMasker and masker.body is not None:
        body = {"model": masker.body.architecture, "image_size": masker.body.image_size}
        return body | {"stride": masker.stride, "width": masker.width}
    return None


def _made(about: Mapping[str, Any]) -> nn.Module:
    if "model" not in about:
        return ConvMasker(about["grid"], about["width"])
    masker = PyramidMasker(about["stride"], about["width"])
    masker.begin(_network(about))
    return masker


def _network(about: Mapping[str, Any]) -> Classifier:
    return build_model(about["model"], ("object", "background"), about["image_size"])
