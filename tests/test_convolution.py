"""A grouped convolution and its derivatives are those of torch."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lookright.convolution import grouped_conv2d
from lookright.replaced import differentiable_twice

SIZES = st.integers(1, 3)


@st.composite
def layers(draw) -> tuple[tuple[torch.Tensor, ...], tuple]:
    """Images, weight and bias, and stride, padding, dilation and groups."""
    groups, of_each, made = draw(st.integers(2, 4)), draw(st.integers(1, 2)), draw(SIZES)
    pairs = st.one_of(SIZES, st.tuples(SIZES, SIZES))
    stride, dilation = draw(pairs), draw(pairs)
    padding = draw(st.one_of(st.integers(0, 3), st.tuples(st.integers(0, 3), st.integers(0, 3))))
    kernel = draw(st.tuples(SIZES, SIZES))
    reach = [
        step * (size - 1) + 1
        for step, size in zip(
            dilation if isinstance(dilation, tuple) else (dilation,) * 2, kernel, strict=True
        )
    ]
    side = [least + draw(st.integers(0, 3)) for least in reach]
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()

    x = values(2, groups * of_each, *side)
    weight = values(groups * made, of_each, *kernel)
    return (x, weight, values(groups * made)), (stride, padding, dilation, groups)


def derivatives(convolve, parts, options) -> list[torch.Tensor]:
    """The values, the gradient by the image, and all gradients of this."""
    found = convolve(*parts, *options)
    (first,) = torch.autograd.grad(found.pow(3).sum(), parts[0], create_graph=True)
    second = torch.autograd.grad(first.square().sum(), parts, create_graph=True)
    third = torch.autograd.grad(sum(each.square().sum() for each in second), parts)
    return [found, first, *second, *third]


@settings(max_examples=60, deadline=None)
@given(layers())
def test_values_and_three_derivatives_are_those_of_torch(drawn) -> None:
    parts, options = drawn
    ours, theirs = (derivatives(each, parts, options) for each in (grouped_conv2d, F.conv2d))
    for found, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize(("groups", "stride"), [(4, 1), (4, 2), (2, 1)])
def test_the_gradients_are_right(groups: int, stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 4 // groups, 3, 3, dtype=torch.float64, requires_grad=True)

    def convolved(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return grouped_conv2d(x, weight, None, stride, 1, 1, groups)

    assert torch.autograd.gradcheck(convolved, (x, weight))
    assert torch.autograd.gradgradcheck(convolved, (x, weight))


MODULES = {
    "depthwise": nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "same": nn.Conv2d(4, 8, 3, padding="same", groups=2),
    "one group": nn.Conv2d(4, 4, 3),
    "circular": nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="circular"),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("images", [1, 3, None])
def test_in_a_network_it_stands_in_for_torch_s(name: str, images: int | None) -> None:
    shape = (4, 6, 6) if images is None else (images, 4, 6, 6)
    x = torch.rand(shape, requires_grad=True)

    def once() -> tuple[torch.Tensor, torch.Tensor]:
        found = MODULES[name](x)
        return found, torch.autograd.grad(found.square().sum(), x)[0]

    right = once()
    with differentiable_twice():
        ours = once()
    for found, expected in zip(ours, right, strict=True):
        torch.testing.assert_close(found, expected)
    replaced = name in ("depthwise", "circular") and images is not None
    assert (type(ours[0].grad_fn) is not type(right[0].grad_fn)) == replaced


def test_no_images_have_a_gradient_too() -> None:
    parts = torch.rand(0, 4, 6, 6).requires_grad_(), MODULES["depthwise"].weight
    found = grouped_conv2d(*parts, None, 1, 1, 1, 4)
    assert found.shape == (0, 4, 6, 6)
    assert not torch.autograd.grad(found.sum(), parts)[1].any()


def test_an_exported_program_has_it_too() -> None:
    x = torch.rand(2, 4, 6, 6)
    program = torch.export.export(nn.Sequential(MODULES["depthwise"]), (x,)).module()
    before = program(x).grad_fn
    with differentiable_twice():
        found = program(x)
        assert type(found.grad_fn) is not type(before)
    torch.testing.assert_close(found, MODULES["depthwise"](x))


def test_it_computes_in_the_precision_of_autocast() -> None:
    x, layer = torch.rand(2, 4, 6, 6), MODULES["depthwise"]
    with torch.autocast("cpu", torch.bfloat16):
        right = layer(x)
        with differentiable_twice():
            found = layer(x.requires_grad_())
    assert found.dtype == right.dtype == torch.bfloat16
    torch.testing.assert_close(found, right, atol=2e-2, rtol=2e-2)
    (gradient,) = torch.autograd.grad(found.float().square().sum(), x, create_graph=True)
    gradient.square().sum().backward()
    assert layer.weight.grad.isfinite().all()
    layer.zero_grad()


def test_autocast_leaves_float64_alone() -> None:
    x, layer = torch.rand(2, 4, 6, 6).double(), nn.Conv2d(4, 4, 3, groups=4).double()
    with torch.autocast("cpu", torch.bfloat16), differentiable_twice():
        assert layer(x).dtype == torch.float64
