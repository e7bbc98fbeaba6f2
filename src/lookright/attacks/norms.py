"""The geometry of a perturbation ball: random start, step direction and projection."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import prod

import torch
from torch import Generator, Tensor

from lookright.chance import normal_, uniform_


class Norm(ABC):
    """Geometry of a ball of radius `eps` around zero; every tensor is (B, C, H, W)."""

    @property
    def words(self) -> str:
        """The norm's name in texts."""
        return type(self).__name__

    @abstractmethod
    def random(self, like: Tensor, eps: float, generator: Generator | None) -> Tensor:
        """A random perturbation of the images `like`, inside the ball and of their shape."""

    @abstractmethod
    def direction(self, gradient: Tensor) -> Tensor:
        """The direction of steepest ascent, of length 1 in this norm; NaN counts as 0."""

    @abstractmethod
    def project(self, delta: Tensor, eps: float) -> Tensor:
        """The nearest perturbation inside the ball."""


@dataclass(frozen=True)
class LInf(Norm):
    """Every pixel value moves by at most eps."""

    @property
    def words(self) -> str:
        return "L-inf"

    def random(self, like: Tensor, eps: float, generator: Generator | None) -> Tensor:
        return uniform_(torch.empty_like(like), like, -eps, eps, generator)

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def project(self, delta: Tensor, eps: float) -> Tensor:
        return delta.clamp(-eps, eps)


@dataclass(frozen=True)
class L2(Norm):
    """The Euclidean length of an image's perturbation is at most eps."""

    def random(self, like: Tensor, eps: float, generator: Generator | None) -> Tensor:
        """Uniform in the ball: a uniform direction, radius eps * u ** (1 / dimension)."""
        direction = self.direction(normal_(torch.empty_like(like), like, generator))
        u = uniform_(torch.empty_like(like[:, :1, :1, :1]), like, 0, 1, generator)
        return direction * eps * u ** (1 / prod(like.shape[1:]))

    def direction(self, gradient: Tensor) -> Tensor:
        """Divided by its largest value first: tiny gradients would underflow when squared."""
        tiny, gradient = torch.finfo(gradient.dtype).tiny, gradient.nan_to_num()
        scaled = gradient / gradient.abs().amax((1, 2, 3), keepdim=True).clamp_min(tiny)
        return scaled / _length(scaled).clamp_min(tiny)

    def project(self, delta: Tensor, eps: float) -> Tensor:
        return delta * (eps / _length(delta).clamp_min(eps)) if eps > 0 else torch.zeros_like(delta)


def _length(delta: Tensor) -> Tensor:
    return torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
