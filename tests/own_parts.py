"""Parts of one's own, as a user writes them for a protocol."""

from dataclasses import dataclass

import torch

from lookright.attacks import Attack, Goal
from lookright.metrics import Measure, metric


@dataclass(frozen=True)
class Corner(Attack):
    """A random corner of the ball, whose norm it does not name."""

    eps: float = 8 / 255

    def __call__(self, model, x, y, generator=None):
        corner = torch.rand(x.shape, generator=generator).sub(0.5).sign()
        return (x + self.eps * corner).clamp(0, 1)


def smoke(images, severity):
    """Towards grey, a tenth for each severity."""
    return images + (0.5 - images) * severity / 10


def white(images):
    """Ones."""
    return torch.ones_like(images)


class Leftwards(Goal):
    """Drive the saliency to the left half."""

    def __call__(self, clean):
        half = clean.shape[-1] // 2
        return lambda saliency: saliency[..., :half].sum((-2, -1))

    def manipulated(self, clean, saliency):
        half = clean.shape[-1] // 2
        share = [one[..., :half].sum((-2, -1)) / one.sum((-2, -1)) for one in (clean, saliency)]
        return (share[1] - share[0]).nan_to_num()


@metric(Measure("upper", "Upper half", True, "score", "Share of the saliency in the upper half."))
def upper(saliency):
    """(B,) in [0, 1]."""
    mass = saliency.sum((-2, -1)).clamp_min(1e-12)
    return saliency[:, : saliency.shape[1] // 2].sum((-2, -1)) / mass


@metric(Measure("peak_on_object", "Peak on object", True, "rate", "The peak lies on the object."))
def peak_on_object(saliency, masks, labels):
    """(B,) bool, of images with a mask."""
    assert len(saliency) == len(masks) == len(labels)
    return masks.flatten(1).amax(1) > 0


@metric(Measure("brightness", "Brightness", None, "score", "Of the image."))
def brightness(images):
    """(B,): the same whatever the map."""
    return images.mean((1, 2, 3))
