"""The methods that compare domains, and RSC: against their formulas and against DomainBed."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import METHODS, batch
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.methods import CORAL, IRM, RSC, GroupDRO, Method, Mixup, VREx
from lookright.methods.domains import by_domain
from lookright.methods.method import smoothed_labels
from lookright.methods.mixup import Beta
from models_for_tests import Smooth

COMPARING = {"mixup": Mixup, "irm": IRM, "groupdro": GroupDRO, "vrex": VREx, "coral": CORAL}
every_comparing = pytest.mark.parametrize("make", COMPARING.values(), ids=COMPARING)


class Given(nn.Module):
    """The logits that it is told, whatever the images."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.double())

    def forward(self, x: Tensor) -> Tensor:
        return self.logits[: len(x)]


class Features(nn.Module):
    """Features that are the image's pixels (B, C), and a linear head."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.head = nn.Linear(weight.shape[1], weight.shape[0], bias=False).to(weight)
        self.head.weight.data = weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1))


def of_domains(domains: list[int], labels: list[int], images: Tensor | None = None) -> Batch:
    if images is None:
        images = torch.zeros(len(labels), 3, 2, 2, dtype=torch.float64)
    return Batch(images, torch.tensor(labels), torch.tensor(domains))


def pixels(features: list[list[float]]) -> Tensor:
    """Images (B, C, 1, 1) for `Features`."""
    return torch.tensor(features, dtype=torch.float64)[:, :, None, None]


def loss_of(method: Method, data: Batch) -> Tensor:
    return torch.stack([*method(data).values()]).sum()


def certain(*risks: float) -> Tensor:
    """Two logits for each risk, of which the cross-entropy of label 0 is that risk."""
    return torch.tensor([[-math.log(math.expm1(risk)), 0.0] for risk in risks]).double()


# --- Against DomainBed -----------------------------------------------------------------------

DOMAINBED = {
    "mixup": [1.16036303, 1.13671964, 1.119657, 1.10642375],
    "irm": [22.54883874, 13.86946376, 9.27304392, 6.91974582],
    "groupdro": [1.33860738, 1.28769234, 1.2525821, 1.22460813],
    "vrex": [2.21090487, 1.87026355, 1.61534089, 1.44210677],
    "coral": [1.34613543, 1.29483948, 1.25823327, 1.22802765],
    "rsc": [1.37698425, 1.3227618, 1.27820015, 1.24054403],
}
"""The losses of its first steps (b93c22a, default hyperparameters, lr 0.01, Adam just begun) on the
data and network below, in float64; of IRM and VREx after their annealing, of Mixup with lam 0.3."""


def always(monkeypatch: pytest.MonkeyPatch, lam: float) -> None:
    """In the place of Mixup's Beta distribution: lam."""
    monkeypatch.setattr(Beta, "sample", lambda self, shape: torch.full(shape, lam))


