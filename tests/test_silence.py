"""No term is satisfied best by a map that says nothing; the exceptions are listed by name."""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cases import DISTANCES, EXPLAINERS, GUIDES, METHODS, batch
from lookright.attacks import PGD, Attack
from lookright.distances import L1, Contrast, Correlation, Distance, degenerate
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM, GradientTimesInput, MarginMap, SmoothGrad
from lookright.guides import CentrePrior, Guide, LearnedMask, Target
from lookright.guides.silence import cheap_silence
from lookright.methods import AT, AWP, DRE, EGAT, ERM, RRR, SGT, MaskAlignment
from lookright.metrics import MEASURES, stability_others
from lookright.metrics.localisation import DEGENERATE_MAPS
from lookright.metrics.stability import STABILITY_COSINE, stability_cosine
from lookright.models import Classifier
from lookright.training import fit, silence
from lookright.training.silence import ANSWER, TRAIN, VALIDATION, SilenceCheck, met_by_silence
from models_for_tests import Tiny, same_state, state_of
from tiny import Blobs, tiny_classifier

CHEAP = {
    "bce": "an empty map costs 6.9 times the mask's area, an unrelated one about twice that",
    "l1": "two empty maps have the distance 0; against a mask it costs the mask's area",
    "mse": "as l1",
    "soft_iou": "two empty maps have the distance 0; a full map shares the whole mask",
    "kl": "a uniform map is the safest guess, and equals another",
    "cosine": "a constant map has an angle of 0 with another, and a small one with any dense map",
    "raw_l1": "maps in units of the logit may be empty only where the margin is 0: a trade",
}
"""Distances that cost a map which says nothing less than an unrelated one, and why."""

TERMS = {
    "dre": ({"explanation", "sparsity"}, "the paper's min-max L1, and its norm of the map"),
    "dre-columns": ({"explanation", "sparsity"}, "as dre"),
    "dre-input-gradient": ({"explanation", "sparsity"}, "as dre"),
    "rrr": ({"reasons"}, "eq. 1 penalises gradients off the mask; none at all is least"),
    "rrr-learned": ({"reasons"}, "as rrr"),
    "gradient-penalty-rrr": ({"reasons"}, "as rrr"),
    "egat-min-max": ({"explanation", "mixup"}, "asked for by name"),
    "egat-margin": ({"explanation"}, "asked for by name"),
    "egat-input-gradient": ({"explanation"}, "cosine, asked for by name"),
    **dict.fromkeys(
        ("align", "align-mixup", "gradient-penalty-learned"),
        (
            {"explanation", "mixup"},
            "the paper's BCE and DRE's R_mix: with Contrast the masks' IoU is 0.475, not 0.545",
        ),
    ),
    **{f"mask-alignment-{name}": ({"explanation"}, "asked for by name") for name in CHEAP},
}
"""Methods with terms that a map which says nothing satisfies, which the run then says."""

DTYPE = torch.float64
SIDE = 6


QUICK = {"epochs": 2, "batch_size": 16, "progress": False}


def unrelated() -> Tensor:
    """(64, 6, 6): positive maps that have nothing to do with each other, some of them sparse."""
    drawn = np.random.default_rng(0).gamma(0.5, size=(64, SIDE, SIDE))
    return torch.from_numpy(drawn)


def masks() -> Tensor:
    """(64, 6, 6): a rectangle anywhere, around the borders."""
    mask = torch.zeros(SIDE, SIDE, dtype=DTYPE)
    mask[:2, :3] = 1
    drawn = np.random.default_rng(1).integers(SIDE, size=(64, 2))
    return torch.stack([mask.roll((down, across), (0, 1)) for down, across in drawn.tolist()])


def nothing() -> dict[str, Tensor]:
    """Batches of 64 maps that say nothing, each somewhere else."""
    at = torch.eye(SIDE**2, dtype=DTYPE)[torch.arange(64) * 7 % SIDE**2].view(64, SIDE, SIDE)
    return {
        "empty": torch.zeros_like(at),
        "constant": torch.full_like(at, 3.0),
        "saturated": 1 - at,
        "point": at,
    }


