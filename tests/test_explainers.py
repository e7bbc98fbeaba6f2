"""Laws of every explainer: one pass, finite, differentiable twice, the model untouched."""

import gc
import re
import resource
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from captum.attr import InputXGradient, LayerGradCam, Saliency
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from torch import Tensor, nn

from cases import ALL_EXPLAINERS, EXPLAINERS
from lookright.attacks import ExplanationAttack, ExplanationChange
from lookright.claims import Plan
from lookright.distances import KL
from lookright.errors import UserError
from lookright.evaluation import Protocol
from lookright.explainers import (
    Captum,
    Explainer,
    GradCAM,
    GradientTimesInput,
    InputGradient,
    IntegratedGradients,
    LogitExplainer,
    MarginMap,
    SmoothGrad,
)
from lookright.explainers.layers import find_layer
from lookright.methods import EGAT
from lookright.models import build_model
from lookright.verbs.explain import explain
from models_for_tests import (
    CLASSES,
    SIZE,
    Blocked,
    BrokenError,
    Counts,
    Fails,
    Flat,
    Mute,
    Smooth,
    Tiny,
    same_state,
    state_of,
    used,
)

every_explainer = pytest.mark.parametrize("explainer", EXPLAINERS.values(), ids=EXPLAINERS)
all_explainers = pytest.mark.parametrize("explainer", ALL_EXPLAINERS.values(), ids=ALL_EXPLAINERS)


def images(size: int = 4, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    x = torch.rand(size, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2), dtype=dtype)
    return x, torch.arange(size) % CLASSES


def at_layer(explainer: Explainer, layer: str) -> Explainer:
    """The explainer at that layer, if it is one of a layer."""
    if isinstance(explainer, GradCAM | MarginMap):
        return replace(explainer, layer=layer)
    return explainer


def detached(explainer: Explainer, model: nn.Module, x: Tensor, y: Tensor | None) -> list[Tensor]:
    with torch.no_grad():
        return list(explainer(model, x, y))


# --- What comes out --------------------------------------------------------------------------


@all_explainers
@pytest.mark.parametrize("network", [Smooth, Tiny])
def test_logits_and_a_map_that_is_finite_and_non_negative_unless_signed(
    explainer: Explainer, network: type[nn.Module]
) -> None:
    model, (x, y) = network().eval(), images()
    logits, saliency = detached(explainer, model, x, y)
    torch.testing.assert_close(logits, model(x).detach())
    assert saliency.ndim == 3
    assert len(saliency) == len(x)
    assert saliency.isfinite().all()
    assert explainer.signed or (saliency >= 0).all()
    assert not explainer.shown.signed
    assert (saliency.flatten(1).amax(1) > 0).any()
    assert not logits.requires_grad
    assert not saliency.requires_grad


@every_explainer
@pytest.mark.parametrize("where", ["first", "last", "function"])
def test_a_model_that_passes_no_gradient_on_has_an_empty_map(
    explainer: Explainer, where: str
) -> None:
    explainer = at_layer(explainer, "first")
    model, (x, y) = Blocked(where), images()
    logits, saliency = detached(explainer, model, x, y)
    torch.testing.assert_close(logits, model(x).detach())
    assert saliency.shape == (4, SIZE, SIZE)
    assert not saliency.any()
    assert not explainer(model, x, y)[1].any()


@every_explainer
def test_with_gradients_on_both_are_in_the_graph(explainer: Explainer) -> None:
    model, (x, y) = Smooth(), images()
    x.requires_grad_()
    for output in explainer(model, x, y):
        wanted = [x, *model.parameters()][:-1]  # the head's bias moves no saliency
        gradients = torch.autograd.grad(output.sum(), wanted, retain_graph=True)
        assert all(g.isfinite().all() for g in gradients)
        assert all(g.abs().sum() > 0 for g in gradients)


