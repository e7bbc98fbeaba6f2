"""The default network for the built-in data, small enough to train on a CPU in minutes."""

from torch import Tensor, nn


class SmallResNet(nn.Module):
    """A residual network with 7 convolutions for images of 32 to 64 px, for training on a CPU.

    Its last feature map has a quarter of the image's side, which gives readable saliency maps.

    Args:
        num_classes: K.
        width: channels of the first stage; each of the two later stages doubles them.
    """

    def __init__(self, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.stem = _conv(3, width, 3, 2)
        self.stages = nn.Sequential(
            _Residual(width, width, 1),
            _Residual(width, 2 * width, 2),
            _Residual(2 * width, 4 * width, 1),
        )
        self.head = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x).relu()).mean((2, 3)))


class _Residual(nn.Module):
    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = _conv(channels, out, 3, stride)
        self.second = _conv(out, out, 3, 1)
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else _conv(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return (self.second(self.first(x).relu()) + self.shortcut(x)).relu()


def _conv(channels: int, out: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out)
    )
