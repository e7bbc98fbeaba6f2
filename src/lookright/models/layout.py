"""Which memory layout of the images is safe for a network on a CPU."""

from typing import Final

from torch import nn

_WIDEST: Final = 16
"""Number of float32 values in the widest register that torch's CPU convolutions use."""


def may_be_channels_last(network: nn.Module) -> bool:
    """Whether no convolution of the network fails on images in channels-last layout.

    On x86 processors oneDNN copies the input of a strided 1 x 1 convolution into a workspace that
    is too small if the input has fewer channels than a register holds values, 8 with AVX2 and 16
    with AVX-512 (uxlfoundation/oneDNN#6035). The backward pass then writes beyond it, which causes
    crashes, hangs and wrong gradients. A contiguous input takes another code path. Every such
    convolution counts here, on any processor.

    Tested with torch 2.15 and oneDNN 3.13 on an AVX-512 processor, also restricted to AVX2 and to
    SSE4.1: 1071 shapes each (benchmarks/layout.py, with an allocator that guards the end of every
    block), kernels 1 to 5, strides 1 to 3, 1 to 40 channels, dense and depthwise. Only these
    convolutions failed.
    """
    return not any(_may_fail(module) for module in network.modules())


def _may_fail(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and max(module.kernel_size) == 1
        and max(module.stride) > 1
        and module.in_channels < _WIDEST
    )