@every_explainer
def test_the_map_is_the_same_with_and_without_a_graph(explainer: Explainer) -> None:
    model, (x, y) = Tiny().double().eval(), images(dtype=torch.float64)
    torch.manual_seed(1)
    without = detached(explainer, model, x, y)
    torch.manual_seed(1)
    with_graph = explainer(model, x, y)
    for a, b in zip(without, with_graph, strict=True):
        torch.testing.assert_close(a, b.detach())


@all_explainers
def test_no_class_means_the_predicted_one(explainer: Explainer) -> None:
    model, (x, _) = Tiny().eval(), images()
    torch.manual_seed(1)
    unasked = detached(explainer, model, x, None)
    torch.manual_seed(1)
    asked = detached(explainer, model, x, model(x).argmax(1))
    for a, b in zip(unasked, asked, strict=True):
        torch.testing.assert_close(a, b)
    torch.manual_seed(1)
    others = detached(explainer, model, x, (model(x).argmax(1) + 1) % CLASSES)
    assert not torch.allclose(unasked[1], others[1])


@all_explainers
def test_a_batch_is_its_images_one_by_one(explainer: Explainer) -> None:
    model, (x, y) = Tiny().double().eval(), images(dtype=torch.float64)
    torch.manual_seed(3)
    whole = detached(explainer, model, x, y)
    for i in range(len(x)):
        torch.manual_seed(3)
        for a, b in zip(whole, detached(explainer, model, x[i : i + 1], y[i : i + 1]), strict=True):
            torch.testing.assert_close(a[i : i + 1], b)


@all_explainers
def test_a_model_that_sees_nothing_has_a_map_of_zeros(explainer: Explainer) -> None:
    logits, saliency = detached(explainer, Mute(), *images())
    assert not logits.any()
    assert not saliency.any()


@every_explainer
def test_a_map_of_zeros_has_a_finite_gradient(explainer: Explainer) -> None:
    model, (x, y) = Mute(), images()
    x.requires_grad_()
    explainer(model, x, y)[1].sum().backward()
    assert x.grad is None or x.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("layer", ["first", "norm", "relu", "second", "act"])
@pytest.mark.parametrize("graph", [False, True])
def test_what_follows_may_write_in_place(layer: str, graph: bool) -> None:
    model, (x, y) = Tiny().eval(), images()
    with torch.set_grad_enabled(graph):
        in_place = GradCAM(layer)(model, x, y)[1]
        model.relu = model.act = nn.ReLU(inplace=False)
        layer = {"act": "relu"}.get(layer, layer)
        if layer != "relu":
            torch.testing.assert_close(in_place, GradCAM(layer)(model, x, y)[1])
    assert in_place.sum() > 0


# --- One pass, and nothing left behind -------------------------------------------------------


@every_explainer
@pytest.mark.parametrize("graph", [False, True])
def test_one_forward_pass(explainer: Explainer, graph: bool) -> None:
    model, (x, y) = Counts(Tiny().eval()), images()
    if isinstance(explainer, GradCAM | MarginMap):
        if explainer.layer:
            explainer = at_layer(explainer, f"model.{explainer.layer}")
        explainer(model, x, y)  # finds the layer, once
        model.passes = 0
    with torch.set_grad_enabled(graph):
        explainer(model, x, y)
    assert model.passes == 1


@every_explainer
@pytest.mark.parametrize("train", [False, True])
def test_a_compiled_model_is_explained_and_trained_as_the_model_itself(
    explainer: Explainer, train: bool
) -> None:
    model, (x, y) = Tiny().train(train), images()
    explainer(model, x, y)  # finds the layer, once
    parameters = [each for each in model.parameters() if each.requires_grad]

    def gradients(of: nn.Module, by: Explainer) -> list[Tensor | None]:
        torch.manual_seed(0)
        logits, saliency = by(of, x, y)
        loss = saliency.square().sum() + logits.square().sum()
        return [saliency, *torch.autograd.grad(loss, parameters, allow_unused=True)]

    plain = gradients(model, explainer)
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager")
    layered = isinstance(explainer, GradCAM | MarginMap) and explainer.layer
    inside = at_layer(explainer, f"_orig_mod.{layered}") if layered else explainer
    inside(compiled, x, y)
    for one, other in zip(plain, gradients(compiled, inside), strict=True):
        assert (one is None and other is None) or torch.allclose(one, other, atol=1e-6)