@pytest.mark.parametrize("name", DOMAINBED)
def test_training_goes_as_in_domainbed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 0.3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    at = 0
    for parameter in model.parameters():
        wave = torch.arange(at, at + parameter.numel(), dtype=torch.float64)
        parameter.data = 0.5 * (1.7 * wave).sin().view_as(parameter)
        at += parameter.numel()
    n = 5 * (2 if name == "mixup" else 3)
    number = torch.arange(n)
    x = (0.9 * torch.arange(n * 12, dtype=torch.float64) ** 1.1).sin().abs().view(n, 3, 2, 2)
    data = Batch(x, (number**2 + number // 3) % 3, number // 5)
    method = {**COMPARING, "rsc": RSC}[name](model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for expected in DOMAINBED[name]:
        loss = loss_of(method, data)
        assert loss.item() == pytest.approx(expected, abs=2e-8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


# --- Against the formulas --------------------------------------------------------------------


def test_vrex_is_the_mean_and_the_variance_of_the_risks() -> None:
    method = VREx(Given(certain(0.5, 0.7, 2.0)), penalty=10.0)
    terms = method(of_domains([4, 4, 1], [0, 0, 0]))
    assert terms["clean"].item() == pytest.approx((0.6 + 2.0) / 2)
    assert terms["variance"].item() == pytest.approx(10 * 0.7**2)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_irms_penalty_is_the_product_of_the_halves_slopes(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(7, 3, generator=generator, dtype=torch.float64)
    data = of_domains([0, 2, 0, 2, 0, 2, 2], [0, 1, 2, 0, 1, 2, 0])
    method = IRM(Given(logits), penalty=100.0)
    with smoothed_labels(method, smoothing):
        terms = method(data)

    def loss(of: Tensor, index: list[int]) -> Tensor:
        return F.cross_entropy(of, data.labels[index], label_smoothing=smoothing)

    def gradient(index: list[int]) -> Tensor:
        scale = torch.ones((), dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(loss(scale * logits[index], index), scale)[0]

    first, second = gradient([0, 4]) * gradient([2]), gradient([1, 5]) * gradient([3, 6])
    torch.testing.assert_close(terms["invariance"], 100 * (first + second) / 2)
    risks = [loss(logits[index], index) for index in ([0, 2, 4], [1, 3, 5, 6])]
    torch.testing.assert_close(terms["clean"], (risks[0] + risks[1]) / 2)


@pytest.mark.parametrize(("make", "term"), [(IRM, "invariance"), (VREx, "variance")])
def test_the_penalty_weighs_1_until_the_warm_up_is_over(
    make: Callable[..., Method], term: str
) -> None:
    method = make(Given(certain(0.1, 0.2, 2.0, 3.0)), penalty=50.0, warm_up=0.25)
    data = of_domains([0, 0, 1, 1], [0, 0, 0, 0])
    whole = method(data)[term].item()
    method.progress = 0.25
    assert method(data)[term].item() == whole
    method.progress = 0.24
    assert method(data)[term].item() == pytest.approx(whole / 50)
    assert make(Given(certain(1.0))).warm_up == 0.1


def test_groupdros_weights_grow_with_the_risks_by_the_domains_number() -> None:
    method = GroupDRO(Given(certain(1.0, 3.0)), rate=0.1)
    data = of_domains([4, 1], [0, 0])
    for step in range(1, 4):
        q = torch.tensor([0, math.exp(0.3 * step), 0, 0, math.exp(0.1 * step)]).double()
        q /= q.sum()
        terms = method(data)
        torch.testing.assert_close(method.q, q)
        assert terms["clean"].item() == pytest.approx((3 * q[1] + q[4]).item())


def test_groupdros_weights_stay_in_evaluation_mode() -> None:
    method = GroupDRO(Given(certain(1.0, 3.0)))
    data = of_domains([0, 1], [0, 0])
    method(data)
    before = method.q.clone()
    method.eval()(data)
    assert torch.equal(method.q, before)


def test_a_domain_that_comes_later_has_the_mean_weight_and_those_away_keep_theirs() -> None:
    method = GroupDRO(Given(certain(1.0, 1.0)), rate=0.1)
    method(of_domains([0, 1], [0, 0]))
    method(of_domains([1, 3], [0, 0]))
    grown = torch.tensor([0.5, 0.5 * math.exp(0.1), 0, 0.5 * math.exp(0.1)]).double()
    torch.testing.assert_close(method.q, grown / grown.sum())


def test_groupdros_weights_go_where_the_method_goes() -> None:
    method = GroupDRO(Given(certain(1.0, 3.0)))
    data = of_domains([0, 2], [0, 0])
    method(data)
    assert method.log_q.dtype == torch.float64
    other = GroupDRO(Given(certain(1.0, 3.0))).double()
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.q, method.q)
    assert torch.equal(loss_of(other, data), loss_of(method, data))
    assert method.to("meta").log_q.device.type == "meta"


def test_coral_compares_means_and_covariances_of_the_features_entering_the_head() -> None:
    weight = torch.eye(2, dtype=torch.float64)
    x = (
        pixels([[0, 0], [1, 1], [2, 0], [1, 3]]) / 4
    )  # means (1, 0) and (1, 2), variances of 2 in one
    two = of_domains([0, 7, 0, 7], [0, 0, 1, 1], x)
    terms = CORAL(Features(weight), penalty=0.5)(two)
    assert terms["alignment"].item() == pytest.approx(0.5 * (4 / 2 / 4**2 + 8 / 4 / 4**4))
    losses = F.cross_entropy(x.flatten(1), two.labels, reduction="none")
    assert terms["clean"].item() == pytest.approx(losses.mean().item())
    more = pixels([[0, 0], [2, 0]]) / 4  # as domain 0: one pair of three without a gap
    three = of_domains([0, 7, 0, 7, 8, 8], [0] * 6, torch.cat([x, more]))
    terms = CORAL(Features(weight))(three)
    assert terms["alignment"].item() == pytest.approx(2 * (4 / 2 / 4**2 + 8 / 4 / 4**4) / 3)


def test_mixup_mixes_images_and_losses_of_two_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 0.3)
    x = pixels([[1, 2], [5, 1], [3, 4], [0, 7], [6, 6]]) / 7
    data = of_domains([1, 0, 1, 0, 0], [0, 1, 1, 0, 1], x)  # the last has no partner
    weight = torch.tensor([[1.0, -0.5], [0.2, 0.3]]).double()

    def of(first: int, second: int) -> Tensor:
        logits = ((0.3 * x[first] + 0.7 * x[second]).flatten() @ weight.T).expand(2, 2)
        labels = data.labels[[first, second]]
        losses = F.cross_entropy(logits, labels, reduction="none")
        return 0.3 * losses[0] + 0.7 * losses[1]

    expected = (of(1, 0) + of(3, 2) + of(0, 1) + of(2, 3)) / 4
    torch.testing.assert_close(Mixup(Features(weight))(data)["mixup"], expected)


def test_mixups_pairs_weigh_alike_whatever_their_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    always(monkeypatch, 0.5)
    x = pixels([[1, 0], [5, 0], [3, 0], [0, 1], [6, 0]]) / 6
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    loss = Mixup(Features(weight))(of_domains([0, 1, 1, 2, 2], [0] * 5, x))["mixup"]

    def of(first: int, second: int) -> Tensor:
        return F.cross_entropy((x[first] + x[second]).flatten()[None] / 2, torch.tensor([0]))

    torch.testing.assert_close(loss, (of(0, 1) + of(0, 3) + (of(1, 3) + of(2, 4)) / 2) / 3)


def test_mixup_mixes_every_domain_with_another_in_changing_pairs() -> None:
    seen: list[Tensor] = []

    class Looks(Features):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach().flatten(1))
            return super().forward(x)

    x = pixels([[1, 0, 0], [0, 1, 0], [0, 0, 1]] * 2)
    data = of_domains([0, 1, 2] * 2, [0, 1, 0] * 2, x)
    method = Mixup(Looks(torch.ones(2, 3).double()), concentration=1.0)
    partners = set()
    for _ in range(8):
        method(data)
        mixed = seen.pop()
        assert mixed.shape == (6, 3)
        torch.testing.assert_close(mixed.sum(1), torch.ones(6).double())
        assert ((mixed > 0).sum(1) == 2).all()  # two domains in each, lam strictly between
        assert ((mixed > 0).sum(0) == 4).all()  # each domain twice as often as it has images
        partners.add(tuple(mixed[0].gt(0).tolist()))
    assert len(partners) > 1
    strengths = torch.cat([(method(data), seen.pop().amax(1))[1] for _ in range(50)])
    assert strengths.unique().numel() > 50


@pytest.mark.parametrize("width", range(3, 20))
@pytest.mark.parametrize("images", [3, 4, 8, 10])
def test_rsc_mutes_as_the_percentiles_of_its_paper_say(width: int, images: int) -> None:
    generator = torch.Generator().manual_seed(width)
    weight = torch.randn(3, width, generator=generator)
    z = torch.rand(images, width, generator=generator)
    y = torch.arange(images) % 3
    gradient = weight[y]
    kept = gradient < torch.tensor(np.percentile(gradient, 200 / 3, axis=1)).float()[:, None]
    rows = torch.arange(images)
    before, after = (z @ weight.T).softmax(1), ((z * kept) @ weight.T).softmax(1)
    fall = (before - after)[rows, y]
    spared = fall < torch.tensor(np.percentile(fall, 200 / 3)).float()
    expected = F.cross_entropy((z * (kept | spared[:, None])) @ weight.T, y)
    data = Batch(z[:, :, None, None], y)
    torch.testing.assert_close(RSC(Features(weight))(data)["muted"], expected)


def test_rsc_by_hand() -> None:
    weight = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.1, 0.0, 0.0, 1.0]])[:, :, None, None]
    data = Batch(x, torch.tensor([0, 0]))
    # Of each the first two features are muted; only in the first image does it cost much.
    expected = (math.log1p(math.exp(-1.0)) + math.log1p(math.exp(-0.3))) / 2
    loss = RSC(Features(weight), images=0.4)(data)["muted"]
    assert loss.item() == pytest.approx(expected)


