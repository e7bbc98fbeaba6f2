"""Maps in training mode, of networks with BatchNorm behind the explained layer."""

import pytest
import torch
from torch import nn

from lookright.batch import Batch
from lookright.explainers import (
    GradCAM,
    GradientTimesInput,
    InputGradient,
    IntegratedGradients,
    MarginMap,
    SmoothGrad,
)
from lookright.methods import RRR
from lookright.modes import averaging_no_statistics

FEATURES = [GradCAM("first", relu=False), GradCAM("first"), MarginMap("first")]
PIXELS = [InputGradient(), GradientTimesInput(), IntegratedGradients(3), SmoothGrad(3)]
MAPS = [*FEATURES, *PIXELS]


class Normed(nn.Module):
    """A map, then a layer with BatchNorm over its places, and one over the means of images."""

    def __init__(self, classes: int = 3, affine: bool = True) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, 2, 1)
        self.second = nn.Conv2d(4, 5, 3, 1, 1)
        self.norm = nn.BatchNorm2d(5, affine=affine)
        self.neck = nn.BatchNorm1d(5, momentum=None)
        self.head = nn.Linear(5, classes)

    def forward(self, x):
        x = self.norm(self.second(self.first(x).tanh())).tanh()
        return self.head(self.neck(x.mean((2, 3))))


def with_noise(explainer, model, x, y):
    torch.manual_seed(3)
    return explainer(model, x, y)[1]


def scene(dtype=torch.float32, affine=True, n=6):
    torch.manual_seed(0)
    model = Normed(affine=affine).to(dtype).train()
    return model, torch.rand(n, 3, 8, 8, dtype=dtype), torch.arange(n) % 3


@pytest.mark.parametrize("explainer", MAPS, ids=str)
def test_a_map_does_not_depend_on_the_classes_of_other_images(explainer):
    model, x, y = scene()
    first, others = (
        with_noise(explainer, model, x, classes)
        for classes in (y, torch.cat([y[:1], (y[1:] + 1) % 3]))
    )
    torch.testing.assert_close(first[0], others[0])
    assert not torch.allclose(first[1], others[1], atol=1e-3)


def with_statistics_kept(model, affine=True):
    """The same network, of which every layer normalises by what it is given, as a constant."""
    kept = Normed(affine=affine).double().eval()
    kept.load_state_dict(model.state_dict())

    def keep(module, inputs):
        values = inputs[0].detach().movedim(1, 0).flatten(1)
        module.running_mean.copy_(values.mean(1))
        module.running_var.copy_(values.var(1, correction=0))

    for module in (kept.norm, kept.neck):
        module.register_forward_pre_hook(keep)
    return kept


@pytest.mark.parametrize("explainer", [*FEATURES, *PIXELS[:2]], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_it_is_the_map_with_the_statistics_of_the_batch_kept(explainer, affine):
    model, x, y = scene(torch.float64, affine)
    logits, saliency = explainer(model, x, y)
    as_kept, expected = explainer(with_statistics_kept(model, affine), x, y)
    torch.testing.assert_close(logits, as_kept)
    torch.testing.assert_close(saliency, expected)
    assert float(saliency.detach().abs().amax()) > 1e-3


def test_the_gradients_that_rrr_penalises_are_those_of_single_images():
    model, x, y = scene(torch.float64)
    masks = (torch.rand(len(x), 1, 8, 8) > 0.5).double()
    found = RRR(model, reasons=1.0)(Batch(x, y, masks=masks))["reasons"]
    kept = with_statistics_kept(model)
    pixels = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(kept(pixels).log_softmax(1).sum(), pixels)
    expected = ((1 - masks) * gradient).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("explainer", [MAPS[0], MAPS[2], *PIXELS], ids=str)
def test_gradients_of_the_map_know_that_the_statistics_change(explainer):
    model, x, y = scene(torch.float64, n=4)

    def saliency(images):
        with averaging_no_statistics(model):
            return with_noise(explainer, model, images, y)

    assert torch.autograd.gradcheck(saliency, (x.requires_grad_(),))


def test_the_pass_is_that_of_the_model_itself():
    model, x, y = scene(torch.float64)
    plain = Normed().double().train()
    plain.load_state_dict(model.state_dict())
    logits, _ = GradCAM("first")(model, x, y)
    expected = plain(x)
    torch.testing.assert_close(logits, expected)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, msg=name)
    for network, of in ((model, logits), (plain, expected)):
        nn.functional.cross_entropy(of, y).backward()
        assert network.first.weight.grad is not None
    torch.testing.assert_close(model.first.weight.grad, plain.first.weight.grad)


def test_a_batch_of_one_class_keeps_its_maps():
    """A gradient through the statistics of the neck has no part that all images share."""
    model, x, y = scene()
    mixed, alike = (GradCAM("second")(model, x, of)[1].detach().amax() for of in (y, 0 * y))
    assert float(alike) > 0.1 * float(mixed)


def test_in_mixed_precision_the_statistics_are_computed_in_full():
    model, x, y = scene()
    full = GradCAM("first")(model, x, y)[1]
    with torch.autocast("cpu", torch.bfloat16):
        half = GradCAM("first")(model, x, y)[1]
    torch.testing.assert_close(
        half.float(), full, rtol=0.1, atol=0.02 * float(full.detach().amax())
    )


def test_one_value_for_each_channel_is_refused_as_torch_refuses_it():
    model, x, y = scene(n=1)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        GradCAM("first")(model, x, y)