def costs(distance: Distance, guided: bool) -> tuple[dict[str, float], float]:
    """What each kind costs at least, and what an unrelated map does: means over 64 maps."""
    targets = masks() if guided else unrelated()

    def cost(saliency: Tensor, maps: Tensor) -> float:
        return Target(maps, is_mask=guided).distance(saliency, distance).item()

    found = {kind: cost(maps, targets) for kind, maps in nothing().items()}
    if not guided:
        found = {k: min(found[k], cost(each, each.roll(1, 0))) for k, each in nothing().items()}
    pairs = [cost(targets.roll(step, 0), targets) for step in range(1, 64)]
    return found, sum(pairs) / len(pairs)


@pytest.mark.parametrize("guided", [False, True], ids=["explanation", "mask"])
@pytest.mark.parametrize("name", DISTANCES)
def test_a_map_that_says_nothing_costs_what_an_unrelated_one_does(name: str, guided: bool) -> None:
    found, other = costs(DISTANCES[name], guided)
    cheap = {kind for kind, cost in found.items() if cost < 0.95 * other}
    assert bool(cheap) == (name in CHEAP)
    assert cheap == set(cheap_silence(DISTANCES[name], of_model=not guided))


@pytest.mark.parametrize("kind", ["empty", "constant"])
def test_two_maps_that_say_nothing_are_as_far_apart_as_unrelated_ones(kind: str) -> None:
    maps = nothing()[kind].requires_grad_()
    value = Correlation()(maps, 2 * nothing()[kind] + 1)
    assert torch.equal(value, torch.ones(64, dtype=DTYPE))
    (gradient,) = torch.autograd.grad(value.sum(), maps)
    assert not gradient.any()


def test_rounding_is_no_pattern() -> None:
    maps = 1 + 1e-8 * unrelated()
    assert torch.equal(Correlation()(maps, unrelated()), torch.ones(64, dtype=DTYPE))
    assert torch.equal(Correlation()(unrelated(), maps), torch.ones(64, dtype=DTYPE))


def test_a_step_along_correlation_never_makes_a_map_less_varied() -> None:
    """The gradient is orthogonal to the deviation from the mean, which so grows by Pythagoras."""
    maps, targets = (
        (unrelated() - 0.4).requires_grad_(),
        (unrelated().flip(0) - 0.1).requires_grad_(),
    )
    gradients = torch.autograd.grad(Correlation()(maps, targets).sum(), (maps, targets))
    for of, gradient in zip((maps, targets), gradients, strict=True):
        before = of.detach().flatten(1)
        deviation = before - before.mean(1, keepdim=True)
        for still in (deviation, torch.ones_like(deviation)):
            inner = (still * gradient.flatten(1)).sum(1)
            torch.testing.assert_close(inner, torch.zeros_like(inner), atol=1e-12, rtol=0)
        for step in (0.01, 1.0, 100.0):
            after = before - step * gradient.flatten(1)
            assert (after.std(1) >= before.std(1) * (1 - 1e-12)).all()


# --- On a network ------------------------------------------------------------------------------


class Noisy(Attack):
    """The images with noise of their own."""

    def __call__(self, model, x, y, generator=None):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        return (x + 0.1 * noise).clamp(0, 1)


def shares(explainer: Explainer, distance: Distance, guide: Guide, steps: int) -> list[float]:
    """The share of 36 maps that say nothing, before and after steps along the term alone: what a
    ReLU leaves of the explainer's maps of the label, on three networks."""
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        model, data = Tiny(), batch(12)
        # In one pass BatchNorm's statistics are also of the clean images, whose maps are judged.
        method = EGAT(model, Noisy(), explainer, distance, guide, separate=False)
        optimiser = torch.optim.Adam(model.parameters(), 2e-2)
        found.append([_silent(explainer, model, data)])
        for _ in range(steps):
            optimiser.zero_grad()
            method(data)["explanation"].backward()
            optimiser.step()
        found[-1].append(_silent(explainer, model, data))
    return [sum(each) / 3 for each in zip(*found, strict=True)]


