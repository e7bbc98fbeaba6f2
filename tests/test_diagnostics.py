"""Diagnostics: masked models are suspect, honest ones are not, and the page says which is which."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from lookright.attacks import L2, PGD, Ball, LInf
from lookright.diagnostics import Diagnosis, Diagnostic
from lookright.diagnostics.diagnostic import clearly
from lookright.diagnostics.trajectory import log_odds
from lookright.errors import UserError
from models_for_tests import (
    Blocked,
    BrokenError,
    Fails,
    Mute,
    Overflows,
    fragile,
    same_state,
    state_of,
    used,
)
from tiny import Blobs, tiny_classifier

CHECKS = (
    "gradients",
    "saturation",
    "steps",
    "black box",
    "one step",
    "radius",
    "randomness",
    "batch",
)


class Rounded(nn.Module):
    """A quantised input layer of 16 levels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x * 16).round() / 16)


class Cut(Rounded):
    """A layer that passes no gradient on."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.detach())


class Saturated(Rounded):
    """Logits so far apart that the others' probabilities are 0 in float32."""

    def forward(self, x: Tensor) -> Tensor:
        return 100 * self.model(x)


class Sure(Rounded):
    """Logits so far apart that p_y is 1 in float32, and the others' are not 0."""

    def forward(self, x: Tensor) -> Tensor:
        return 10 * self.model(x)


class Undefined(Rounded):
    """The root of zero has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + (x - x).sum((1, 2, 3)).sqrt()[:, None]


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


class Misleading(Rounded):
    """A gradient that leads downhill."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(_Reversed.apply(x))


class Noisy(Rounded):
    """Noise at inference."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + 0.005 * torch.randn_like(x))


class Together(Rounded):
    """The mean of the batch counts."""

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x + 0.5 * (x.mean(0) - 0.5))


class OwnMode(nn.Module):
    """BatchNorm in training mode, whatever the mode it is put in."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        self.model[2].train()
        return self.model(x)


class Slope(nn.Module):
    """Two classes, right by `height` of how far the difference of two channels is from 0.3."""

    def __init__(self, height: Callable[[Tensor], Tensor], pool: str = "mean") -> None:
        super().__init__()
        self.height, self.pool = height, pool

    def forward(self, x: Tensor) -> Tensor:
        gap = (x[:, 0] - x[:, 1]).flatten(1)
        right = self.height(0.3 - (gap.mean(1) if self.pool == "mean" else gap.amax(1)))
        return torch.stack((right, -right), 1)


def valley(moved: Tensor) -> Tensor:
    """A small step meets a wall that one large step jumps over."""
    before = torch.where(moved < 0.01, 1 - moved / 0.02, moved / 0.02)
    return torch.where(moved < 0.038, before, -1 + 0 * moved)


def pit(moved: Tensor) -> Tensor:
    """Wrong at one distance only, and the gradient leads beyond it."""
    return torch.where((moved > 0.03) & (moved < 0.05), -moved, 1 - moved)


def late(moved: Tensor) -> Tensor:
    """Of the highest pixel alone, so that one falls at a step, and ever steeper."""
    return 4 - 5e-4 * (200 * (moved + 0.04)).exp()


def near(moved: Tensor) -> Tensor:
    """Wrong from 0.02 on."""
    return 100 * (0.02 - moved)


def alike(n: int = 40, size: int = 8) -> tuple[Tensor, Tensor]:
    """Images of class 0 whose first channel is 0.3 above the second."""
    x = torch.full((n, 3, size, size), 0.5)
    x[:, 0], x[:, 1] = 0.65, 0.35
    return x, torch.zeros(n, dtype=torch.int64)


def trained(model: nn.Module, x: Tensor, y: Tensor, eps: float = 0, steps: int = 30) -> nn.Module:
    optimizer = torch.optim.Adam(model.train().parameters(), 1e-2)
    for _ in range(steps):
        z = PGD(eps, 3)(model, x, y) if eps else x
        optimizer.zero_grad()
        F.cross_entropy(model(z), y).backward()
        optimizer.step()
    return model.eval()


