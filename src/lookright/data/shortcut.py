"""Shortcut: handwritten digits on textured backgrounds whose hue is correlated with the class.

The digits are the 1797 of scikit-learn (Alpaydin and Kaynak, UCI 1998). Everything else is drawn
from the seed. All domains show the same scenes and differ in one respect only:

| domain     | background                                                                     |
|------------|--------------------------------------------------------------------------------|
| train      | the hue is that of the class with probability `strength`, else any of the ten   |
| reversed   | the same, but the hue is that of class + 5                                      |
| random     | the hue is any of the ten, unrelated to the class                               |
| recoloured | as random, in paler hues that lie between those of training; coloured digits    |
| noisy      | as train, with less contrast and pixel noise                                    |
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from lookright.batch import Batch
from lookright.data.dataset import ImageData, hashed
from lookright.errors import UserError
from lookright.models.preprocessing import checked_size

_CHUNK = 64
_LATTICES = (3, 6, 12, 24)
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Look:
    """How a domain draws the scenes.

    shift: classes between digit and hue, None if they are unrelated; turn: rotation of the hues, in
    steps of a tenth.
    """

    shift: int | None
    turn: float = 0.0
    saturation: float = 0.3
    tint: float = 0.12
    contrast: float = 1.0
    noise: float = 0.0


_LOOKS = {
    "train": _Look(shift=0),
    "reversed": _Look(shift=5),
    "random": _Look(shift=None),
    "recoloured": _Look(shift=None, turn=0.5, saturation=0.18, tint=0.55),
    "noisy": _Look(shift=0, contrast=0.6, noise=0.08),
}


@dataclass(frozen=True)
class _Scenes:
    """The random parameters that all domains share, one row per digit."""

    digits: Tensor
    labels: Tensor
    scale: Tensor
    place: Tensor
    ink: Tensor
    brightness: Tensor
    textures: list[Tensor]
    obeys: NDArray[np.float64]
    other: NDArray[np.int64]


@final
class Shortcut(ImageData):
    """The built-in data set: 1797 digits in each of five domains, with exact masks.

    image_size: height and width in pixels, at least 32; the same scenes are drawn at every size.
    strength: the probability in [0, 1] that the hue in `train` is set by the class. Otherwise the
    hue is drawn from all ten, so that it fits the class with probability strength + (1 - strength)
    / 10. Domains are drawn when first used and kept as uint8. A digit is in the same part in every
    domain.
    """

    has_masks = True
    name = "Shortcut"
    classes = tuple(str(digit) for digit in range(10))
    domains = tuple(_LOOKS)

    def __init__(self, image_size: int = 32, strength: float = 0.9, seed: int = 0) -> None:
        checked_size(image_size, 32, "an image size for Shortcut")
        if not 0 <= strength <= 1:
            raise UserError(f"Expected a strength from 0 to 1 for Shortcut; got {strength}.")
        self.image_size = image_size
        self.strength = strength
        self.seed = seed
        self._drawn: dict[str, Tensor] = {}

    def keys(self, domain: str) -> Sequence[str]:
        return [f"digit {index}" for index in range(len(self._scenes.labels))]

    def contents(self, domain: str) -> Sequence[str]:
        drawn = f"Shortcut {self.strength} {self.seed} {domain}"
        return [hashed(drawn, key) for key in self.keys(domain)]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        return self.stored(domain, indices).to("cpu")

    def stored(self, domain: str, indices: Sequence[int]) -> Batch:
        number = self.domain_index(domain)
        if domain not in self._drawn:
            self._drawn[domain] = self._draw(domain)
        at = torch.as_tensor(indices)
        return Batch(
            images=self._drawn[domain][at],
            labels=self._scenes.labels[at],
            domains=torch.full_like(at, number),
            masks=self._masks[at].to(torch.uint8) * 255,
            has_mask=torch.ones_like(at, dtype=torch.bool),
        )

    def labels(self, domain: str) -> Sequence[int]:
        return self._scenes.labels.tolist()

    def hues(self, domain: str) -> Tensor:
        """(1797,) the hue of each background as a class number, plus 0.5 in domain recoloured."""
        look, scenes = _LOOKS[domain], self._scenes
        hue = scenes.other.astype(float)
        if look.shift is not None:
            own = (scenes.labels.numpy() + look.shift) % 10
            hue = np.where(scenes.obeys < self.strength, own, hue)
        return torch.from_numpy(hue + look.turn)

    def _random(self, what: str) -> np.random.Generator:
        named = hashlib.sha256(f"{self.seed} {what}".encode()).digest()
        return np.random.default_rng(int.from_bytes(named, "big"))

    @cached_property
    def _scenes(self) -> _Scenes:
        from sklearn.datasets import load_digits

        source = load_digits()
        n = len(source.target)

        def uniform(what: str, low: float, high: float, *shape: int) -> Tensor:
            return torch.from_numpy(self._random(what).uniform(low, high, (n, *shape))).float()

        scale = uniform("scale", 0.62, 0.76)
        return _Scenes(
            digits=torch.from_numpy(source.images).float()[:, None] / 16,
            labels=torch.from_numpy(source.target).long(),
            scale=scale,
            place=uniform("place", -0.9, 0.9, 2) * (1 - scale)[:, None],
            ink=uniform("ink", 0, 1, 3),
            brightness=uniform("brightness", 0.85, 1.15),
            textures=[uniform(f"texture {k}", -1, 1, 2, k, k) for k in _LATTICES],
            obeys=self._random("obeys").uniform(size=n),
            other=self._random("other").integers(10, size=n),
        )

    @cached_property
    def _masks(self) -> Tensor:
        chunks = torch.arange(len(self._scenes.labels)).split(_CHUNK)
        return torch.cat([self._coverage(at) >= 0.5 for at in chunks])

    def _coverage(self, at: Tensor) -> Tensor:
        """(B, 1, S, S): the share of each pixel that the digit covers."""
        scenes, size = self._scenes, self.image_size
        scale, place = scenes.scale[at], scenes.place[at]
        affine = torch.zeros(len(at), 2, 3)
        affine[:, 0, 0] = affine[:, 1, 1] = 1 / scale
        affine[:, :, 2] = -place / scale[:, None]
        grid = F.affine_grid(affine, [len(at), 1, size, size], align_corners=False)
        ink = F.grid_sample(scenes.digits[at], grid, mode="bicubic", align_corners=False)
        pixels_per_cell = size * scale[:, None, None, None] / 8
        return (0.5 + (ink - 0.45) * pixels_per_cell.clamp(min=2)).clamp(0, 1)

    def _texture(self, at: Tensor) -> Tensor:
        """(B, 2, S, S): two fields of smooth noise, roughly in [-1, 1], for brightness and hue."""
        size = (self.image_size, self.image_size)
        octaves = [
            0.62**octave * F.interpolate(lattice[at], size, mode="bicubic", align_corners=True)
            for octave, lattice in enumerate(self._scenes.textures)
        ]
        return torch.stack(octaves).sum(0) / 1.3

    def _draw(self, domain: str) -> Tensor:
        """All images of a domain, (1797, 3, S, S) uint8."""
        look, scenes, hues = _LOOKS[domain], self._scenes, self.hues(domain)
        noise, chunks = self._random(f"noise {domain}"), []
        for at in torch.arange(len(hues)).split(_CHUNK):
            shade, wander = self._texture(at).split(1, dim=1)
            hue = (hues[at].float()[:, None, None, None] + 0.3 * wander) / 10
            luma = 0.3 * scenes.brightness[at][:, None, None, None] * (1 + 0.45 * shade)
            ground = _colour(hue, look.saturation, luma.clamp(0.06, 0.55))
            ink_hue, ink_tint, ink_luma = scenes.ink[at][:, :, None, None].split(1, dim=1)
            ink = _colour(ink_hue, look.tint * (0.5 + ink_tint / 2), 0.82 + 0.16 * ink_luma)
            cover = self._coverage(at)
            images = cover * ink + (1 - cover) * ground
            images = 0.5 + look.contrast * (images - 0.5)
            if look.noise:
                grain = noise.standard_normal(images.shape, dtype=np.float32)
                images = images + look.noise * torch.from_numpy(grain)
            chunks.append((images.clamp(0, 1) * 255).round().byte())
        return torch.cat(chunks)


def _colour(hue: Tensor, saturation: float | Tensor, luma: Tensor) -> Tensor:
    """(B, 3, ...): RGB of this hue (in full turns) and saturation, scaled to the given luma."""
    sixth = (hue * 6 + hue.new_tensor([0, 4, 2])[:, None, None]) % 6
    pure = ((sixth - 3).abs() - 1).clamp(0, 1)
    colour = 1 - saturation * (1 - pure)
    weights = colour.new_tensor(_LUMA)[:, None, None]
    return (colour * luma / (weights * colour).sum(1, keepdim=True)).clamp(0, 1)