def _silent(explainer, model, data) -> float:
    with torch.no_grad():
        model.eval()
        maps = explainer(model, data.images, data.labels)[1]
        model.train()
    return degenerate(maps.relu()).float().mean().item()


LAWFUL = [
    *product(EXPLAINERS, ("clean", "human")),
    *[("gradcam-signed", guide) for guide in ("mixed", "learned")],
]


@pytest.mark.parametrize(("explainer", "guide"), LAWFUL)
def test_the_term_alone_leads_to_no_more_maps_that_say_nothing(explainer, guide) -> None:
    of = GUIDES[guide]()
    before, after = shares(EXPLAINERS[explainer], of.fitting, of, 30)
    assert after <= before + 2 / 36  # a map or two at the ReLU's corner may go either way


def test_a_step_along_contrast_never_makes_a_map_shorter_nor_a_constant_one_more_so() -> None:
    maps, targets = unrelated() - 0.4, masks()
    maps[0] = 1
    maps.requires_grad_()
    (gradient,) = torch.autograd.grad(Contrast()(maps, targets).sum(), maps)
    inner = (maps * gradient).sum((1, 2))
    torch.testing.assert_close(inner, torch.zeros_like(inner), atol=1e-12, rtol=0)
    after = maps.detach() - gradient
    assert (
        after.flatten(1).norm(dim=1) >= maps.detach().flatten(1).norm(dim=1) * (1 - 1e-12)
    ).all()
    assert after[0].std() > 0.01


@pytest.mark.parametrize("guide", ["clean", "human"])
def test_where_the_law_is_broken_maps_empty_themselves(guide) -> None:
    before, after = shares(GradCAM(), L1(), GUIDES[guide](), 30)
    assert after > before + 0.3


# --- What methods may train with -----------------------------------------------------------------


def test_only_the_distance_decides_and_every_combination_is_known() -> None:
    for explainer, distance, guide in product(EXPLAINERS, DISTANCES, GUIDES):
        of = EXPLAINERS[explainer], DISTANCES[distance], GUIDES[guide]()
        if of[0].signed and not of[1].signed:
            with pytest.raises(UserError, match="signed"):
                EGAT(Tiny(), PGD(), *of)
            continue
        found = set(EGAT(Tiny(), PGD(), *of).met_by_silence)
        assert found == ({"explanation"} if distance in CHEAP else set()), (explainer, guide)


@pytest.mark.parametrize("name", METHODS)
def test_no_method_has_such_a_term_but_those_listed(name: str) -> None:
    method = METHODS[name](Tiny())
    expected, _ = TERMS.get(name, (set(), ""))
    assert set(method.met_by_silence) == expected
    note = met_by_silence(method)
    assert (note is None) == (not expected)
    for term in expected:
        assert f"{term} by one that is" in note
    advised = {True: "before the ReLU by Correlation", False: "masks by Contrast"}
    compared = {of for term, (_, of) in method.compared.items() if term in expected}
    assert {of for of, how in advised.items() if how in (note or "")} == compared


@pytest.mark.parametrize("name", METHODS)
def test_every_comparison_of_a_loss_is_declared(name: str, monkeypatch) -> None:
    """Else the law would not know of it."""
    used = set()
    compare = Distance.__call__

    def noted(self, *maps):
        used.add(type(self))
        return compare(self, *maps)

    monkeypatch.setattr(Distance, "__call__", noted)
    method = METHODS[name](Tiny())
    method(batch())
    declared = method.compared.values()
    assert used == {type(distance) for distance, _ in declared}


