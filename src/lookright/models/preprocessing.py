"""How image files become the square images that a library's weights were made for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Self

from PIL import Image
from torch import Tensor

from lookright.errors import UserError

Mode = Literal["center", "squash", "border"]
Interpolation = Literal["bilinear", "bicubic"]


LARGEST_SIDE = 8192
"""Pixels; an image of it takes 768 MiB as float32."""


def checked_size(size: int, least: int = 1, what: str = "an image size") -> int:
    """The side of square images in pixels.

    Raises:
        UserError: it is below the least or above `LARGEST_SIDE`.
    """
    if not least <= size <= LARGEST_SIDE:
        raise UserError(f"Expected {what} of {least} to {LARGEST_SIDE} pixels; got {size}.")
    return size


@dataclass(frozen=True)
class Preprocessing:
    """Resize an image, then crop its centre, as timm and torchvision do in their evaluation.

    Args:
        crop: the side of the crop as a share of the side that the image is resized to.
        mode: which side that is: the shorter one (center), both (squash), or the longer one, with
            a border beside the shorter (border).
        interpolation: bilinear or bicubic, with antialiasing.
        fill: grey level of the border for red, green and blue, in [0, 1].
    """

    crop: float = 1.0
    mode: Mode = "center"
    interpolation: Interpolation = "bilinear"
    fill: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 < self.crop < 10:
            raise UserError(f"crop is a share above 0, such as 0.875; got {self.crop}.")

    def __call__(self, image: Image.Image, size: int, soft: bool = True) -> Tensor:
        """(C, size, size) uint8.

        Without `soft` each pixel is that of the nearest place, which keeps a binary mask binary.
        A mask has no border colour.
        """
        return _transform(self, size, soft, len(image.getbands()))(image)

    @classmethod
    def of_timm(cls, config: Mapping[str, Any]) -> Self:
        """From timm's config of pretrained weights (`timm.data.resolve_data_config`)."""
        from timm.data import resolve_data_config

        found = resolve_data_config(pretrained_cfg={**config})
        border = tuple(found["mean"]) if found["crop_mode"] == "border" else cls.fill
        return cls(found["crop_pct"], found["crop_mode"], found["interpolation"], border)

    @classmethod
    def of_torchvision(cls, transforms: Any) -> Self:
        """From the transforms of torchvision's weights (`weights.transforms()`)."""
        crop = transforms.crop_size[0] / transforms.resize_size[0]
        return cls(crop, interpolation=transforms.interpolation.value)


@cache
def _transform(
    how: Preprocessing, size: int, soft: bool, channels: int
) -> Callable[[Image.Image], Tensor]:
    from timm.data.transforms_factory import transforms_imagenet_eval

    return transforms_imagenet_eval(
        size,
        how.crop,
        how.mode,
        interpolation=how.interpolation if soft else "nearest",
        mean=how.fill if channels == 3 else (0.0,),
        normalize=False,
    )
