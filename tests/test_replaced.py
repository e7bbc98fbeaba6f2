"""The hard sigmoid that can be differentiated twice is the hard sigmoid."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import create_act_layer
from torch import nn

from lookright.replaced import differentiable_twice

X = torch.linspace(-5, 5, 41, dtype=torch.float64)


def in_place(function):
    """What stands in x after a call whose answer is not used."""

    def run(x):
        x = x.clone()
        function(x)
        return x

    return run


def exported(module):
    return torch.export.export(nn.Sequential(module), (X.clone(),)).module()


HARD_SIGMOIDS = {
    "function": F.hardsigmoid,
    "function in place": in_place(lambda x: F.hardsigmoid(x, inplace=True)),
    "module": nn.Hardsigmoid(),
    "module in place": in_place(nn.Hardsigmoid(inplace=True)),
    "timm": create_act_layer("hard_sigmoid"),
    "exported": exported(nn.Hardsigmoid()),
    "exported in place": lambda x: exported(nn.Hardsigmoid(inplace=True))(x.clone()),
}


@pytest.mark.parametrize("function", HARD_SIGMOIDS.values(), ids=HARD_SIGMOIDS)
def test_it_has_the_same_values_and_gradient_and_a_second_one(function):
    x, same = X.clone().requires_grad_(), X.clone().requires_grad_()
    with differentiable_twice():
        y = function(x * 1)
    torch.testing.assert_close(y, F.hardsigmoid(same))
    (wanted,) = torch.autograd.grad(F.hardsigmoid(same).square().sum(), same)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    torch.testing.assert_close(gradient, wanted)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    torch.testing.assert_close(second, (X.abs() < 3).to(X) / 18)


def test_outside_it_is_torch_s_own():
    x = X.clone().requires_grad_()
    before = F.hardsigmoid(x).grad_fn
    with differentiable_twice():
        assert type(F.hardsigmoid(x).grad_fn) is not type(before)
    assert type(F.hardsigmoid(x).grad_fn) is type(before)
