"""In which layout of memory a CPU may be given a network's images."""

from typing import Final

from torch import nn

_WIDEST: Final = 16
"""Numbers of float32 in the widest register of any processor that torch's convolutions know."""


def may_be_channels_last(network: nn.Module) -> bool:
    """Whether no convolution of the network loses its way in images laid out channels last.

    On x86 processors oneDNN copies the input of a strided 1 x 1 convolution into a workspace too
    small where the input has fewer channels than a register holds numbers, 8 with AVX2 and 16 with
    AVX-512 (uxlfoundation/oneDNN#6035). The backward pass then writes behind it: crashes, hangs
    and wrong gradients. A contiguous input takes another way. So every such convolution counts,
    on any processor.

    Tried with torch 2.15 and oneDNN 3.13 on an AVX-512 processor, and on it as AVX2 and as SSE4.1:
    1071 shapes each (benchmarks/layout.py, under an allocator that guards the end of every block),
    of kernels 1 to 5, strides 1 to 3, 1 to 40 channels, dense and depthwise. Just these
    convolutions failed.
    """
    return not any(_loses_its_way(module) for module in network.modules())


def _loses_its_way(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and max(module.kernel_size) == 1
        and max(module.stride) > 1
        and module.in_channels < _WIDEST
    )
