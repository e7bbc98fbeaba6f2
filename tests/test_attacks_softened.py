"""Every ReLU is smooth while it is softened, and nothing else changes."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import create_act_layer
from torch import nn

from lookright.attacks.softened import Softened
from models_for_tests import Tiny, same_state, state_of, used

BETA = 8.0
X = torch.linspace(-3, 8, 34, dtype=torch.float64)


def between(low, high):
    return lambda x: low + F.softplus(x - low, BETA) - F.softplus(x - high, BETA)


def leaky(gradient):
    return lambda x: gradient * x + (1 - gradient) * F.softplus(x, BETA)


def in_place(function, *arguments):
    """What stands in x after a call whose answer is not used."""

    def run(x):
        x = x.clone()
        function(x, *arguments)
        return x

    return run


def exported(module):
    return torch.export.export(nn.Sequential(module), (X.clone(),)).module()


RELU, RELU6 = (lambda x: F.softplus(x, BETA)), between(0, 6)

ACTIVATIONS = {
    "module": (nn.ReLU(), RELU),
    "module in place": (in_place(nn.ReLU(inplace=True)), RELU),
    "function": (F.relu, RELU),
    "function in place": (in_place(F.relu, True), RELU),
    "function_": (in_place(F.relu_), RELU),
    "torch": (torch.relu, RELU),
    "torch_": (in_place(torch.relu_), RELU),
    "method": (lambda x: x.relu(), RELU),
    "method_": (in_place(lambda x: x.relu_()), RELU),
    "timm": (create_act_layer("relu"), RELU),
    "exported": (exported(nn.ReLU()), RELU),
    "exported in place": (lambda x: exported(nn.ReLU(inplace=True))(x.clone()), RELU),
    "relu6": (F.relu6, RELU6),
    "relu6 module": (nn.ReLU6(), RELU6),
    "relu6 in place": (in_place(nn.ReLU6(inplace=True)), RELU6),
    "relu6 timm": (create_act_layer("relu6"), RELU6),
    "relu6 exported": (exported(nn.ReLU6()), RELU6),
    "hardtanh": (nn.Hardtanh(), between(-1, 1)),
    "hardtanh_": (in_place(F.hardtanh_, -0.5, 2.0), between(-0.5, 2)),
    "leaky": (nn.LeakyReLU(), leaky(0.01)),
    "leaky_": (in_place(F.leaky_relu_, 0.2), leaky(0.2)),
    "leaky exported": (exported(nn.LeakyReLU(0.3)), leaky(0.3)),
}


@pytest.mark.parametrize(("activation", "smooth"), ACTIVATIONS.values(), ids=ACTIVATIONS)
def test_it_is_softplus_inside_and_itself_again_outside(activation, smooth):
    before = activation(X.clone())
    with Softened(BETA):
        softened = activation(X.clone())
    torch.testing.assert_close(softened, smooth(X))
    assert (softened - before).abs().max() > 0.05
    assert torch.equal(activation(X.clone()), before)


@pytest.mark.parametrize("activation", [pair[0] for pair in ACTIVATIONS.values()], ids=ACTIVATIONS)
def test_its_gradient_has_a_gradient(activation):
    x = X.clone().requires_grad_()
    with Softened(BETA):
        y = activation(x * 1)
    (gradient,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    assert second.abs().max() > 0.1
    assert second.isfinite().all()


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Softplus(), nn.ELU()])
def test_smooth_activations_stay(activation):
    with Softened(BETA):
        assert torch.equal(activation(X), activation(X.clone()))
        inside = activation(X)
    assert torch.equal(inside, activation(X))


def test_a_sharp_softplus_is_the_network_itself():
    model, x = Tiny().eval(), torch.rand(2, 3, 12, 12)
    with torch.no_grad():
        plain = model(x)
        with Softened(1e4):
            sharp = model(x)
        with Softened(1.0):
            soft = model(x)
    torch.testing.assert_close(sharp, plain, atol=1e-3, rtol=0)
    assert not torch.allclose(soft, plain, atol=1e-2)


def test_the_model_stays_as_it_is_after_an_exception_too():
    model = used(Tiny()).eval()
    before = state_of(model)
    with pytest.raises(RuntimeError), Softened(BETA):
        model(torch.rand(2, 5, 12, 12))
    assert same_state(before, state_of(model))
    assert F.relu(torch.tensor(-1.0)) == 0