@pytest.mark.parametrize("make", [EGAT, MaskAlignment, partial(EGAT, mixup=1.0)])
def test_no_default_has(make) -> None:
    assert make(Tiny()).met_by_silence == {}
    assert make(Tiny()).explainer == GradCAM(relu=False, places=4, centred=True)
    assert make(Tiny()).distance == (Correlation() if "EGAT" in str(make) else Contrast())
    assert set(make(Tiny(), distance=L1()).met_by_silence) == {"explanation"}


def test_terms_without_weight_and_terms_of_a_wrapped_method() -> None:
    cheap = {"explainer": GradCAM(), "distance": L1(), "mixup_distance": L1()}
    assert EGAT(Tiny(), stability=0.0, **cheap).met_by_silence == {}
    assert set(AWP(EGAT(Tiny(), mixup=1.0, **cheap)).met_by_silence) == {"explanation", "mixup"}
    assert AWP(EGAT(Tiny(), **cheap)).explainer == GradCAM()
    assert DRE(Tiny(), explanation=0.0, sparsity=0.0).met_by_silence == {}


def test_the_share_stands_beside_stability() -> None:
    shown = sorted(
        (each for each in MEASURES if each.question == STABILITY_COSINE.question),
        key=lambda each: each.order,
    )
    assert shown.index(DEGENERATE_MAPS) == shown.index(STABILITY_COSINE) + 1


# --- In a run ------------------------------------------------------------------------------------


class Mute(EGAT):
    """The cross-entropy, and an explainer whose maps are empty for some of the images."""

    def __init__(self, model, empty: float) -> None:
        super().__init__(model, Noisy(), _Partly(empty))
        self.empty = empty


@dataclass(frozen=True)
class _Partly(Explainer):
    empty: float

    def __call__(self, model, x, y=None):
        logits, maps = GradCAM(relu=False)(model, x, y)
        said = torch.arange(len(x)) >= round(self.empty * len(x))
        return logits, maps * said[:, None, None]


@pytest.mark.parametrize("empty", [0.0, 0.5])
def test_a_run_logs_the_share_and_says_once_that_it_is_large(tmp_path, empty: float) -> None:
    make = partial(fit, data=Blobs(), domains="train", run=tmp_path / "run", **QUICK)
    method = Mute(tiny_classifier(), empty)
    if empty:
        with pytest.warns(UserWarning, match="of the explanations of validation images are empty"):
            run = make(method)
    else:
        run = make(method)
    for row in run.history:
        assert row["train/degenerate_maps"] == pytest.approx(empty, abs=0.05)
        assert row["val/degenerate_maps"] == pytest.approx(empty, abs=0.05)
    log = run.folder.joinpath("log.txt").read_text()
    assert log.count("| degenerate maps ") == len(run.history)
    assert log.count("explain nothing") == bool(empty)


def validation_images() -> Tensor:
    data = Blobs()
    where = data.split("train", "validation").where
    return data.samples("train", [at for _, at in where]).images


@dataclass(frozen=True)
class Alike(Explainer):
    """A ramp, the same for all images, or noise of each."""

    same: bool
    side: int = 4

    def __call__(self, model, x, y=None):
        logits = model(x)
        place = torch.arange(float(self.side**2)).view(self.side, self.side).expand(len(x), -1, -1)
        noise = nn.functional.adaptive_avg_pool2d((1e4 * x[:, 0]).sin().square(), self.side)
        return logits, (place if self.same else noise) + 0 * logits.sum((1,), True)[..., None]


@pytest.mark.parametrize(("same", "side"), [(True, 4), (False, 4), (True, 3)])
def test_a_run_logs_how_alike_the_maps_of_different_images_are_and_says_it_of_the_same(
    tmp_path, same: bool, side: int
) -> None:
    method = EGAT(tiny_classifier(), Noisy(), Alike(same, side))
    said = "a mean cosine of" if side == 4 else "too few to say where"
    with pytest.warns(UserWarning, match=said) if same else nullcontext():
        run = fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    maps = Alike(same, side)(tiny_classifier(), validation_images())[1].detach()
    expected = float(stability_others(maps, maps).mean())
    assert expected == pytest.approx(1) if same else expected < 0.97
    for row in run.history:
        assert row["val/cosine_with_other_images"] == pytest.approx(expected, abs=1e-4)
    log = run.folder.joinpath("log.txt").read_text()
    assert log.count("a mean cosine of") == (same and side == 4)