def without_statistics(model: nn.Module) -> nn.Module:
    model[2].track_running_stats = False
    model[2].running_mean = model[2].running_var = None
    return model


Planted = tuple[nn.Module, Tensor, Tensor]


def masked(mask: Callable[[nn.Module], nn.Module]) -> Callable[[], Planted]:
    """What is done to a model that is always right, and wrong at every image under attack."""

    def made() -> Planted:
        model, x, y = fragile()
        return mask(model).eval(), x, y

    return made


MASKED: Mapping[str, tuple[Callable[[], Planted], str]] = {
    "not masked": (masked(lambda model: model), ""),
    "quantised input layer": (masked(Rounded), "gradients"),
    "layer without gradient": (masked(Cut), "gradients"),
    "root of zero": (masked(Undefined), "gradients"),
    "saturated logits": (masked(Saturated), "saturation"),
    "ever steeper gradient": (lambda: (Slope(late, "max"), *alike()), "steps"),
    "reversed gradient": (lambda: (Misleading(Slope(near)), *alike()), "black box"),
    "wall across the gradient": (lambda: (Slope(valley), *alike()), "one step"),
    "noise": (masked(Noisy), "randomness"),
    "mean of the batch": (masked(Together), "batch"),
    "BatchNorm without statistics": (masked(without_statistics), "batch"),
    "BatchNorm that trains itself": (masked(OwnMode), "batch"),
}
"""Models by what hides their gradient, and the check that is made for it."""


def diagnosed(model, x, y, batch_size=96, curve=None, **changes) -> dict[str, Diagnostic]:
    diagnosis = Diagnosis(**changes)
    generator = torch.Generator().manual_seed(0)
    parts = [
        diagnosis.see(model, x[i : i + batch_size], y[i : i + batch_size], None, generator)
        for i in range(0, len(x), batch_size)
    ]
    values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    assert all(value.shape == (len(x),) for value in values.values())
    return {each.name: each for each in diagnosis.verdicts(values, model, curve or {})}


def suspects(found: Mapping[str, Diagnostic]) -> list[str]:
    assert tuple(found) == CHECKS
    assert all(each.reason.endswith(".") and "\n" not in each.reason for each in found.values())
    return [name for name, each in found.items() if each.verdict == "suspect"]


def settings_of(name: str) -> dict[str, Ball]:
    return (
        {"ball": Ball(eps=0.02)}
        if name in ("ever steeper gradient", "wall across the gradient")
        else {}
    )


@cache
def planted(name: str) -> Planted:
    """A masked model with its images, made once."""
    return MASKED[name][0]()


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Diagnostic]]:
    """What every check says of every masked model."""
    torch.manual_seed(0)
    return {name: diagnosed(*planted(name), **settings_of(name)) for name in MASKED}


@pytest.mark.parametrize("name", MASKED)
def test_a_masked_model_is_caught_by_the_check_made_for_it(table, name):
    _, check = MASKED[name]
    found = suspects(table[name])
    assert check in found if check else found == []


def test_no_check_but_those_of_the_cause_finds_something(table):
    for check in ("saturation", "one step", "randomness", "batch"):
        found = {name for name, of in table.items() if check in suspects(of)}
        meant = {name for name, (_, made) in MASKED.items() if made == check}
        assert found - {"ever steeper gradient"} == meant, check
    assert {name for name, of in table.items() if "gradients" in suspects(of)} == {
        name for name, (_, made) in MASKED.items() if made == "gradients"
    }