class Again(nn.Module):
    """In training its last feature map is computed once more, for an auxiliary loss."""

    def __init__(self) -> None:
        super().__init__()
        self.tiny, self.auxiliary = Tiny(), None

    def forward(self, x: Tensor) -> Tensor:
        logits = self.tiny(x)
        if self.training:
            self.auxiliary = self.tiny(x.flip(3))
        return logits


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("explainer", [GradCAM(), GradCAM(relu=False), MarginMap()], ids=repr)
def test_a_layer_that_runs_once_more_in_training_has_the_map_of_the_answer(
    explainer: Explainer, graph: bool
) -> None:
    model, (x, y) = Again().eval(), images()
    with torch.set_grad_enabled(graph):
        _, expected = explainer(model, x, y)
        model.training = True
        _, saliency = explainer(model, x, y)
    assert expected.abs().amax() > 0
    assert torch.allclose(saliency, expected)


@all_explainers
def test_the_model_comes_back_to_the_bit(explainer: Explainer) -> None:
    model = used(Tiny()).eval()
    for index, module in enumerate(model.modules()):
        module.training = index % 2 == 0 and not isinstance(module, nn.BatchNorm2d)
    before = state_of(model)
    detached(explainer, model, *images())
    assert same_state(before, state_of(model))


@every_explainer
def test_with_gradients_on_too_and_training_mode_is_the_callers(explainer: Explainer) -> None:
    model = used(Tiny())
    before = state_of(model)
    explainer(model, *images())
    after = state_of(model)
    moved = {key for key in before if not same_state({key: before[key]}, {key: after[key]})}
    assert moved <= {f"norm.{b} buffer" for b in ("running_mean", "running_var")} | {
        "norm.num_batches_tracked buffer"
    }
    assert "norm.num_batches_tracked buffer" in moved


@all_explainers
@pytest.mark.parametrize("graph", [False, True])
def test_nothing_is_left_after_an_exception(explainer: Explainer, graph: bool) -> None:
    explainer = at_layer(explainer, "first")
    if isinstance(explainer, Captum) and graph:
        pytest.skip("refuses gradients")
    model = Fails(used(Tiny()), 1)
    before = state_of(model)
    with torch.set_grad_enabled(graph), pytest.raises(BrokenError):
        explainer(model, *images())
    assert same_state(before, state_of(model))


def test_finding_the_layer_leaves_nothing_after_an_exception() -> None:
    model = Fails(used(Tiny()), 1)
    before = state_of(model)
    with pytest.raises(BrokenError):
        GradCAM()(model, *images())
    assert same_state(before, state_of(model))


@all_explainers
def test_works_under_inference_mode(explainer: Explainer) -> None:
    model, (x, y) = Tiny().eval(), images()
    torch.manual_seed(1)
    expected = detached(explainer, model, x, y)
    torch.manual_seed(1)
    with torch.inference_mode():
        found = explainer(model, x * 1, y * 1)
        assert torch.is_inference_mode_enabled()
        assert not torch.is_grad_enabled()
        for a, b in zip(expected, found, strict=True):
            torch.testing.assert_close(a, b)


@every_explainer
def test_a_frozen_model_is_explained_and_differentiated(explainer: Explainer) -> None:
    model, (x, y) = Smooth().requires_grad_(False), images()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(explainer(model, x, y)[1].sum(), x)
    assert gradient.abs().sum() > 0


