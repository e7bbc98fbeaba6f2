"""The features that enter the head are found in any network, and nothing is left behind."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import batch
from lookright.errors import UserError
from lookright.methods import CORAL, RSC, Method
from lookright.methods.head import Head, change_features
from lookright.models import build_model
from models_for_tests import SIZE, BrokenError, Fails, Flat, Tiny, same_state, state_of


class Disorderly(nn.Module):
    """Layers in another order than they run, a dead one last, and logits scaled after the head."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.first = nn.Conv2d(3, 4, 3)
        self.unused = nn.Linear(4, 9)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.head(self.first(x).relu().mean((2, 3)))


class Auxiliary(Disorderly):
    """Another linear layer runs after the head, for a loss of its own."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x).relu().mean((2, 3))
        logits = self.head(features).tanh_()
        self.other = self.unused(features)
        return logits


def built(name: str) -> Callable[[], nn.Module]:
    return lambda: build_model(name, ("a", "b", "c"), 32)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, bool]] = {
    "tiny": (Tiny, 8, True),
    "flat": (Flat, 8, True),
    "disorderly": (Disorderly, 4, False),
    "auxiliary": (Auxiliary, 4, False),
    "compiled": (lambda: torch.compile(Tiny(), backend="aot_eager"), 8, True),
    "small_resnet": (built("small_resnet"), 64, True),
    "timm-cnn": (built("mobilenetv3_small_050"), 1024, True),
    "timm-vit": (built("vit_tiny_patch16_224"), 192, True),
    "torchvision-linear": (built("torchvision/resnet18"), 512, True),
    "torchvision-convolution": (built("torchvision/squeezenet1_1"), 512, False),
}
"""Each with the width of its features, and whether the head's output are the logits."""

OF_12_PX = ("tiny", "flat", "disorderly", "auxiliary", "compiled")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_features_that_enter_the_head_of_any_network(name: str) -> None:
    make, width, is_last = NETWORKS[name]
    model = make().eval()
    x = torch.rand(2, 3, *((12, 12) if name in OF_12_PX else (64, 64)))
    x = x if "vit" not in name else x[..., :32, :32]
    seen: list[Tensor] = []

    def look(head: Head, features: Tensor) -> Tensor:
        seen.extend([head.pooled(features), head.scores(features)])
        return features

    before = state_of(model)
    logits = change_features(model, x, look)
    assert same_state(before, state_of(model))
    assert torch.equal(logits, model(x))
    features, scores = seen
    assert features.shape == (2, width)
    assert scores.shape == logits.shape
    assert torch.equal(scores, logits) == is_last
    changed = change_features(model, x, lambda head, features: features + 1)
    assert not torch.allclose(changed, logits)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("make", [CORAL, RSC])
def test_methods_that_read_features_train_any_network(
    name: str, make: Callable[[nn.Module], Method]
) -> None:
    network = NETWORKS[name][0]().double()
    data = batch(dtype=torch.float64)
    if name not in OF_12_PX:
        data = replace(data, images=F.interpolate(data.images, size=(32, 32)))
    terms = make(network)(data)
    torch.stack([*terms.values()]).sum().backward()
    moved = [p for p in network.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert all(term.isfinite() for term in terms.values())
    assert len(moved) > 0.9 * sum(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize("make", [CORAL, RSC])
@pytest.mark.parametrize("at", [1, 2])
def test_a_network_that_fails_keeps_no_hook(make: Callable[[nn.Module], Method], at: int) -> None:
    model = Fails(Tiny(), at)  # in the search for the head, then in the pass itself
    before, method = state_of(model), make(model)
    method.tried = True
    with pytest.raises(BrokenError):
        method(batch())
    assert same_state(before, state_of(model))


class Mean(nn.Module):
    """Logits without a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize("make", [CORAL, RSC])
def test_a_network_without_a_head_is_one_clear_error(make: Callable[[nn.Module], Method]) -> None:
    with pytest.raises(UserError, match=r"come from none in Mean: make its head an nn\.Linear"):
        make(Mean())(batch())


def test_a_head_that_does_not_run_in_training_mode_is_an_error() -> None:
    class Moody(Flat):
        def forward(self, x: Tensor) -> Tensor:
            return self.hidden(x.flatten(1))[:, :3] if self.training else super().forward(x)

    with pytest.raises(UserError, match="head, does not run in training mode"):
        CORAL(Moody())(batch())


@pytest.mark.parametrize("make", [CORAL, RSC])
def test_a_network_of_two_heads_is_refused(make: Callable[[nn.Module], Method]) -> None:
    model = build_model("deit_tiny_distilled_patch16_224", ("a", "b", "c"), SIZE)
    with pytest.raises(UserError, match=r"one head; this has head and head_dist.*head_lr"):
        make(model)(batch())
