"""A steady class map bounds the change of the margin: docs/theory.md, on networks."""

import pytest
import torch
from torch import Tensor, nn

from lookright.distances import Correlation, RawL1
from lookright.explainers import GradCAM, MarginMap
from lookright.models import build_model

NETWORKS = ["small_resnet", "resnet10t", "torchvision/shufflenet_v2_x0_5"]
SIZE = 48


def network(name: str) -> nn.Module:
    torch.manual_seed(4)
    return build_model(name, ("a", "b", "c", "d"), SIZE).eval().double()


def images(seed: int, count: int = 4) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, SIZE, SIZE, generator=random, dtype=torch.float64)
    noise = torch.rand(x.shape, generator=random, dtype=torch.float64)
    return x, torch.lerp(
        x, noise, torch.logspace(-3, 0, count, dtype=torch.float64).view(-1, 1, 1, 1)
    )


def class_map(model: nn.Module, x: Tensor, k: Tensor) -> Tensor:
    """M_k in units of the logit."""
    with torch.no_grad():
        _, maps = GradCAM(relu=False)(model, x, k)
    return maps * maps[0].numel()


def margin(model: nn.Module, x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    with torch.no_grad():
        logits = model(x)
    return (logits.gather(1, y[:, None]) - logits.gather(1, r[:, None]))[:, 0]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_change_of_two_class_maps_bounds_that_of_the_margin(name: str) -> None:
    model, (x, changed) = network(name), images(0)
    for y, r in [(0, 1), (2, 3), (1, 3)]:
        y, r = torch.full((len(x),), y), torch.full((len(x),), r)
        left = (margin(model, changed, y, r) - margin(model, x, y, r)).abs()
        maps = {k: (class_map(model, x, k), class_map(model, changed, k)) for k in (y, r)}
        together = RawL1()(maps[y][1] - maps[r][1], maps[y][0] - maps[r][0])
        apart = sum(RawL1()(after, before) for before, after in maps.values())
        assert (left > 0).all()
        assert (left <= together * (1 + 1e-9)).all()
        assert (together <= apart * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_mean_of_a_class_map_is_its_logit_without_the_bias(name: str) -> None:
    model, (x, _) = network(name), images(1)
    bias = list(model.parameters())[-1].detach()
    with torch.no_grad():
        logits = model(x)
    for k in range(4):
        at = torch.full((len(x),), k)
        torch.testing.assert_close(class_map(model, x, at).mean((1, 2)), logits[:, k] - bias[k])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_margin_maps_change_bounds_the_margins_where_the_rival_stays(name: str) -> None:
    model, (x, changed) = network(name), images(2)
    y = torch.zeros(len(x), dtype=torch.int64)
    with torch.no_grad():
        before, after = MarginMap()(model, x, y), MarginMap()(model, changed, y)
    rivals = [logits[:, 1:].argmax(1) + 1 for logits in (before[0], after[0])]
    same = rivals[0] == rivals[1]
    left = (margin(model, changed, y, rivals[1]) - margin(model, x, y, rivals[0])).abs()
    bias = list(model.parameters())[-1].detach()
    slack = (bias[rivals[1]] - bias[rivals[0]]).abs()
    assert same.any()
    assert (slack[same] == 0).all()
    assert (left <= RawL1()(after[1], before[1]) * (1 + 1e-9) + slack).all()


@pytest.mark.parametrize("name", ["torchvision/densenet121", "torchvision/mobilenet_v3_small"])
def test_where_more_than_a_mean_and_a_linear_layer_follows_the_mean_is_no_logit(name: str) -> None:
    model, (x, _) = network(name), images(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    bias = list(model.parameters())[-1].detach()
    with torch.no_grad():
        model.train()(x)
        logits = model.eval()(x) - bias
    means = [class_map(model, x, torch.full((len(x),), k)).mean((1, 2)) for k in range(4)]
    error = (torch.stack(means, 1) - logits).abs().max()
    assert error > 0.01 * logits.abs().max()


def test_correlation_bounds_no_margin() -> None:
    """Maps that correlate perfectly, with margins as far apart as one likes."""
    model, (x, _) = network("small_resnet"), images(3)
    y, r = torch.zeros(len(x), dtype=torch.int64), torch.ones(len(x), dtype=torch.int64)
    maps, before = class_map(model, x, y), margin(model, x, y, r)
    with torch.no_grad():
        model.network.head.weight.mul_(100)
    assert (Correlation()(class_map(model, x, y), maps) < 1e-9).all()
    assert ((margin(model, x, y, r) - before).abs() > 10 * before.abs().min()).all()


class Common(nn.Module):
    """A pattern that all images share, and that adds as much to the logit of every class."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Conv2d(3, 4, 8, 8)
        self.joined = nn.Identity()
        self.head = nn.Linear(5, 3)
        with torch.no_grad():
            self.head.weight[:, 4] = weight

    def forward(self, x: Tensor) -> Tensor:
        seen = self.features(x)
        pattern = torch.linspace(-1, 2, seen[0, 0].numel()).view_as(seen[0, 0]).to(seen)
        together = torch.cat([seen, pattern.expand(len(x), 1, -1, -1)], 1)
        return self.head(self.joined(together).mean((2, 3)))


def test_what_all_logits_share_steadies_their_maps_and_not_the_centred_ones() -> None:
    without, with_it = Common(0).double(), Common(1e4).double()
    x, _ = images(6)
    y = without(x).argmax(1)
    torch.testing.assert_close(with_it(x).softmax(1), without(x).softmax(1))
    unrelated = x.flip(0)
    for explainer in (GradCAM("joined", relu=False), GradCAM("joined", relu=False, centred=True)):
        apart = {}
        for model in (without, with_it):
            with torch.no_grad():
                (_, one), (_, other) = explainer(model, x, y), explainer(model, unrelated, y)
            apart[model] = Correlation()(one, other)
        assert (apart[without] > 0.1).all()
        if explainer.centred:
            torch.testing.assert_close(apart[with_it], apart[without])
        else:
            assert (apart[with_it] < 1e-6).all()


class Hidden(nn.Module):
    """A hidden layer between the mean of the features and the logits: linear region by region."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3)
        self.hidden = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(self.features(x).mean((2, 3))).relu())

    def region(self, x: Tensor) -> Tensor:
        return self.hidden(self.features(x).mean((2, 3))) > 0


def test_a_head_that_is_linear_by_regions_keeps_the_bound_within_one() -> None:
    torch.manual_seed(0)
    model = Hidden().double()
    with torch.no_grad():
        model.features.weight.mul_(20)
    x = torch.rand(400, 3, 8, 8, dtype=torch.float64)
    changed = torch.rand(400, 3, 8, 8, dtype=torch.float64)
    y, r = torch.zeros(400, dtype=torch.int64), torch.ones(400, dtype=torch.int64)
    left = (margin(model, changed, y, r) - margin(model, x, y, r)).abs()
    right = sum(RawL1()(class_map(model, changed, k), class_map(model, x, k)) for k in (y, r))
    same = (model.region(x) == model.region(changed)).all(1)
    assert same.any()
    assert (left <= right * (1 + 1e-9))[same].all()


def test_a_head_that_is_linear_by_regions_can_break_it_between_two() -> None:
    """f_0 = relu(a) - 0.9 relu(a - 1): from a = 0.9 to 9 it doubles, and a f_0'(a) stays 0.9."""
    parts = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)
    model = nn.Sequential(nn.Conv2d(3, 1, 1), *parts).double()
    values = [10, 0, 0], [0], [1, 1], [0, -1], [1, -0.9, 0, 0], [0, 0]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.copy_(torch.tensor(value, dtype=torch.float64).view_as(parameter))
    x = torch.ones(1, 3, 4, 4, dtype=torch.float64)
    y, r = torch.tensor([0]), torch.tensor([1])
    with torch.no_grad():
        low, high = (GradCAM("0", relu=False)(model, each * x, y)[1] * 16 for each in (0.09, 0.9))
    torch.testing.assert_close(low, high)
    left = margin(model, 0.9 * x, y, r) - margin(model, 0.09 * x, y, r)
    assert left.item() == pytest.approx(0.9)
