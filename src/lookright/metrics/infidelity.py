"""Infidelity: does the map predict the effect of a perturbation (Yeh et al., NeurIPS 2019)."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.metrics.fills import FILLS, Fill, blur
from lookright.metrics.measure import Measure
from lookright.metrics.questions import FAITHFUL
from lookright.metrics.removal import class_probability, clean, on_images, split
from lookright.modes import frozen

INFIDELITY = {
    fill: Measure(
        f"infidelity_{fill}",
        f"Infidelity, {fill}",
        False,
        "square",
        "Mean squared difference between the drop in class probability when one square of an 8 by "
        f"8 grid is replaced ({fill}) and the saliency in that square, with the map scaled to fit "
        "best.",
        question=FAITHFUL,
        order=50,
    )
    for fill in FILLS
}
_PURPOSE = 50

Perturbed = Callable[[slice], tuple[Tensor, Tensor]]


class PixelPerturbation(ABC):
    """`perturbation(images)` gives a function from numbers to perturbed images x - I and their I.

    A slice of g of the `count` numbers gives (g, B, 3, H, W) images in [0, 1] and I of the same
    shape. For a given image, both are the same in every batch.
    """

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of perturbations of each image."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Perturbed:
        """A function that makes the perturbations of these images."""


@dataclass(frozen=True)
class Squares(PixelPerturbation):
    """Replaces one square of a grid at a time by the fill; I is 1 there and 0 elsewhere.

    This is the binary I of the authors' code for squares, which suits maps of importance: it checks
    whether the saliency in a square predicts the drop in class probability without that square.
    They slide black squares of 1 to 10 px over digits of 28 px; here `per_side` by `per_side`
    squares tile an image of any size, so that each pixel is replaced once, in `per_side` squared
    passes.
    """

    fill: Fill = blur
    per_side: int = 8

    def __post_init__(self) -> None:
        if self.per_side < 1:
            raise UserError(f"Squares need at least 1 per side, but got {self.per_side}.")

    @property
    def count(self) -> int:
        return self.per_side**2

    def __call__(self, images: Tensor) -> Perturbed:
        h, w = images.shape[-2:]
        down, across = (
            torch.arange(side, device=images.device) * self.per_side // side for side in (h, w)
        )
        square = down[:, None] * self.per_side + across
        filled = self.fill(images)

        def perturbed(numbers: slice) -> tuple[Tensor, Tensor]:
            chosen = torch.arange(numbers.start, numbers.stop, device=images.device)
            inside = (square == chosen[:, None, None])[:, None, None]
            without = torch.where(inside, filled, images)
            return without, inside.to(images.dtype).expand_as(without)

        return perturbed


@dataclass(frozen=True)
class GaussianNoise(PixelPerturbation):
    """I is Gaussian noise of standard deviation `sigma` in pixel units, clipped so that x - I stays
    in [0, 1].

    This is the perturbation of captum's example, with its sigma and number of samples. It suits
    signed gradients: a map without signs cannot predict its effect.
    """

    sigma: float = 0.003
    samples: int = 10

    def __post_init__(self) -> None:
        if self.samples < 1 or not self.sigma > 0:
            raise UserError(
                f"Noise needs at least 1 sample and sigma > 0, but got samples={self.samples}, "
                f"sigma={self.sigma}."
            )

    @property
    def count(self) -> int:
        return self.samples

    def __call__(self, images: Tensor) -> Perturbed:
        def perturbed(numbers: slice) -> tuple[Tensor, Tensor]:
            places = images[0].numel() if len(images) else images.shape[1:].numel()
            uniform = torch.stack(
                [
                    image_chance(images, places, _PURPOSE + number).view_as(images)
                    for number in range(numbers.start, numbers.stop)
                ]
            )
            noise = self.sigma * 2**0.5 * torch.erfinv(2 * uniform - 1 + 2**-24)
            without = (images - noise).clamp(0, 1)
            return without, images - without

        return perturbed


def infidelity(
    model: nn.Module,
    images: Tensor,
    saliency: Tensor,
    perturbation: PixelPerturbation | None = None,
    target: Tensor | None = None,
    max_images: int = 128,
    normalised: bool = True,
) -> Tensor:
    """(B,) mean over perturbations I of (I . saliency - (p(x) - p(x - I)))^2, at least 0.

    Definition 2.1 of Yeh et al. (NeurIPS 2019), with p the probability of `target`, (B,) int64, by
    default the class predicted on the clean image. images: (B, 3, H, W) in [0, 1]; saliency: (B, h,
    w), resized to (H, W) bilinearly and the same for all channels; perturbation: by default
    `Squares()`. normalised: scale the map by the factor that fits best, as the authors' code and
    captum's `normalize` do, so that the scale of the map does not matter. A degenerate map
    (`degenerate`) scores the mean of (p(x) - p(x - I))^2; when normalised, no map scores more.

    Raises UserError on maps for another number of images.
    """
    target, start = clean(model, images, target, max_images)
    maps, perturbation = [saliency], Squares() if perturbation is None else perturbation
    return infidelities(model, images, maps, perturbation, target, start, max_images, normalised)[0]


def infidelities(
    model: nn.Module,
    images: Tensor,
    maps: Sequence[Tensor],
    perturbation: PixelPerturbation,
    target: Tensor,
    start: Tensor,
    max_images: int = 128,
    normalised: bool = True,
) -> Tensor:
    """(M, B): the infidelity of M maps (B, h, w) from the same passes; start: (B,) p(x)."""
    every = torch.stack([on_images(one, images) for one in maps])
    if normalised:
        every = _to_peak(every)
    predictions, lost = [], []
    with frozen(model), torch.no_grad():
        for block in split(len(images), max_images):
            x, y, saliency = images[block], target[block], every[:, block]
            perturbed = perturbation(x)
            foresees, costs = [], []
            for numbers in split(perturbation.count, max(1, max_images // max(1, len(x)))):
                without, taken = perturbed(numbers)
                logits = model(without.flatten(0, 1)).unflatten(0, without.shape[:2])
                costs.append(start[block] - class_probability(logits, y))
                foresees.append(torch.einsum("gchw,mchw->mgc", taken.sum(-3), saliency))
            predictions.append(torch.cat(foresees, 1))
            lost.append(torch.cat(costs))
    predicted, actual = torch.cat(predictions, -1), torch.cat(lost, -1)
    if normalised:
        power = predicted.square().mean(1, keepdim=True)
        shared = (predicted * actual).mean(1, keepdim=True)
        predicted = predicted * torch.where(power > 0, shared / power, 0)
    return (predicted - actual).square().mean(1)


def _to_peak(saliency: Tensor) -> Tensor:
    """Each map (..., H, W) divided by its largest magnitude, so that squares do not underflow."""
    peak = saliency.abs().amax((-2, -1), keepdim=True)
    return torch.where(peak > 0, saliency / peak, 0)
