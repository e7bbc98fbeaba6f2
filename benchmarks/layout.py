"""On which convolutions torch fails with the channels-last layout, and what the layout gains.

    python benchmarks/layout.py             # every shape, on this processor and on emulated ones
    python benchmarks/layout.py --gain      # forward and backward passes in both layouts

For each shape, a forward and three backward passes run in a process of their own; output and
gradients are compared with those of the contiguous layout. A shape may crash, hang or be wrong.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lookright.models import build_model
from lookright.models.layout import may_be_channels_last
from timing import compare

PROCESSORS = {
    "this one": {},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
}
KERNELS = ((1, 1), (1, 2), (1, 3), (2, 2), (3, 1), (3, 2), (5, 2))
CHANNELS = (1, 3, 4, 7, 8, 12, 15, 16, 17, 20, 24, 31, 40)
IMAGES = ((1, 12), (8, 18), (4, 60))
SECONDS = 20


@dataclass(frozen=True)
class Shape:
    """A convolution and its input images (batch, channels, size, size)."""

    kernel: int
    stride: int
    channels: int
    out: int
    groups: int
    batch: int
    size: int

    def convolution(self) -> nn.Conv2d:
        padding = self.kernel // 2
        return nn.Conv2d(
            self.channels, self.out, self.kernel, self.stride, padding, groups=self.groups
        )


def shapes() -> Iterator[Shape]:
    for kernel, stride in KERNELS:
        for channels in CHANNELS:
            for groups in {1, channels}:
                for out in (4, 8, 20) if groups == 1 else (channels,):
                    for batch, size in IMAGES:
                        yield Shape(kernel, stride, channels, out, groups, batch, size)


def passes(convolution: nn.Conv2d, x: Tensor) -> list[Tensor]:
    """The output, and the gradients of the images, the weight and the bias."""
    x = x.detach().requires_grad_()
    y = convolution(x)
    upstream = torch.linspace(-1, 1, y.numel()).view_as(y)
    return [y.detach(), *torch.autograd.grad(y, [x, *convolution.parameters()], upstream)]


def is_right(shape: Shape) -> bool:
    torch.manual_seed(0)
    convolution = shape.convolution()
    x = torch.rand(shape.batch, shape.channels, shape.size, shape.size) - 0.3
    expected = passes(convolution, x)
    for _ in range(3):
        found = passes(convolution, x.contiguous(memory_format=torch.channels_last))
        for one, right in zip(found, expected, strict=True):
            if not (one - right).abs().max() <= 1e-4 * right.abs().max():
                return False
    return True


def ends(tried: list[Shape]) -> str:
    """The outcome of a process that tries these shapes: right, wrong, hangs or the signal."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(0 if all(map(is_right, tried)) else 1)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return {0: "right", 1: "wrong"}.get(code, f"signal {-code}")
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return "hangs"


def sweep() -> None:
    """Every shape on this processor; a convolution's shapes share a process while all is well."""
    found = {shape: "right" for shape in shapes()}
    families: dict[tuple[int, ...], list[Shape]] = {}
    for shape in found:
        key = shape.kernel, shape.stride, shape.channels, shape.groups
        families.setdefault(key, []).append(shape)
    for family in families.values():
        if ends(family) != "right":
            found |= {shape: ends([shape]) for shape in family}
    bad = {shape: end for shape, end in found.items() if end != "right"}
    missed = [shape for shape in bad if may_be_channels_last(shape.convolution())]
    print(f"{len(found)} shapes, {torch.get_num_threads()} threads: {len(bad)} lose their way")
    print(f"  how: {dict(Counter(bad.values()))}")
    print(f"  kernel, stride: {dict(Counter((each.kernel, each.stride) for each in bad))}")
    print(f"  groups: {dict(Counter(each.groups for each in bad))}")
    print(f"  channels in: {dict(Counter(each.channels for each in bad))}")
    print(f"  that lookright would give images channels last: {missed}", flush=True)


def gain(rounds: int) -> None:
    """Networks that keep channels last, against contiguous: an attack's pass and training's."""
    for name, size, batch in (
        ("small_resnet", 32, 64),
        ("torchvision/resnet18", 64, 32),
        ("efficientnet_lite0", 64, 32),
    ):
        network = build_model(name, "abcdefgh", size).network
        for of_weights in (False, True):
            network.requires_grad_(of_weights)
            x = torch.rand(batch, 3, size, size, requires_grad=not of_weights)

            def step(layout: torch.memory_format, x: Tensor = x, network: nn.Module = network):
                network(x.contiguous(memory_format=layout)).square().mean().backward()

            contenders = {
                "channels last": lambda step=step: step(torch.channels_last),
                "contiguous": lambda step=step: step(torch.contiguous_format),
            }
            title = f"{name}, {size} px, batch {batch}, gradient of "
            title += "the weights" if of_weights else "the images"
            print(compare(title, contenders, rounds, x.device).markdown(), end="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gain", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", action="store_true", help="sweep on this processor alone")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.gain:
        gain(given.rounds)
    elif given.here:
        sweep()
    else:
        for name, environment in PROCESSORS.items():
            print(f"{name}: ", end="", flush=True)
            command = [sys.executable, __file__, "--here", "--threads", str(given.threads)]
            subprocess.run(command, env=os.environ | environment, check=True)


if __name__ == "__main__":
    main()