def test_ten_thousand_calls_leave_memory_where_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(2 * 4, 2))
    x, explain = torch.rand(1, 3, 4, 4), GradCAM("0")

    def run(times: int) -> tuple[int, int]:
        for _ in range(times):
            detached(explain, model, x, None)
            explain(model, x)
        gc.collect()
        return len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    objects, memory = run(500)
    later_objects, later_memory = run(4750)
    assert later_objects <= objects + 20
    assert later_memory <= memory + 4096  # KiB


# --- Differentiable twice --------------------------------------------------------------------


def of_pixels(explainer: Explainer, model: nn.Module, y: Tensor) -> Callable[[Tensor], Tensor]:
    def saliency(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return explainer(model, x, y)[1]

    return saliency


class Bright(nn.Module):
    """Smooth, with every feature and Grad-CAM weight above zero: away from the ReLU's corner."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softplus())
        self.head = nn.Linear(2, CLASSES)
        with torch.no_grad():
            self.head.weight.abs_().add_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).pow(3).mean((2, 3)))


@every_explainer
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_of_the_map_by_pixels(explainer: Explainer, check: Callable[..., bool]) -> None:
    model = Bright().double()
    x = torch.rand(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    assert check(of_pixels(explainer, model, torch.tensor([0, 2])), x, fast_mode=True)
    assert explainer.signed or of_pixels(explainer, model, torch.tensor([0, 2]))(x).min() > 1e-5


@every_explainer
@pytest.mark.parametrize("check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck])
def test_gradients_of_the_map_by_parameters(
    explainer: Explainer, check: Callable[..., bool]
) -> None:
    model = Bright().double()
    x, y = torch.rand(2, 3, 5, 5, dtype=torch.float64), torch.tensor([0, 2])
    names = [name for name, _ in model.named_parameters()]

    def saliency(*values: Tensor) -> Tensor:
        given = dict(zip(names, values, strict=True))
        torch.manual_seed(0)
        with torch.nn.utils.stateless._reparametrize_module(model, given):
            return explainer(model, x, y)[1]

    values = [p.detach().clone().requires_grad_() for p in model.parameters()]
    assert check(saliency, values, fast_mode=True)


def test_the_loss_of_a_saliency_moves_the_parameters_as_differences_say() -> None:
    """End to end, on a real network: autograd against a finite difference."""
    model = build_model("resnet10t", ("a", "b"), 32).double().eval()
    x, y = torch.rand(2, 3, 32, 32, dtype=torch.float64), torch.tensor([0, 1])
    parameter = model.get_parameter("network.layer3.0.conv1.weight")

    def loss() -> Tensor:
        return GradCAM()(model, x, y)[1].square().sum()

    (gradient,) = torch.autograd.grad(loss(), parameter)
    towards = torch.randn_like(parameter)
    step = 1e-6
    with torch.no_grad():
        parameter.add_(step * towards)
        up = detached(GradCAM(), model, x, y)[1].square().sum()
        parameter.sub_(2 * step * towards)
        down = detached(GradCAM(), model, x, y)[1].square().sum()
    expected = (up - down) / (2 * step)
    torch.testing.assert_close((gradient * towards).sum(), expected, rtol=1e-4, atol=1e-9)


# --- Against captum --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("torchvision/resnet18", "layer4"),
        ("torchvision/densenet121", "features"),
        ("torchvision/efficientnet_b0", "features"),
        ("efficientnet_lite0", "bn2"),
        ("mobilenetv3_small_050", "blocks"),
        ("small_resnet", "stages"),
    ],
)
@pytest.mark.parametrize("graph", [False, True])
def test_gradcam_agrees_with_captum(name: str, layer: str, graph: bool) -> None:
    torch.manual_seed(4)
    model = build_model(name, ("a", "b", "c"), 64).eval()
    with torch.no_grad():
        list(model.parameters())[-2].abs_()  # a head that finds the features good for its classes
    x, y = torch.rand(2, 3, 64, 64), torch.tensor([0, 2])
    reference = LayerGradCam(model, model.get_submodule(f"network.{layer}"))
    expected = reference.attribute(x.clone(), target=y, relu_attributions=True)[:, 0].detach()
    scale = expected.max()
    assert scale > 0
    with torch.set_grad_enabled(graph):
        for explainer in (GradCAM(), GradCAM(layer)):
            logits, saliency = explainer(model, x, y)
            torch.testing.assert_close(saliency / scale, expected / scale, atol=1e-5, rtol=0)
            torch.testing.assert_close(logits, model(x), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        list(model.parameters())[-2].neg_()
    signed = reference.attribute(x.clone(), target=y, relu_attributions=False)[:, 0].detach()
    _, saliency = detached(GradCAM(relu=False), model, x, y)
    assert signed.min() < 0
    torch.testing.assert_close(saliency / scale, signed / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "head"),
    [("small_resnet", "head"), ("resnet10t", "fc"), ("torchvision/resnet18", "fc")],
)
def test_the_margin_map_is_the_difference_of_two_class_activation_maps(
    name: str, head: str
) -> None:
    """CAM as in Zhou et al., from the features and the head's weights, for K given classes."""
    torch.manual_seed(4)
    model = build_model(name, ("a", "b", "c"), 64).eval().double()
    x, y = torch.rand(4, 3, 64, 64, dtype=torch.float64), torch.tensor([0, 2, 1, 0])
    linear, seen = model.network.get_submodule(head), {}
    find_layer(model, x).module.register_forward_hook(lambda m, i, o: seen.update(maps=o.detach()))
    logits, margin = detached(MarginMap(), model, x, y)
    cams = torch.einsum("kc,bchw->bkhw", linear.weight.detach(), seen["maps"])
    torch.testing.assert_close(cams.mean((2, 3)) + linear.bias, logits)
    for i, label in enumerate(y.tolist()):
        rival = max((k for k in range(3) if k != label), key=lambda k: float(logits[i, k]))
        torch.testing.assert_close(margin[i], cams[i, label] - cams[i, rival])
        one, its = x[i : i + 1], y[i : i + 1]
        _, alone = detached(GradCAM(relu=False), model, one, its)
        torch.testing.assert_close(alone[0] * alone[0].numel(), cams[i, label])
        _, centred = detached(GradCAM(relu=False, centred=True), model, one, its)
        torch.testing.assert_close(
            centred[0] * centred[0].numel(), cams[i, label] - cams[i].mean(0)
        )


def adding(shared: Callable[[Tensor, Tensor], Tensor]) -> nn.Module:
    """A model to whose logits the same is added, an amount that depends on the image."""
    torch.manual_seed(0)
    model = Tiny().double().eval()
    model.register_forward_hook(lambda m, x, logits: logits + shared(x[0], logits)[:, None])
    return model


@pytest.mark.parametrize("given", [True, False], ids=["label", "predicted"])
@pytest.mark.parametrize(
    "explainer",
    [each for each in EXPLAINERS.values() if isinstance(each, LogitExplainer)],
    ids=[name for name, each in EXPLAINERS.items() if isinstance(each, LogitExplainer)],
)
def test_centred_is_of_the_logit_less_the_mean_of_all_whatever_they_share(
    explainer: LogitExplainer, given: bool
) -> None:
    x, y = images(dtype=torch.float64)
    model = adding(lambda x, logits: logits.new_zeros(len(x)))
    apart = adding(lambda x, logits: -logits.mean(1))
    shared = adding(lambda x, logits: x.square().sum((1, 2, 3)))

    def of(explainer: Explainer, model: nn.Module) -> Tensor:
        torch.manual_seed(0)
        return detached(explainer, model, x, y if given else None)[1]

    named = at_layer(explainer, "first")
    assert isinstance(named, LogitExplainer)
    centred, plain = replace(named, centred=True), replace(named, centred=False)
    assert plain.of_answer == centred
    assert centred.of_answer is None
    torch.testing.assert_close(of(centred, model), of(plain, apart))
    torch.testing.assert_close(of(centred, shared), of(centred, model))
    assert not torch.allclose(of(plain, model), of(centred, model))


@pytest.mark.parametrize("explainer", [GradCAM("first", relu=False), MarginMap("first")], ids=repr)
def test_signed_maps_are_for_training_and_not_for_measures_and_pictures(
    explainer: Explainer,
) -> None:
    instead = re.escape(f"give {GradCAM('first')}")
    for take in (
        lambda: Protocol(explainer=explainer),
        lambda: Plan(explainer=explainer),
        lambda: ExplanationAttack(explainer=explainer),
        lambda: explain("small_resnet", [], explainer=explainer),
    ):
        with pytest.raises(UserError, match=instead):
            take()
    with pytest.raises(UserError, match=r"KL.* compares non-negative maps"):
        ExplanationChange(explainer, KL())
    with pytest.raises(UserError, match="compare those of GradCAM"):
        EGAT(Tiny(), explainer=explainer, distance=KL())
    assert EGAT(Tiny(), explainer=explainer.shown, distance=KL()).explainer == GradCAM("first")


@pytest.mark.parametrize(
    ("explainer", "attribute"),
    [
        (InputGradient(), lambda m, x, y: Saliency(m).attribute(x, target=y).abs().sum(1)),
        (
            GradientTimesInput(),
            lambda m, x, y: InputXGradient(m).attribute(x, target=y).sum(1).abs(),
        ),
        (
            IntegratedGradients(9, 0.25),
            lambda m, x, y: (
                CaptumIntegratedGradients(m)
                .attribute(x, 0.25, target=y, n_steps=9, method="riemann_middle")
                .sum(1)
                .abs()
            ),
        ),
    ],
    ids=["input_gradient", "gradient_times_input", "integrated_gradients"],
)
def test_pixel_explainers_agree_with_captum(
    explainer: Explainer, attribute: Callable[[nn.Module, Tensor, Tensor], Tensor]
) -> None:
    model, (x, y) = Smooth().double(), images(dtype=torch.float64)
    expected = attribute(model, x.clone().requires_grad_(), y).detach()
    torch.testing.assert_close(detached(explainer, model, x, y)[1], expected)


def test_integrated_gradients_are_complete() -> None:
    model, (x, y) = Smooth().double(), images(dtype=torch.float64)
    chosen = torch.arange(len(x))
    gap = (model(x) - model(torch.full_like(x, 0.5)))[chosen, y].detach()
    signed: list[Tensor] = []
    for k in range(200):
        z = (0.5 + (k + 0.5) / 200 * (x - 0.5)).requires_grad_()
        signed.append(torch.autograd.grad(model(z)[chosen, y].sum(), z)[0])
    mean = torch.stack(signed).mean(0)
    torch.testing.assert_close(((x - 0.5) * mean).sum((1, 2, 3)), gap, rtol=1e-3, atol=1e-4)
    saliency = detached(IntegratedGradients(200, 0.5), model, x, y)[1]
    torch.testing.assert_close(saliency, ((x - 0.5) * mean).sum(1).abs())


def test_smoothgrad_averages_the_gradients_of_noisy_copies() -> None:
    model, (x, y) = Smooth().double(), images(2, torch.float64)
    torch.manual_seed(5)
    noise = 0.15 * torch.randn(4, 1, *x.shape[1:], dtype=torch.float64)
    gradients = []
    for copy in noise:
        z = (x + copy).requires_grad_()
        gradients.append(torch.autograd.grad(model(z).gather(1, y[:, None]).sum(), z)[0])
    torch.manual_seed(5)
    saliency = detached(SmoothGrad(4, 0.15), model, x, y)[1]
    torch.testing.assert_close(saliency, torch.stack(gradients).mean(0).abs().sum(1))


def test_smoothgrad_without_noise_is_the_input_gradient() -> None:
    model, (x, y) = Smooth(), images()
    smooth = detached(SmoothGrad(3, 0.0), model, x, y)[1]
    torch.testing.assert_close(smooth, detached(InputGradient(), model, x, y)[1])


def test_captum_brings_its_layer_attributions_too() -> None:
    model, (x, y) = Tiny().eval(), images()
    explainer = Captum(lambda m: LayerGradCam(m, m.second), relu_attributions=True)
    torch.testing.assert_close(
        detached(explainer, model, x, y)[1], detached(GradCAM("second"), model, x, y)[1]
    )
    with pytest.raises(UserError, match="no_grad"):
        explainer(model, x, y)


# --- Architectures ---------------------------------------------------------------------------

LAYERS = {
    "small_resnet": "stages",
    "torchvision/resnet18": "layer4",
    "torchvision/densenet121": "features",
    "torchvision/efficientnet_b0": "features",
    "torchvision/mobilenet_v2": "features",
    "torchvision/mobilenet_v3_small": "features",
    "torchvision/regnet_y_400mf": "trunk_output",
    "torchvision/squeezenet1_1": "classifier.2",
    "torchvision/shufflenet_v2_x0_5": "conv5",
    "resnet10t": "layer4",
    "densenet121": "features",
    "vgg11": "features",
    "convnext_atto": "norm_pre",
    "efficientnet_lite0": "bn2",
    "mobilenetv3_small_050": "blocks",
    "regnety_002": "final_conv",
    "nfnet_l0": "final_act",
    "vit_tiny_patch16_224": "blocks.11.norm1",
    "deit_tiny_distilled_patch16_224": "blocks.11.norm1",
    "swin_tiny_patch4_window7_224": "norm",
    "torchvision/vit_b_32": "encoder.layers.encoder_layer_11.ln_1",
    "torchvision/swin_t": "norm",
}
GRIDS = {
    "small_resnet": 16,
    "torchvision/squeezenet1_1": 3,
    "vit_tiny_patch16_224": 4,
    "deit_tiny_distilled_patch16_224": 4,
}
TWICE = LAYERS.keys() - {"vgg11"}
"""Without one that is too large."""


@pytest.mark.parametrize(("name", "layer"), LAYERS.items(), ids=LAYERS)
def test_the_last_feature_map_is_found(name: str, layer: str) -> None:
    model = build_model(name, ("a", "b"), 64).eval()
    x = torch.rand(1, 3, 64, 64)
    assert find_layer(model, x).module is model.get_submodule(f"network.{layer}")
    side = GRIDS.get(name, 2)
    assert detached(GradCAM(), model, x, None)[1].shape == (1, side, side)


@pytest.mark.parametrize(
    "name",
    [
        "resnet10t",
        "densenet121",
        "vgg11",
        "convnext_atto",
        "efficientnet_lite0",
        "mobilenetv3_small_050",
        "regnety_002",
        "nfnet_l0",
    ],
)
def test_a_map_of_more_places_is_the_end_of_the_last_stage_that_has_them(name: str) -> None:
    model = build_model(name, ("a", "b"), 64).eval()
    x = torch.rand(1, 3, 64, 64)
    stage = next(each for each in model.network.feature_info if each["reduction"] == 16)
    right = detached(GradCAM(stage["module"]), model, x, None)[1]
    assert right.shape == (1, 4, 4)
    for places in (3, 4):
        found = find_layer(model, x, places).module
        assert found is model.network.get_submodule(stage["module"])
        torch.testing.assert_close(detached(GradCAM(places=places), model, x, None)[1], right)
    assert find_layer(model, x).module is model.get_submodule(f"network.{LAYERS[name]}")
    assert detached(GradCAM("network." + LAYERS[name], places=4), model, x, None)[1].shape[1] == 2


def test_no_map_of_the_first_quarter_is_taken_for_its_places() -> None:
    model = build_model("efficientnet_lite0", ("a", "b"), 64).eval()
    x = torch.rand(1, 3, 64, 64)
    for places in (16, 100):  # 16 x 16 are those of blocks.1, of seven
        assert find_layer(model, x, places).module is find_layer(model, x).module


@pytest.mark.parametrize("name", sorted(TWICE))
def test_gradcam_is_differentiable_twice(name: str) -> None:
    model = build_model(name, ("a", "b"), 64).eval()
    head = list(model.parameters())[-2]
    with torch.no_grad():  # opposite classes: what has no saliency for one has it for the other
        head[0].normal_()
        head[1] = -head[0]
    x = torch.rand(1, 3, 64, 64).repeat(2, 1, 1, 1).requires_grad_()
    y = torch.tensor([0, 1])
    saliency = GradCAM()(model, x, y)[1]
    (gradient,) = torch.autograd.grad(saliency.sum(), x, create_graph=True)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    (curvature,) = torch.autograd.grad(gradient.square().sum(), x)
    assert curvature.isfinite().all()
    found = detached(GradCAM(), model, x.detach(), y)[1]
    torch.testing.assert_close(found, saliency.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "torchvision/mobilenet_v3_small",
        "lcnet_050",
    ],
)
@pytest.mark.parametrize("explainer", [InputGradient(), IntegratedGradients(2)])
def test_attention_and_hard_sigmoids_have_two_gradients(name: str, explainer: Explainer) -> None:
    model = build_model(name, ("a", "b"), 32).eval()
    x, y = torch.rand(1, 3, 32, 32), torch.tensor([1])
    explainer(model, x, y)[1].sum().backward()
    assert sum(p.grad.abs().sum() for p in model.parameters() if p.grad is not None) > 0


