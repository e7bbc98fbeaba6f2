"""Max-sensitivity and the randomisation check: analytic models, captum, and an untouched model."""

from dataclasses import dataclass

import pytest
import torch
from captum.metrics import sensitivity_max
from torch import nn

from lookright.chance import image_chance
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM, InputGradient, SmoothGrad
from lookright.metrics import (
    cascade,
    max_sensitivity,
    randomisation_spearman,
    randomised,
)
from lookright.models import SmallResNet
from lookright.seeds import own_noise
from models_for_tests import SIZE, Smooth, Tiny, same_state, state_of, used

TARGET = torch.tensor([0, 1, 2, 1])


def images(count=4):
    return torch.rand(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3 * SIZE * SIZE, 3)

    def forward(self, x):
        return self.layer(x.flatten(1))


@dataclass(frozen=True)
class Brightness(Explainer):
    """Looks at the image and never at the model."""

    def __call__(self, model, x, y=None):
        return model(x).detach(), x.mean(1)


def test_the_gradient_of_a_linear_model_never_moves():
    assert max_sensitivity(Linear(), images(), InputGradient(), TARGET).tolist() == [0, 0, 0, 0]


def test_by_hand_for_a_map_that_is_the_image():
    """|mean over channels of d| / |mean over channels of x|, the largest of three draws."""
    x, radius = 0.3 + 0.4 * images(), 0.1
    draws = [radius * (2 * image_chance(x, x[0].numel(), 70 + n).view_as(x) - 1) for n in range(3)]
    lengths = torch.stack([d.mean(1).flatten(1).norm(dim=1) for d in draws]).amax(0)
    expected = lengths / x.mean(1).flatten(1).norm(dim=1)
    value = max_sensitivity(Linear(), x, Brightness(), TARGET, radius, 3)
    assert torch.allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("explainer", [InputGradient(), GradCAM()], ids=["gradient", "gradcam"])
def test_captums_sensitivity_on_the_same_perturbations(explainer):
    torch.manual_seed(0)
    model, x, radius, samples = Smooth().eval(), images(), 0.05, 6
    moved = torch.stack(
        [
            (x + radius * (2 * image_chance(x, x[0].numel(), 70 + n).view_as(x) - 1)).clamp(0, 1)
            for n in range(samples)
        ],
        1,
    ).flatten(0, 1)

    def explain(inputs, target):
        if isinstance(inputs, tuple):
            return (explain(inputs[0], target),)
        return explainer(model, inputs, target)[1].detach()

    reference = sensitivity_max(explain, x, lambda _: moved, radius, samples, "fro", target=TARGET)
    ours = max_sensitivity(model, x, explainer, TARGET, radius, samples, max_images=3)
    assert (ours > 0.01).all()
    assert torch.allclose(ours, reference, rtol=1e-4)


def test_more_samples_and_a_wider_radius_find_no_less():
    torch.manual_seed(0)
    model, x = Smooth().eval(), images()
    few, many = (max_sensitivity(model, x, InputGradient(), samples=n) for n in (2, 8))
    assert (many >= few).all()
    wide = max_sensitivity(model, x, InputGradient(), radius=0.1)
    assert (wide > many).all()
    assert max_sensitivity(model, x, InputGradient(), radius=0.0).tolist() == [0, 0, 0, 0]


def test_a_zero_explanation_is_not_divided():
    model = Linear()
    nn.init.zeros_(model.layer.weight)
    assert max_sensitivity(model, images(), InputGradient(), TARGET).tolist() == [0, 0, 0, 0]


@dataclass(frozen=True)
class Broken(Explainer):
    """Not finite where the image is brighter than it was."""

    def __call__(self, model, x, y=None):
        saliency = x.mean(1)
        saliency[saliency > 0.5] = torch.inf
        return model(x), saliency


def test_a_map_that_is_not_finite_counts_as_zero():
    at = torch.full((2, 3, SIZE, SIZE), 0.5)
    at[1] = 0.9
    value = max_sensitivity(Linear(), at, Broken(), TARGET[:2])
    assert value.tolist() == [1, 0]


def test_noise_of_the_explainers_own_is_no_change():
    torch.manual_seed(0)
    model, x, noisy = Smooth().eval(), images(), SmoothGrad(2, 0.3)
    assert max_sensitivity(model, x, noisy, radius=0.0, max_images=3).tolist() == [0, 0, 0, 0]
    torch.manual_seed(1)
    saliency = noisy(model, x, TARGET)[1].detach()
    after = torch.rand(1)
    torch.manual_seed(1)
    torch.rand(1000)
    kept = randomisation_spearman(model, x, saliency, noisy, TARGET)
    assert kept.tolist() == pytest.approx([1, 1, 1, 1])
    torch.manual_seed(1)
    noisy(model, x, TARGET)
    assert torch.rand(1) == after


def test_what_cannot_be_is_refused():
    for radius, samples in ((-0.1, 3), (0.1, 0)):
        with pytest.raises(UserError, match="at least"):
            max_sensitivity(Linear(), images(), InputGradient(), TARGET, radius, samples)


