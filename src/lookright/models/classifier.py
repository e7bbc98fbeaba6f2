"""A classifier: a network with its normalisation inside, so that it takes images in [0, 1]."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lookright.models.layout import may_be_channels_last


class Classifier(nn.Module):
    """Images (B, 3, H, W) in [0, 1] to logits (B, K).

    Args:
        network: maps normalised images to logits.
        classes: the names of the K classes, in the order of the logits.
        image_size: height and width of the images it was built for, in pixels.
        mean, std: one value per channel; the network sees (x - mean) / std.
        architecture: the name from which `build_model` makes the network.
        origin: where the weights come from, as recorded in a run: "random", "given" by the caller,
            a "library", or a "file" with its name and hash.
        nameless: whether the classes are only numbers from 0, because their names are not known.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        classes: Sequence[str],
        image_size: int,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        architecture: str = "",
        origin: str = "given",
        nameless: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = tuple(classes)
        self.image_size = image_size
        self.architecture = architecture
        self.origin = origin
        self.nameless = nameless
        # Library networks accept either memory layout; your own network may flatten the image.
        by_library = architecture != "" and ":" not in architecture
        self.channels_last = by_library and may_be_channels_last(network)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        if self.channels_last and x.device.type == "cpu":
            # Up to 1.8 times as fast on a CPU, attacks and training alike (docs/speed.md).
            x = x.contiguous(memory_format=torch.channels_last)
        return self.network(x)
