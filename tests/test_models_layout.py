"""The layout that a classifier chooses on a CPU: never one that crashes or bends a gradient."""

import os
import subprocess
import sys

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from lookright.models import Classifier, build_model

# Every width trains one step on images laid out by the classifier, and again with all contiguous.
STEPS = """
import torch

from lookright.models import Classifier, SmallResNet

torch.set_num_threads(1)
# At a kink rounding alone would move a gradient.
torch.Tensor.relu = lambda x: torch.nn.functional.softplus(x)


def gradients(model, x):
    x = x.clone().requires_grad_()
    torch.nn.functional.cross_entropy(model(x), torch.arange(len(x)) % 3).backward()
    return [x.grad, *(parameter.grad for parameter in model.parameters())]


for width in (3, 4, 7, 8, 15, 16, 24):
    for batch, size in ((8, 32), (4, 128)):
        x = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
        made = []
        for architecture in ("small_resnet", ""):
            torch.manual_seed(0)
            made.append(Classifier(SmallResNet(3, width), "abc", size, architecture=architecture))
        expected = gradients(made[1], x)
        for _ in range(5):
            made[0].zero_grad()
            for found, right in zip(gradients(made[0], x), expected, strict=True):
                assert (found - right).abs().max() <= 1e-3 * right.abs().max(), (width, size)
"""


AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}


@pytest.mark.parametrize("environment", [{}, AVX2], ids=["this processor", "AVX2 at most"])
def test_narrow_networks_train_on_any_processor(environment):
    ended = subprocess.run(
        [sys.executable, "-c", STEPS],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr


def chosen(*layers):
    return Classifier(nn.Sequential(*layers), "ab", 32, architecture="resnet18").channels_last


@pytest.mark.parametrize("channels", [1, 4, 8, 15])
@pytest.mark.parametrize("convolution", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize("stride", [2, (1, 2), (3, 1)])
def test_a_narrow_strided_1x1_convolution_keeps_the_network_contiguous(
    channels, convolution, stride
):
    assert not chosen(
        nn.Conv2d(3, channels, 3), nn.Sequential(convolution(channels, 32, 1, stride))
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 32, 1, stride=2),
        nn.Conv2d(24, 8, 1, stride=2),
        nn.Conv2d(4, 8, 1),
        nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.Conv2d(3, 64, 4, stride=4),
        nn.Conv2d(8, 8, (1, 3), stride=2),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
        nn.Linear(4, 8),
    ],
    ids=repr,
)
def test_any_other_layer_may_be_channels_last(layer):
    assert chosen(layer)


def test_the_library_s_usual_networks_stay_channels_last():
    names = ("small_resnet", "torchvision/resnet18", "resnet50", "efficientnet_lite0")
    assert all(build_model(name, "ab", 32).channels_last for name in names)


def test_ones_own_network_keeps_the_layout_it_was_given():
    seen = []

    class Looking(nn.Module):
        def forward(self, x):
            seen.append(x.is_contiguous())
            return x.mean((2, 3))

    for architecture in ("", "mine:Looking", "resnet18"):
        Classifier(Looking(), "abc", 8, architecture=architecture)(torch.rand(2, 3, 8, 8))
    assert seen == [True, True, False]