def test_an_explanation_that_ignores_the_weights_outlives_them():
    torch.manual_seed(0)
    model, x = Tiny().eval(), images()
    saliency = Brightness()(model, x)[1]
    kept = randomisation_spearman(randomised(model), x, saliency, Brightness(), TARGET)
    assert kept.tolist() == pytest.approx([1, 1, 1, 1])


def test_an_explanation_of_the_weights_does_not():
    torch.manual_seed(0)
    model, x = Linear(), images()
    saliency = InputGradient()(model, x, TARGET)[1].detach()
    kept = randomisation_spearman(randomised(model), x, saliency, InputGradient(), TARGET)
    assert (kept.abs() < 0.35).all()
    same = randomisation_spearman(model, x, saliency, InputGradient(), TARGET, max_images=3)
    assert same.tolist() == pytest.approx([1, 1, 1, 1])


class Scaled(nn.Module):
    """A parameter that no layer of PyTorch knows how to draw."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0, 1, 50))
        self.layer = nn.Linear(50, 2)


def test_every_weight_is_drawn_anew_by_the_seed_alone():
    torch.manual_seed(0)
    model = nn.Sequential(SmallResNet(3, 4), Scaled())
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(1, 2)
    with torch.random.fork_rng():
        one = randomised(model)
        state = torch.random.get_rng_state()
    torch.manual_seed(99)
    again, other = randomised(model), randomised(model, seed=1)
    assert torch.equal(torch.random.get_rng_state(), torch.manual_seed(99).get_state())
    assert state is not None
    changed = dict(one.named_parameters())
    for name, parameter in model.named_parameters():
        if "1.weight" in name or "1.bias" in name or parameter.unique().numel() == 1:
            continue  # BatchNorm starts at 1 and 0, where it was
        assert not torch.equal(parameter, changed[name]), name
    assert torch.equal(one[1].scale.sort().values, model[1].scale)
    norm = one[0].stem[1]
    assert norm.running_mean.tolist() == [0] * 4
    assert norm.running_var.tolist() == [1] * 4
    same = zip(one.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(one[0].head.weight, other[0].head.weight)


class Adapted(nn.Linear):
    """A layer whose `reset_parameters` knows nothing of what was added to it."""

    def __init__(self):
        super().__init__(4, 4)
        self.low, self.high = (nn.Parameter(torch.randn(4, 2)) for _ in range(2))


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.utils.weight_norm(nn.Linear(4, 4)),
        lambda: nn.utils.spectral_norm(nn.Linear(4, 4)),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)),
        Adapted,
    ],
    ids=["weight_norm", "spectral_norm", "weight_norm anew", "spectral_norm anew", "adapted"],
)
def test_no_trained_weight_is_left_by_a_layer_that_resets_others(make):
    layer = make()
    with torch.no_grad():
        layer(torch.rand(2, 4))
    trained = {name: value.clone() for name, value in layer.named_parameters()}
    for name, value in randomised(nn.Sequential(layer))[0].named_parameters():
        assert not torch.equal(value, trained[name]), name


def test_drawing_weights_anew_leaves_every_generator_as_it_was(monkeypatch):
    """torch.manual_seed would also seed accelerators, whose state nobody gives back."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: 1 / 0)
    model, before = SmallResNet(3, 4), torch.get_rng_state()
    randomised(model)
    with own_noise(torch.device("cpu"), 3):
        torch.rand(5)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.filterwarnings("ignore")  # TorchScript ends
def test_the_parameters_of_a_program_are_shuffled():
    model = SmallResNet(3, 4).train(False)
    program = torch.jit.script(model)
    kept = {name: value.clone() for name, value in program.state_dict().items()}
    changed = randomised(program).state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in program.state_dict().items())
    assert not torch.equal(changed["head.weight"], kept["head.weight"])
    flat = (weights["head.weight"].flatten().sort().values for weights in (changed, kept))
    assert torch.equal(*flat)


def test_the_cascade_goes_down_from_the_head():
    torch.manual_seed(0)
    model = Tiny()
    seen = {
        name: [
            other
            for other in ("head", "second", "first")
            if not torch.equal(copy.get_submodule(other).weight, model.get_submodule(other).weight)
        ]
        for name, copy in cascade(model)
    }
    assert list(seen) == ["head", "second", "norm", "first"]
    assert seen["head"] == ["head"]
    assert seen["second"] == seen["norm"] == ["head", "second"]
    assert seen["first"] == ["head", "second", "first"]


def test_the_model_comes_back_as_it_was():
    torch.manual_seed(0)
    model, x = used(Tiny()), images()
    before = state_of(model)
    max_sensitivity(model, x, GradCAM(), TARGET)
    random = randomised(model)
    with torch.no_grad():
        saliency = GradCAM()(model.eval(), x, TARGET)[1]
    used_again = {name: value for name, value in before.items() if name.endswith(" training")}
    for name, module in model.named_modules():
        module.training = used_again[f"{name} training"]
    randomisation_spearman(random, x, saliency, GradCAM(), TARGET)
    assert same_state(before, state_of(model))
