"""Laws of every method: finite named terms, gradients for the model alone, and a falling loss."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cases import DISTANCES, METHODS, batch
from lookright.attacks import PGD, Attack
from lookright.distances import L1, Correlation, Cosine, Distance
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient
from lookright.guides import CleanExplanation, HumanMask, mixup
from lookright.guides.mixup import Mixed, mixed_explanation_gap, same_class_pairs
from lookright.methods.at import AT
from lookright.methods.awp import AWP
from lookright.methods.egat import EGAT
from lookright.methods.erm import ERM
from lookright.methods.method import Method, smoothed_labels
from lookright.methods.trades import TRADES
from models_for_tests import Smooth, Tiny, same_state, state_of

Make = Callable[[nn.Module], Method]
every_method = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)


def loss_of(method: Method, data: object = None) -> Tensor:
    terms = method(data if data is not None else batch())
    return torch.stack(list(terms.values())).sum()


def without_dropout(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


@every_method
def test_named_terms_are_finite_scalars(make: Make) -> None:
    method = make(Tiny())
    terms = method(batch())
    assert terms
    for name, term in terms.items():
        assert name.isidentifier()
        assert term.shape == ()
        assert term.isfinite()
        assert term >= 0 or name == "invariance"  # IRM's: a square, estimated without bias
    assert sum(terms.values()) > 0


@every_method
def test_a_head_that_begins_at_zero_is_trained(make: Make) -> None:
    """As of weights of other classes, whose head is left out."""
    model = without_dropout(Tiny())
    nn.init.zeros_(model.head.weight)
    nn.init.zeros_(model.head.bias)
    loss_of(make(model)).backward()
    assert model.head.weight.grad.abs().sum() > 0


@every_method
def test_sure_answers_in_half_precision_give_a_finite_loss_and_gradient(make: Make) -> None:
    model = without_dropout(Tiny())
    nn.init.normal_(model.head.weight, std=300)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(make(model))
    loss.backward()
    assert loss.isfinite()
    assert all(of.grad.isfinite().all() for of in model.parameters() if of.grad is not None)


@every_method
@pytest.mark.parametrize(
    ("field", "wrong", "mend"),
    [
        ("images", lambda x: x * 255, "divide them by 255"),
        ("images", lambda x: (x * 255).byte(), "floating"),
        ("images", lambda x: (x - 0.5) / 0.2, "inside the model"),
        ("images", lambda x: x * float("nan"), "NaN"),
        ("masks", lambda m: m * 255, "divide them by 255"),
        ("masks", lambda m: m[:, 0], "floating"),
    ],
)
def test_a_first_batch_of_other_values_is_refused(make: Make, field, wrong, mend) -> None:
    told = batch()
    with pytest.raises(UserError, match=f"the {field} of a batch.*{mend}"):
        make(Tiny())(replace(told, **{field: wrong(getattr(told, field))}))


@every_method
def test_smoothed_labels_change_the_terms_that_ask_for_the_right_answer(make: Make) -> None:
    asking = {"clean", "adversarial", "mixed", "mixup", "muted", "variance", "invariance"}
    found = []
    for share in (0.0, 0.3):
        torch.manual_seed(0)
        method = make(Tiny())
        with smoothed_labels(method, share):
            found.append(method(batch()))
        assert {each.label_smoothing for each in method.modules() if isinstance(each, Method)} == {
            0.0
        }
    hard, smooth = found
    changed = {name for name in hard if not torch.equal(hard[name], smooth[name])}
    assert changed & asking
    assert changed <= asking or isinstance(method, AWP)  # whose weights follow the whole loss


def test_smoothed_labels_are_the_label_and_a_share_of_all_classes() -> None:
    method, data = ERM(without_dropout(Tiny())), batch()
    with smoothed_labels(method, 0.2):
        smooth = method(data)["clean"]
    log_p = method.model(data.images).log_softmax(1)
    label = F.one_hot(data.labels, log_p.shape[1])
    target = 0.8 * label + 0.2 / log_p.shape[1]
    torch.testing.assert_close(smooth, -(target * log_p).sum(1).mean())


@every_method
def test_gradients_reach_every_parameter_and_nothing_else(make: Make) -> None:
    model, data = Tiny(), batch()
    method = make(model)
    own = {id(parameter) for parameter in model.parameters()}
    masker = [parameter for parameter in method.parameters() if id(parameter) not in own]
    terms = method(data)
    assert bool(masker) == ("masker" in terms)
    if masker:
        terms.pop("masker").backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        for parameter in masker:
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            assert parameter.grad.abs().sum() > 0
            parameter.grad = None
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is None for parameter in masker)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()
        if name != "first.bias":  # undone by BatchNorm
            assert parameter.grad.abs().sum() > 0, name
    assert data.images.grad is None
    assert not data.images.requires_grad


@every_method
def test_a_frozen_part_stays_out_of_it(make: Make) -> None:
    model = Tiny()
    model.first.requires_grad_(False)
    loss_of(make(model)).backward()
    assert model.first.weight.grad is None
    assert model.head.weight.grad is not None


@every_method
@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_the_callers(make: Make, training: bool) -> None:
    method = make(Tiny()).train(training)
    own = {f"{name} buffer" for name, _ in method.named_buffers() if not name.startswith("model.")}
    before = state_of(method)
    loss_of(method)
    after = state_of(method)
    moved = {key for key in before if not same_state({key: before[key]}, {key: after[key]})}
    if training:
        assert {key.rpartition(".")[2] for key in moved - own} == {
            "running_mean buffer",
            "running_var buffer",
            "num_batches_tracked buffer",
        }
    else:
        assert not moved


@every_method
def test_attack_passes_are_not_counted_by_batchnorm(make: Make) -> None:
    model = Tiny()
    loss_of(make(model))
    # ERM and AT see one batch; the others see the clean and the attacked one, together or in turn.
    assert model.norm.num_batches_tracked is not None
    assert 1 <= model.norm.num_batches_tracked <= 2


@every_method
def test_the_loss_falls(make: Make) -> None:
    torch.manual_seed(0)
    model, data = Tiny(), batch(12)
    stain = F.one_hot(data.labels, 3).float()[:, :, None, None]  # the class is a colour
    data = replace(data, images=0.7 * data.images + 0.3 * stain)
    method = make(without_dropout(model))
    optimizer = torch.optim.Adam(method.parameters(), 1e-2)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = loss_of(method, data)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


@every_method
def test_one_seed_gives_one_loss(make: Make) -> None:
    model = Tiny()

    def run(seed: int) -> tuple[Tensor, list[Tensor]]:
        method = make(copy.deepcopy(model))
        torch.manual_seed(seed)
        loss = loss_of(method)
        loss.backward()
        return loss, [p.grad for p in method.parameters() if p.grad is not None]

    first, gradients = run(1)
    second, again = run(1)
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert not torch.equal(first, run(2)[0])


class Even:
    """In the place of a Beta distribution: half of each."""

    def __init__(self, a: float, b: float) -> None:
        pass

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        return torch.full(shape, 0.5)


@every_method
def test_float32_is_near_float64(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Smooth()
    # A random start is drawn anew in another type, so both begin from where the attack is told.
    method = make(model)
    if isinstance(method.attack, PGD):
        if method.attack.objective == PGD().objective:
            method.attack = replace(method.attack, random_start=False)
        else:
            method.attack = replace(method.attack, eps=0.0)
    monkeypatch.setattr(mixup, "Beta", Even)
    precise = copy.deepcopy(method).double()
    torch.manual_seed(3)
    terms = method(batch())
    torch.manual_seed(3)
    exact = precise(batch(dtype=torch.float64))
    for name in terms:
        torch.testing.assert_close(terms[name].double(), exact[name], rtol=1e-3, atol=1e-5)


# --- What each one says ----------------------------------------------------------------------


class Shift(Attack):
    """An attack with a known answer: brighter by eps."""

    def __init__(self, eps: float = 0.1) -> None:
        self.eps = eps

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        return (x + self.eps).clamp(0, 1)


def test_erm_is_the_cross_entropy() -> None:
    model, data = Smooth(), batch()
    terms = ERM(model)(data)
    torch.testing.assert_close(terms["clean"], F.cross_entropy(model(data.images), data.labels))
    assert ERM(model).attack is None


def test_at_is_the_cross_entropy_at_the_attacks_output() -> None:
    model, data = Smooth(), batch()
    attacked = (data.images + 0.1).clamp(0, 1)
    terms = AT(model, Shift())(data)
    assert list(terms) == ["adversarial"]
    torch.testing.assert_close(terms["adversarial"], F.cross_entropy(model(attacked), data.labels))


def test_trades_is_equation_5() -> None:
    model, data = Smooth().double(), batch(dtype=torch.float64)
    p = model(data.images).softmax(1)
    q = model((data.images + 0.1).clamp(0, 1)).softmax(1)
    rows = torch.arange(len(data))
    terms = TRADES(model, Shift(), beta=4.0)(data)
    assert list(terms) == ["clean", "stability"]
    torch.testing.assert_close(terms["clean"], -p[rows, data.labels].log().mean())
    torch.testing.assert_close(terms["stability"], 4 * (p * (p / q).log()).sum(1).mean())


def test_egat_is_its_terms() -> None:
    model, data = Smooth().double(), batch(dtype=torch.float64)
    attacked, y = (data.images + 0.1).clamp(0, 1), data.labels
    explain, distance = InputGradient(), Cosine()
    terms = EGAT(model, Shift(), explain, distance, clean=0.5, stability=2.0)(data)
    torch.testing.assert_close(terms["adversarial"], F.cross_entropy(model(attacked), y))
    torch.testing.assert_close(terms["clean"], 0.5 * F.cross_entropy(model(data.images), y))
    moved = distance(explain(model, attacked, y)[1], explain(model, data.images, y)[1])
    torch.testing.assert_close(terms["explanation"], 2 * moved.mean())


def test_egats_defaults_correlate_centred_class_maps_before_the_relu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mixup, "Beta", Even)
    model, data = Smooth().double(), batch(dtype=torch.float64)
    x, y = data.images, data.labels
    attacked = (x + 0.1).clamp(0, 1)

    def class_map(z: Tensor, labels: Tensor) -> Tensor:
        features = model.second(torch.tanh(3 * model.first(z - 0.5)))
        centred = model.head.weight[labels] - model.head.weight.mean(0)
        weights = centred * features.sigmoid().mean((2, 3))
        return torch.einsum("bc,bchw->bhw", weights, features)

    def apart(maps: Tensor, others: Tensor) -> Tensor:
        pairs = zip(maps.flatten(1), others.flatten(1), strict=True)
        return torch.stack([1 - torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]).mean()

    terms = EGAT(model, Shift(), stability=2.0, mixup=3.0)(data)
    clean = class_map(x, y)
    torch.testing.assert_close(terms["explanation"], 2 * apart(class_map(attacked, y), clean))
    low, high = clean.amin((1, 2), keepdim=True), clean.amax((1, 2), keepdim=True)
    scaled = (clean - low) / (high - low)
    mixed = class_map((x[:3] + x[3:]) / 2, y[:3])
    torch.testing.assert_close(terms["mixup"], 3 * apart(mixed, (scaled[:3] + scaled[3:]) / 2))


def test_egat_without_its_weights_is_at() -> None:
    model, data = Smooth(), batch()
    terms = EGAT(model, Shift(), clean=0.0, stability=0.0)(data)
    torch.testing.assert_close(sum(terms.values()), AT(model, Shift())(data)["adversarial"])


def test_egats_explanation_moves_the_model_and_only_where_it_is_not_detached() -> None:
    model, data = Smooth(), batch()

    def gradient(detach: bool) -> Tensor:
        method = EGAT(model, Shift(), GradCAM(), Cosine(), CleanExplanation(detach))
        (found,) = torch.autograd.grad(method(data)["explanation"], model.first.weight)
        return found

    both, one = gradient(False), gradient(True)
    assert both.abs().sum() > 0
    assert one.abs().sum() > 0
    assert not torch.allclose(both, one)


def test_egats_explanation_is_held_still_after_the_warm_up_alone() -> None:
    method = EGAT(Smooth(), Shift(), guide=CleanExplanation(warm_up=0.5))
    method.progress = 0.49
    assert "explanation" not in method(batch())
    method.progress = 0.5
    assert method(batch())["explanation"] > 0
    with pytest.raises(UserError, match=r"warm_up is a share in \[0, 1\), got 1"):
        CleanExplanation(warm_up=1.0)


def test_egat_guided_by_masks_leaves_out_images_without_one() -> None:
    model, data = Smooth(), batch()
    method = EGAT(model, Shift(), guide=HumanMask())
    assert data.masks is not None
    assert data.has_mask is not None
    term = method(data)["explanation"]
    noise = torch.rand_like(data.masks)
    unknown = torch.where(data.has_mask.view(-1, 1, 1, 1), data.masks, noise)
    torch.testing.assert_close(method(replace(data, masks=unknown))["explanation"], term)
    known = torch.where(data.has_mask.view(-1, 1, 1, 1), noise, data.masks)
    assert not torch.allclose(method(replace(data, masks=known))["explanation"], term)
    none = replace(data, has_mask=torch.zeros_like(data.has_mask))
    with pytest.warns(UserWarning, match="None of the 6 images"):
        assert method(none)["explanation"] == 0
    with pytest.raises(UserError, match="masks"):
        method(replace(data, masks=None, has_mask=None))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TRADES(Smooth(), beta=-1.0),
        lambda: EGAT(Smooth(), clean=-1.0),
        lambda: EGAT(Smooth(), stability=float("nan")),
    ],
)
def test_negative_weights_are_refused(make: Callable[[], Method]) -> None:
    with pytest.raises(UserError, match="0 or more"):
        make()


def test_pairs_are_of_one_class_and_disjoint() -> None:
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 0, 2, 0, 3])
    first, second = same_class_pairs(labels)
    assert torch.equal(labels[first], labels[second])
    members = torch.cat([first, second])
    assert len(members.unique()) == len(members)
    assert labels[first].bincount(minlength=4).tolist() == [2, 0, 2, 0]
    for few in (torch.tensor([1]), torch.tensor([0, 1, 2]), torch.empty(0, dtype=torch.int64)):
        assert same_class_pairs(few)[0].numel() == 0


def test_pairs_of_any_batch_are_as_many_as_can_be() -> None:
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 4, (seed,), generator=generator)
        first, second = same_class_pairs(labels)
        assert len(first) == int((labels.bincount() // 2).sum())
        assert torch.equal(labels[first], labels[second])
        assert len(torch.cat([first, second]).unique()) == 2 * len(first)


def test_the_mixup_gap_is_zero_for_maps_that_mix_as_the_images_do_and_counts_what_does_not() -> (
    None
):
    maps = torch.tensor([[[0.0, 4.0]], [[2.0, 0.0]]])  # min-max: (0, 1) and (1, 0)
    at = torch.tensor([0]), torch.tensor([1])
    mixed = Mixed(torch.tensor([0]), *at, torch.tensor([0.25]))
    of_mixed = torch.tensor([[[9.0, 1.0]]])  # min-max (1, 0), where it should be (0.75, 0.25)
    assert mixed_explanation_gap(mixed, of_mixed, maps, L1()) == 0.25
    assert mixed_explanation_gap(mixed, of_mixed.flip(2), maps, L1()) == 0.75
    assert mixed_explanation_gap(mixed, of_mixed, maps, Correlation()) == pytest.approx(0, abs=1e-6)
    assert mixed_explanation_gap(mixed, of_mixed.flip(2), maps, Correlation()) == pytest.approx(2)
    alone = Mixed(mixed.labels[:0], at[0][:0], at[1][:0], mixed.lam[:0])
    assert mixed_explanation_gap(alone, maps[:0], maps, L1()) == 0
    assert mixed_explanation_gap(alone, maps[:0], maps, Correlation()) == 0


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_the_mixup_gap_is_of_normalised_maps_whatever_the_distance(distance: Distance) -> None:
    generator = torch.Generator().manual_seed(0)
    maps, of_mixed = (torch.rand(n, 4, 5, generator=generator, dtype=torch.float64) for n in (2, 1))
    mixed = Mixed(*(torch.tensor([each]) for each in (0, 0, 1)), torch.tensor([0.3]))
    found = mixed_explanation_gap(mixed, 5 + 2 * of_mixed, 1 + 3 * maps, distance)
    torch.testing.assert_close(found, mixed_explanation_gap(mixed, of_mixed, maps, distance))


class Recomputed(Smooth):
    """A network that computes its features once more in the backward pass."""

    grad_checkpointing = False

    def _features(self, x: Tensor) -> Tensor:
        return F.softplus(self.second(torch.tanh(3 * self.first(x - 0.5))))

    def forward(self, x: Tensor) -> Tensor:
        if self.grad_checkpointing:
            x = checkpoint(self._features, x, use_reentrant=False)
        else:
            x = self._features(x)
        return 10 * self.head(x.mean((2, 3)))


@every_method
def test_gradient_checkpointing_changes_no_gradient_or_is_refused(make: Make) -> None:
    torch.manual_seed(0)
    network, found = Recomputed(), []
    for switched in (False, True):
        method = make(copy.deepcopy(network))
        method.model.grad_checkpointing = switched
        torch.manual_seed(1)
        if switched and method.keeps_graph:
            with pytest.raises(UserError, match=r"gradient checkpointing.*set_grad_checkpointing"):
                loss_of(method)
            return
        loss_of(method).backward()
        found.append([parameter.grad for parameter in method.model.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