@pytest.mark.parametrize(
    ("amount", "centred", "explaining"),
    [(0.0, False, True), (1e3, False, True), (1e3, True, True), (0.0, False, False)],
)
def test_a_run_logs_how_much_of_its_maps_changes_the_answer_and_says_that_it_is_little(
    tmp_path, amount: float, centred: bool, explaining: bool
) -> None:
    model, explainer = tiny_classifier(), GradientTimesInput(centred=centred)
    if amount:
        model.register_forward_hook(lambda m, x, z: z + amount * x[0].mean((1, 2, 3))[:, None])
    method = MaskAlignment(model, CentrePrior(), explainer) if explaining else ERM(model)
    loud = explaining and amount > 0 and not centred
    with pytest.warns(UserWarning, match="what all logits share") if loud else nullcontext():
        run = fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    for row in run.history:
        assert ("val/answer_cosine" in row) == (not centred)
    if explaining and not centred:
        held_out = validation_images()
        with torch.no_grad():
            maps = [
                replace(explainer, centred=of)(model.eval(), held_out)[1] for of in (False, True)
            ]
        expected = float(stability_cosine(*maps).mean())
        assert run.history[-1]["val/answer_cosine"] == pytest.approx(expected, abs=1e-4)
    log = run.folder.joinpath("log.txt").read_text()
    assert log.count("what all logits share") == loud


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda model: EGAT(model, explainer=GradCAM(relu=False)), True),
        (lambda model: AWP(EGAT(model, explainer=GradCAM(relu=False))), True),
        (lambda model: EGAT(model, stability=0), False),
        (lambda model: EGAT(model, explainer=MarginMap()), False),
        (lambda model: EGAT(model), False),
        (RRR, False),
        (SGT, False),
        (ERM, False),
    ],
    ids=["logit", "awp", "term-off", "margin", "egat", "rrr", "sgt", "erm"],
)
def test_it_is_said_where_a_term_compares_maps_that_could_be_of_the_answer(make, told) -> None:
    check = SilenceCheck(make(Tiny()), print, 6, ())
    assert check._alarms(6, {"epoch": 6, ANSWER: 0.5}) == ([ANSWER] if told else [])
    assert check._alarms(6, {"epoch": 6, ANSWER: 0.95}) == []
    assert check._alarms(2, {"epoch": 2, ANSWER: 0.5}) == []


class Covering(nn.Module):
    """A masker that covers the left half of some images, and nothing or everything of others."""

    def __init__(self, silent: float, full: bool) -> None:
        super().__init__()
        self.silent, self.full = silent, full
        self.height = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        left = torch.arange(x.shape[-1], device=x.device) < x.shape[-1] // 2
        found = left.to(x).expand_as(x[:, :1]) + 0 * self.height
        silent = torch.arange(len(x), device=x.device) < round(self.silent * len(x))
        return torch.where(silent[:, None, None, None], 0.9 if self.full else 0.1, found)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("silent", "warm_up"), [(0.0, 0.0), (0.5, 0.0), (0.5, 0.6)])
def test_a_run_logs_the_share_of_masks_that_say_nothing_once_they_guide(
    tmp_path, silent: float, full: bool, warm_up: float
) -> None:
    guide = LearnedMask(Covering(silent, full), warm_up=warm_up)
    method = EGAT(tiny_classifier(), Noisy(), GradCAM(relu=False), guide=guide)
    loud = silent > 0
    said = "50% of the learned masks of validation images cover nothing or everything"
    with pytest.warns(UserWarning, match=said) if loud else nullcontext():
        run = fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    early, last = (row.get("val/degenerate_masks") for row in run.history)
    assert last == pytest.approx(silent, abs=0.05)
    assert early == (None if warm_up else last)
    log = run.folder.joinpath("log.txt").read_text()
    assert log.count("guide nowhere") == loud
    assert log.count("| degenerate masks ") == (1 if warm_up else 2)