def test_the_page_says_what_every_check_said(table):
    page = (Path(__file__).parent.parent / "docs" / "robustness.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    said = {row[0]: row[1:] for row in rows}
    for name, found in table.items():
        model, x, y = planted(name)
        attack = PGD(steps=20).within(Diagnosis(**settings_of(name)).ball)
        right = model(x).argmax(1) == y
        withstood = right & (model(attack(model, x, y)).argmax(1) == y)
        *percent, checks = said[name]
        assert checks == (", ".join(suspects(found)) or "none"), name
        shares = [100 * float(of.float().mean()) for of in (right, withstood)]
        assert [float(each.rstrip("%")) for each in percent] == pytest.approx(shares, abs=2), name


def test_the_reason_tells_one_cause_from_another(table):
    reason = {name: of[MASKED[name][1] or "steps"].reason for name, of in table.items()}
    model, x, y = planted("quantised input layer")
    right = int((model(x).argmax(1) == y).sum())
    assert f"exactly zero at {right} of {right}" in reason["quantised input layer"]
    assert "not finite at 96 of 96" in reason["root of zero"]
    assert "vanishes at 96 where the margin's does not" in reason["saturated logits"]
    assert "has not converged" in reason["ever steeper gradient"]
    assert "in training mode (2):" in reason["BatchNorm without statistics"]
    assert "in training mode (model.2):" in reason["BatchNorm that trains itself"]
    assert "in training mode:" in reason["mean of the batch"]
    assert "No image" in reason["not masked"]


HONEST: Mapping[str, Callable[[Tensor, Tensor], nn.Module]] = {
    "trained": lambda x, y: trained(tiny_classifier(), x, y),
    "adversarially trained": lambda x, y: trained(tiny_classifier(), x, y, 16 / 255),
    "linear": lambda x, y: trained(linear(), x, y),
    "untrained": lambda x, y: tiny_classifier(3),
    "untrained, linear": lambda x, y: linear(),
    "dropout": lambda x, y: trained(
        nn.Sequential(nn.Flatten(), nn.Linear(192, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 3)),
        x,
        y,
    ),
    "in training mode": lambda x, y: trained(tiny_classifier(), x, y).train(),
    "always the same answer": lambda x, y: Mute(),
    "sure": lambda x, y: Sure(trained(tiny_classifier(), x, y, 16 / 255, 20)),
    "instance norm": lambda x, y: trained(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3)
        ),
        x,
        y,
    ),
}


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))


@pytest.fixture(scope="module")
def blobs() -> tuple[Tensor, Tensor]:
    data = Blobs()
    batch = data.samples("train", range(data.n))
    return batch.images, batch.labels


BALLS = (Ball(eps=2 / 255), Ball(eps=12 / 255), Ball(L2(), 0.4))


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_model_is_fine(blobs, name):
    x, y = blobs
    torch.manual_seed(0)
    model = HONEST[name](x, y)
    for ball in BALLS if name == "adversarially trained" else BALLS[1:2]:
        assert suspects(diagnosed(model, x, y, ball=ball, queries=40)) == [], ball
    order = torch.randperm(len(x))
    assert (
        suspects(diagnosed(model, x[order], y[order], 25, ball=Ball(eps=12 / 255), queries=40))
        == []
    )
    for n in (1, 2, 3):
        found = diagnosed(model, x[:n], y[:n], ball=Ball(eps=12 / 255), steps=5, queries=5)
        assert suspects(found) == [], n


def test_two_classes_far_apart_and_always_right_are_fine():
    x, y = alike()
    model = Slope(lambda moved: 20 * (0.3 - moved))
    assert (model(x).softmax(1)[:, 0] > 1 - 1e-5).all()
    assert suspects(diagnosed(model, x, y)) == []
    model = Slope(lambda moved: 60 * (0.3 - moved))
    assert (model(x).softmax(1)[:, 0] == 1).all()
    found = diagnosed(model, x, y)
    assert suspects(found) == []
    assert "p_y is 1 in float32 at 40 of 40" in found["saturation"].reason