def test_rsc_mutes_one_logit_as_the_two_of_its_classes() -> None:
    weight, x = torch.tensor([[0.7, -0.4, 0.2]]).double(), torch.rand(6, 3, 1, 1).double()
    data = Batch(x, torch.tensor([0, 1, 0, 1, 1, 0]))
    two = torch.cat([-weight / 2, weight / 2])
    one = RSC(Features(weight))
    with pytest.warns(UserWarning, match="one logit"):
        one.give_logits(1, like=x)
    expected = RSC(Features(two))(data)["muted"]
    torch.testing.assert_close(one(data)["muted"], expected)


# --- What they refuse ------------------------------------------------------------------------


def test_only_rsc_does_without_domains() -> None:
    needing = {name for name, make in METHODS.items() if make(Smooth()).needs_domains}
    assert needing == {*COMPARING}
    one = batch()
    for data in (replace(one, domains=None), replace(one, domains=torch.full((6,), 3))):
        torch.manual_seed(1)
        assert loss_of(RSC(Smooth()), data) > 0


@every_comparing
def test_a_batch_without_two_domains_is_refused(make: Callable[[nn.Module], Method]) -> None:
    method, data = make(Smooth()), batch()
    name = make.__name__
    with pytest.raises(UserError, match=f"{name} compares domains, but the batch does not say"):
        method(replace(data, domains=None))
    with pytest.raises(UserError, match=f"{name} compares domains, .* got 6 of one: balance"):
        method(replace(data, domains=torch.full((6,), 3)))