def test_a_run_says_at_its_start_which_terms_silence_meets(tmp_path) -> None:
    method = DRE(tiny_classifier())
    with pytest.warns(UserWarning, match="DRE has terms that a map which says nothing satisfies"):
        run = fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    assert run.folder.joinpath("log.txt").read_text().count("which says nothing satisfies") == 1


@dataclass(frozen=True)
class _Coarse(Explainer):
    side: int

    def __call__(self, model, x, y=None):
        logits, maps = GradCAM(relu=False)(model, x, y)
        return logits, maps.repeat(1, 4, 4)[:, : self.side, : self.side]


@pytest.mark.parametrize("side", [2, 3, 4])
def test_a_run_says_once_that_its_maps_have_too_few_places(tmp_path, side: int) -> None:
    make = partial(fit, data=Blobs(), domains="train", run=tmp_path / "run", **QUICK)
    method = EGAT(tiny_classifier(), Noisy(), _Coarse(side))
    if side < 4:
        with pytest.warns(UserWarning, match=f"maps of EGAT have {side} x {side} places") as said:
            run = make(method)
        assert sum("places" in str(each.message) for each in said) == 1
    else:
        run = make(method)
    log = run.folder.joinpath("log.txt").read_text()
    assert log.count("too few to say where") == (side < 4)


@dataclass(frozen=True)
class _Counting(Explainer):
    counts: list[int]

    def __call__(self, model, x, y=None):
        if not torch.is_grad_enabled():
            self.counts.append(len(x))
        return GradCAM(relu=False)(model, x, y)


def test_the_first_images_are_explained_and_no_other(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(silence, "_IMAGES", 20)
    counts: list[int] = []
    method = EGAT(tiny_classifier(), Noisy(), _Counting(counts))
    fit(method, Blobs(), "train", tmp_path / "run", **QUICK)
    assert counts == 2 * [16, 4, 10]  # of training, and all of validation


def test_what_only_the_first_half_showed_may_still_be_said_after_a_resume() -> None:
    def said(*earlier: dict[str, float]) -> bool:
        return SilenceCheck(EGAT(Tiny()), [].append, 10, earlier).said

    assert not said({"epoch": 1, VALIDATION: 1}, {"epoch": 4, VALIDATION: 1})
    assert not said({"epoch": 6, VALIDATION: 0.1}, {"epoch": 7})
    assert said({"epoch": 5, VALIDATION: 0.2}, {"epoch": 6, VALIDATION: 0})


def test_looking_changes_no_weight_and_methods_without_an_explanation_have_the_share_of_grad_cam(
    tmp_path, monkeypatch
) -> None:
    def trained(make, name: str):
        method = make(tiny_classifier())
        run = fit(method, Blobs(), "train", tmp_path / name, **QUICK)
        return run.history[-1], state_of(method.model)

    make = partial(EGAT, attack=Noisy(), explainer=SmoothGrad(samples=2))
    row, weights = trained(make, "looked")
    assert {TRAIN, VALIDATION} <= set(row)
    monkeypatch.setattr(SilenceCheck, "_maps", lambda *_: None)
    row, same = trained(make, "not")
    assert not {TRAIN, VALIDATION} & set(row)
    assert same_state(weights, same)
    monkeypatch.undo()
    row, _ = trained(partial(AT, attack=Noisy()), "at")
    assert {TRAIN, VALIDATION} <= set(row)


def test_a_model_that_cannot_be_explained_is_trained_without_the_share(tmp_path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3))
    model = Classifier(network, Blobs.classes, 8)
    method = EGAT(model, Noisy(), stability=0.0)
    assert not {TRAIN, VALIDATION} & set(
        fit(method, Blobs(), run=tmp_path / "run", **QUICK).history[0]
    )