class Deaf(nn.Module):
    """Where p_y is 1 in float32 the cross-entropy has no gradient but that of the other logit,
    which leads nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        gap = (x[:, 0] - x[:, 1]).mean((1, 2))
        return torch.stack((2000 * (gap - 0.28), x[:, 2].mean((1, 2))), 1)


def test_a_sure_model_that_the_margin_fools_is_saturated():
    found = diagnosed(Deaf(), *alike())
    assert "saturation" in suspects(found)
    assert (
        "maximising the margin instead of the cross-entropy fools the model on 40"
        in found["saturation"].reason
    )


def test_accuracy_that_rises_with_the_radius_is_suspect():
    x, y = alike()

    def curve(*right: int) -> dict[float, Tensor]:
        return {0.01 * i: torch.arange(40) < k for i, k in enumerate(right)}

    model = Slope(lambda moved: 20 * (0.3 - moved))
    found = diagnosed(model, x, y, curve=curve(40, 20, 32, 0))
    assert suspects(found) == ["radius"]
    assert "rises from 50.0% at eps 0.01 to 80.0% at eps 0.02" in found["radius"].reason
    for honest in ((40, 20, 20, 0), (40, 20, 24, 0), (0, 0, 0, 0)):
        assert suspects(diagnosed(model, x, y, curve=curve(*honest))) == [], honest


@pytest.mark.parametrize("norm", [LInf(), L2()])
def test_the_model_comes_back_as_it_was(blobs, norm):
    x, y = blobs
    model = used(tiny_classifier())
    before = state_of(model)
    Diagnosis(Ball(norm), steps=2, queries=3).see(model, x[:9], y[:9])
    assert same_state(before, state_of(model))
    with torch.no_grad():
        predicted = tiny_classifier().eval()(x[:9]).argmax(1)
    model = used(Fails(tiny_classifier(), 12))
    before = state_of(model)
    with pytest.raises(BrokenError):
        Diagnosis(Ball(norm), steps=2, queries=3).see(model, x[:9], predicted, attacked=x[:9])
    assert same_state(before, state_of(model))


@pytest.mark.parametrize("batch_size", [7, 48])
@pytest.mark.parametrize("name", MASKED)
def test_in_any_order_and_batches_the_check_made_for_a_mask_says_so(name, batch_size):
    model, x, y = planted(name)
    order = torch.randperm(len(x))
    found = suspects(diagnosed(model, x[order], y[order], batch_size, **settings_of(name)))
    check = MASKED[name][1]
    assert check in found if check else found == []


@pytest.mark.parametrize("batch_size", [7, 48])
@pytest.mark.parametrize("share", [0.5, 1.0])
@pytest.mark.parametrize("name", ["not masked", "quantised input layer", "saturated logits"])
def test_what_is_found_without_chance_is_the_images_own(name, share, batch_size):
    model, x, y = planted(name)
    diagnosis = Diagnosis(steps=2, queries=2, share=share)
    order = torch.randperm(len(x))
    whole = diagnosis.see(model, x, y, attacked=x)
    for at in order.split(batch_size):
        part = diagnosis.see(model, x[at], y[at], attacked=x[at])
        for check in ("one step", "grey", "sure", "constant"):
            asked, of = f"check {check}", whole[f"check {check}"][at]
            torch.testing.assert_close(part[asked], of, atol=0, rtol=0, equal_nan=True)


class Rounds(nn.Module):
    """One logit, and a rounding error that depends on how many images there are."""

    def forward(self, x: Tensor) -> Tensor:
        logit = (x[:, 0] - x[:, 1]).mean((1, 2)) + 1e-7 * len(x)
        return torch.stack((logit, -logit), 1)


def test_a_logit_near_zero_is_not_moved_by_rounding():
    x, _ = alike(39)  # in halves of 20 and 19
    x[:, 0] -= torch.linspace(0, 0.3, 39)[:, None, None]
    y = Rounds()(x).argmax(1)
    assert suspects(diagnosed(Rounds(), x, y)) == []


class Without(Rounded):
    """A class that is never answered."""

    def forward(self, x: Tensor) -> Tensor:
        logits = self.model(x)
        return torch.cat((logits, torch.full_like(logits[:, :1], -torch.inf)), 1)


@pytest.mark.parametrize("name", ["not masked", "layer without gradient", "noise"])
def test_a_class_that_is_never_answered_changes_no_check(table, name):
    model, x, y = planted(name)
    assert suspects(diagnosed(Without(model), x, y)) == suspects(table[name])


class Partly(Together):
    """The mean of the batch counts for one class."""

    def forward(self, x: Tensor) -> Tensor:
        alone = self.model(x)
        return torch.where(alone.argmax(1, keepdim=True) == 0, super().forward(x), alone)


def test_where_one_image_is_coupled_no_other_of_its_batch_is_asked():
    model, x, y = planted("not masked")
    values = Diagnosis().see(Partly(model), x, y, attacked=x)
    assert (values["check company"] == 0).any()
    assert values["check grey"].isnan().all()
    assert suspects(diagnosed(Partly(model), x, y)) == ["batch"]


def test_without_a_radius_nothing_but_inference_is_asked(blobs):
    x, y = blobs
    assert suspects(diagnosed(Cut(linear()), x, y, ball=Ball(eps=0))) == []
    assert suspects(diagnosed(Noisy(linear()), x, y, ball=Ball(eps=0))) == ["randomness"]


@pytest.mark.parametrize("where", ["first", "last", "function"])
def test_however_a_model_passes_no_gradient_on(where):
    x = torch.rand(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    model = Blocked(where)
    assert "gradients" in suspects(diagnosed(model, x, model(x).argmax(1), share=1.0))


def test_a_share_of_the_images_is_looked_at():
    model, x, y = planted("layer without gradient")
    values = Diagnosis(share=0.5).see(model, x, y)
    alone = Diagnosis(share=0.5).see(model, x[10:11], y[10:11])
    looked = ~values["check gradient"].isnan()
    assert 30 < looked.sum() < 66
    assert looked[10] == ~alone["check gradient"].isnan()[0]
    assert not values["check repeat"].isnan().any()
    assert "gradients" in suspects(diagnosed(model, x, y, share=0.5))


def test_what_was_attacked_already_is_not_attacked_again():
    model, x, y = planted("not masked")
    values = Diagnosis().see(model, x, y, attacked=x)
    assert (values["check wide"] == 1).all()  # every image withstood nothing at all
    values = Diagnosis().see(model, x, y, attacked=PGD()(model, x, y))
    assert values["check wide"].isnan().all()


def test_small_images_in_an_l2_ball_are_not_searched():
    x, y = alike(size=4)
    found = diagnosed(Slope(near), x, y, ball=Ball(L2(), 0.01))
    assert suspects(found) == []
    assert "not run" in found["black box"].reason


def test_the_log_odds_are_those_of_the_probability():
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0], [300.0, 0.0, -500.0]])
    y = torch.tensor([1, 2, 0])
    p = logits.double().softmax(1).gather(1, y[:, None])[:, 0]
    expected = ((1 - p) / p).log()
    assert log_odds(logits, y)[:2].tolist() == pytest.approx(expected[:2].tolist(), rel=1e-5)
    assert log_odds(logits, y)[2] == -300
    assert log_odds(torch.tensor([[torch.nan, 0.0]]), torch.tensor([0])) == torch.inf


def test_an_answer_that_is_no_number_is_found_by_what_comes_upon_it():
    x, y = torch.full((40, 3, 8, 8), 0.4), torch.zeros(40, dtype=torch.int64)
    x += torch.linspace(0, 0.005, 40)[:, None, None, None]
    diagnosis = Diagnosis()
    found = diagnosis.verdicts(diagnosis.see(Overflows(), x, y, attacked=x))
    assert "one step" in suspects({each.name: each for each in found})


@pytest.mark.parametrize("above", [0.05, 0.1, 0.5])
def test_a_share_that_is_not_above_gives_one_alarm_in_a_hundred(above):
    for n in (1, 2, 5, 17, 100, 400):
        alarms = sum(stats.binom.pmf(k, n, above) for k in range(n + 1) if clearly(k, n, above))
        assert alarms <= 0.01, n
    assert clearly(400, 400, above)
    assert not clearly(0, 0, above)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "at least 1 step"),
        ({"queries": 0}, "at least 1 query"),
        ({"share": 0.0}, "above 0 and at most 1"),
        ({"share": 20}, "above 0 and at most 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        Diagnosis(**change)