@every_comparing
def test_domains_of_uneven_size_are_compared_where_that_can_be(
    make: Callable[[nn.Module], Method],
) -> None:
    method, data = make(Smooth()), batch()
    assert loss_of(method, replace(data, domains=torch.tensor([9, 9, 0, 0, 0, 0]))).isfinite()
    lonely = replace(data, domains=torch.tensor([0, 0, 0, 0, 9, 0]))
    if make in (IRM, CORAL):
        with pytest.raises(UserError, match=r"needs 2 images or more .* got 1 of domain 9"):
            method(lonely)
    else:
        assert loss_of(method, lonely).isfinite()


def test_the_images_of_each_domain_are_found_by_its_number() -> None:
    members = by_domain(of_domains([5, 2, 5, 0, 2], [0] * 5), "this")
    assert {number: index.tolist() for number, index in members.items()} == {
        0: [3],
        2: [1, 4],
        5: [0, 2],
    }
    assert all(one < other for one, other in pairwise(members))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: IRM(Smooth(), penalty=-1.0), "penalty.*0 or more"),
        (lambda: IRM(Smooth(), warm_up=1.0), "share of training.*1.0"),
        (lambda: VREx(Smooth(), penalty=float("nan")), "penalty.*0 or more"),
        (lambda: VREx(Smooth(), warm_up=-0.1), "share of training.*-0.1"),
        (lambda: CORAL(Smooth(), penalty=-1.0), "penalty.*0 or more"),
        (lambda: GroupDRO(Smooth(), rate=0.0), "rate must be above 0"),
        (lambda: Mixup(Smooth(), concentration=0.0), "concentration must be above 0"),
        (lambda: RSC(Smooth(), features=1.0), "features is a share.*1.0"),
        (lambda: RSC(Smooth(), images=0.0), "images is a share.*0.0"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Method], said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()
