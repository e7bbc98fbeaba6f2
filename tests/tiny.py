"""Data and a network so small that an epoch takes a blink."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from lookright.batch import Batch
from lookright.data import ImageData
from lookright.evaluation.places import results_in
from lookright.evaluation.result import Result, read_result
from lookright.models import Classifier, SmallResNet


class Blobs(ImageData):
    """8 px images whose class is faintly the brightest channel; in "other", the next one."""

    name = "Blobs"
    classes = ("red", "green", "blue")
    domains = ("train", "other")
    has_masks = False

    def __init__(self, n: int = 72, image_size: int = 8, labels_up_to: int = 3) -> None:
        self.n = n
        self.labels_up_to = labels_up_to
        self.image_size = image_size
        random = torch.Generator().manual_seed(0)
        self._labels = torch.arange(n) % labels_up_to
        size = (image_size, image_size)
        self._images = 0.6 * torch.rand(n, 3, *size, generator=random)
        self._images[torch.arange(n), self._labels % 3] += 0.15

    def keys(self, domain: str) -> Sequence[str]:
        return [f"{domain} {index}" for index in range(self.n)]

    def samples(self, domain: str, indices: Sequence[int]) -> Batch:
        at = torch.as_tensor(indices)
        images = self._images[at] if domain == "train" else self._images[at].roll(1, 1)
        number = torch.full_like(at, self.domain_index(domain))
        return Batch(images, self._labels[at], number)


def tiny_classifier(seed: int = 0, data: ImageData | None = None) -> Classifier:
    """A small_resnet of width 4 for Blobs, the same for the same seed."""
    data = data or Blobs()
    torch.manual_seed(seed)
    return Classifier(SmallResNet(len(data.classes), width=4), data.classes, data.image_size)


def newest(home: Path | str) -> Result:
    """The result that was written last of those in a run's folder."""
    return read_result(results_in(Path(home))[0])


def own_network(classes: int) -> nn.Module:
    """A network of the user's own, as a function of the number of classes makes it."""
    return tiny_classifier(data=Blobs(labels_up_to=classes)).network