def test_another_size_of_image_finds_its_own_layer() -> None:
    model = build_model("torchvision/resnet18", ("a", "b"), 32).eval()
    assert find_layer(model, torch.rand(1, 3, 64, 64)).module is model.network.layer4
    assert find_layer(model, torch.rand(1, 3, 32, 32)).module is model.network.layer3


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ("secnd", "Did you mean 'second'"),
        ("head", "feature map"),
        ("drop", "feature map"),
    ],
)
def test_a_wrong_layer_is_mended(layer: str, says: str) -> None:
    model = used(Tiny()).eval()
    before = state_of(model)
    with torch.no_grad(), pytest.raises(UserError, match=says) as raised:
        GradCAM(layer)(model, *images())
    assert "\n" not in str(raised.value)
    assert same_state(before, state_of(model))


def test_a_layer_that_does_not_run_is_named() -> None:
    model = Smooth()
    model.idle = nn.Conv2d(3, 3, 1)
    with pytest.raises(UserError, match="not run"):
        GradCAM("idle")(model, *images())


def test_a_model_without_a_feature_map_says_which_layers_it_has() -> None:
    with pytest.raises(UserError, match=r"layer=.*hidden, head") as raised:
        GradCAM()(Flat(), *images())
    assert "\n" not in str(raised.value)


def test_a_grid_of_ones_own_lays_out_any_tokens() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 4, 4, 4)
            self.mix = nn.Linear(4, 4)
            self.head = nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.mix(self.patch(x).flatten(2).transpose(1, 2))
            return self.head(tokens.tanh().mean(1))

    def grid(tokens: Tensor) -> Tensor:
        return tokens.transpose(1, 2).unflatten(2, (3, 3))

    assert GradCAM("mix", grid)(Tokens(), *images())[1].shape == (4, 3, 3)
    with pytest.raises(UserError, match="feature map"):
        GradCAM("mix")(Tokens(), *images())


@pytest.mark.parametrize(
    "make",
    [
        lambda: IntegratedGradients(0),
        lambda: SmoothGrad(0),
        lambda: SmoothGrad(sigma=-1),
    ],
)
def test_bad_settings(make: Callable[[], Explainer]) -> None:
    with pytest.raises(UserError, match="at least 1"):
        make()
