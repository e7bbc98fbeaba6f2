"""SGT, DRE, RRR and mask alignment against their formulas and their authors' published losses."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import DISTANCES, GUIDES, batch, learned_mask
from lookright.attacks import PGD
from lookright.batch import Batch
from lookright.distances import L1, minmax, resize
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient
from lookright.guides import (
    CleanExplanation,
    Guide,
    HumanMask,
    LearnedMask,
    MixedExplanation,
    RandomMask,
    Target,
    mixup,
)
from lookright.methods import ALIGN, DRE, EGAT, RRR, SGT, MaskAlignment
from lookright.methods.method import Method
from models_for_tests import Blocked, Smooth, Tiny


def wave(*size: int, phase: float = 0.0) -> Tensor:
    """Numbers in [-1, 1] that no generator of random numbers can change."""
    count = torch.Size(size).numel()
    return torch.sin(phase + 1.7 * torch.arange(count, dtype=torch.float64)).reshape(size).float()


class Waves(nn.Module):
    """A fixed network whose last map and head are positive, so that Grad-CAM needs no ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.layer4 = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Softplus())
        self.fc = nn.Linear(4, 3)
        with torch.no_grad():
            for parameter, value in zip(
                self.parameters(),
                (3 * wave(4, 3, 3, 3), 0.1 * wave(4), 2 + 1.9 * wave(3, 4, phase=1.0), wave(3)),
                strict=True,
            ):
                parameter.copy_(value)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer4(x).mean((2, 3)))


def waves() -> Batch:
    """Two images of each of three classes; the channels have ranges of their own."""
    images = 0.5 + 0.5 * torch.sin(40 * wave(6, 3, 8, 8, phase=0.3))
    images[:, 1] *= 0.5
    return Batch(images, torch.tensor([0, 1, 2, 0, 1, 2]))


class Lambdas:
    """In the place of a Beta distribution: the same mixtures each time."""

    def __init__(self, a: float, b: float) -> None:
        pass

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        return torch.tensor([0.3, 0.9, 0.55])[: shape[0]]


def sum_of(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


# --- SGT -------------------------------------------------------------------------------------

SGT_PUBLISHED = {
    ("random", True, 0.5): (0.06462265, [4.20512772, 0.45070606, 3.74675393, 0.58043468]),
    ("random", True, 0.3): (0.03942908, [4.19153786, 0.45116046, 3.81453609, 0.58978510]),
    ("random", False, 0.5): (0.00892274, [4.18091726, 0.45229900, 3.86400795, 0.59581745]),
    ("random", False, 0.3): (0.01287234, [4.18865967, 0.45320368, 3.85037780, 0.59336078]),
    ("mean", True, 0.5): (0.04920327, [4.21787834, 0.45241928, 3.77628160, 0.58430910]),
    ("mean", True, 0.3): (0.03479766, [4.19461632, 0.45173162, 3.82260299, 0.59065247]),
    ("mean", False, 0.5): (0.00792924, [4.15924120, 0.45092219, 3.87280703, 0.59679681]),
    ("mean", False, 0.3): (0.00776971, [4.18210554, 0.45279959, 3.86482525, 0.59557742]),
}
"""From ayaabdelsalam91/saliency_guided_training at 925ad6f, `interpretable.train` on `waves()` with
random numbers replaced by the middle of their range: the KL term and, for each parameter of
`Waves`, the sum of the gradient's absolute values; the cross-entropy is 1.53001070."""


@pytest.mark.parametrize(
    ("fill", "signed", "share"), SGT_PUBLISHED, ids=lambda value: str(value).lower()
)
def test_sgt_is_its_authors_loss(
    monkeypatch: pytest.MonkeyPatch, fill: Any, signed: bool, share: float
) -> None:
    monkeypatch.setattr(torch, "rand", lambda size, device: torch.full(size, 0.5))
    model = Waves()
    terms = SGT(model, share, fill=fill, signed=signed)(waves())
    sum_of(terms).backward()
    similarity, gradients = SGT_PUBLISHED[fill, signed, share]
    assert terms["clean"].item() == pytest.approx(1.53001070, rel=1e-5)
    assert terms["similarity"].item() == pytest.approx(similarity, rel=1e-4)
    for parameter, expected in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum().item() == pytest.approx(expected, rel=1e-4)


class Weighs(nn.Module):
    """Logits that are sums of the pixels under weights (K, C, H, W)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", x, self.weights)


def test_sgt_masks_the_pixels_of_the_least_gradient() -> None:
    # Channels cancel at the second pixel, and at the last one the gradient is the most negative.
    weights = torch.tensor([[[4.0, 3.0, 1.0, -5.0]], [[4.0, -3.0, 1.0, -5.0]]])[None]
    model = Weighs(torch.cat([weights, 0 * weights]))
    x = torch.tensor([[[[0.0, 1.0, 0.4, 0.6]], [[0.2, 0.2, 0.8, 0.8]]]])
    y = torch.tensor([0])
    masked = SGT(model, fill="mean").masked(x, y)
    torch.testing.assert_close(
        masked, torch.tensor([[[[0.0, 0.5, 0.5, 0.6]], [[0.2, 0.5, 0.5, 0.8]]]])
    )
    signed = SGT(model, fill="mean", signed=True).masked(x, y)
    torch.testing.assert_close(
        signed, torch.tensor([[[[0.0, 0.5, 0.4, 0.5]], [[0.2, 0.5, 0.8, 0.5]]]])
    )
    assert not masked.requires_grad


def test_sgt_fills_at_random_within_each_channels_range() -> None:
    data = waves()
    masked = SGT(Waves(), share=0.25).masked(data.images, data.labels)
    moved = masked != data.images
    assert moved.sum((2, 3)).tolist() == [[16] * 3] * 6
    assert torch.equal(moved, moved[:, :1].expand_as(moved))
    low, high = data.images.amin((2, 3), keepdim=True), data.images.amax((2, 3), keepdim=True)
    assert bool(((masked >= low) & (masked <= high)).all())
    filled = masked[moved].view(6, -1)
    assert (filled[:, 1:] != filled[:, :-1]).all()
    assert filled.amax() > 0.9  # past the second channel's range, so the range is the channel's own


def test_sgt_is_algorithm_1() -> None:
    model, data = Smooth().double(), batch(dtype=torch.float64)
    method = SGT(model, similarity=2.0, fill="mean")
    p = model(data.images).softmax(1)
    q = model(method.masked(data.images, data.labels)).softmax(1)
    terms = method(data)
    assert list(terms) == ["clean", "similarity"]
    torch.testing.assert_close(terms["clean"], F.cross_entropy(model(data.images), data.labels))
    torch.testing.assert_close(terms["similarity"], 2 * (p * (p / q).log()).sum(1).mean())


# --- DRE -------------------------------------------------------------------------------------


def test_dre_is_its_authors_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    # tangli-udel/DRE at 5bc190e, `MixupLoss` with 3 classes on `waves()`, mixed as by `Lambdas`.
    monkeypatch.setattr(mixup, "Beta", Lambdas)
    terms = DRE(Waves(), sparsity_of="columns")(waves())
    published = {
        "clean": 1.53001070,
        "explanation": 0.07162299,
        "sparsity": 0.5 * 0.62155026,
        "mixed": 0.1 * 1.57265246,
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(published, rel=1e-5)
    assert sum_of(terms).item() == pytest.approx(2.06967402, rel=1e-6)


def test_dre_is_its_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup, "Beta", Lambdas)
    model, explain = Smooth().double(), InputGradient()
    data = batch(5, dtype=torch.float64)  # two pairs, and one image of the last class alone
    x, y = data.images, data.labels
    i, j, lam = [0, 1], [3, 4], torch.tensor([0.3, 0.9], dtype=torch.float64)
    at = lam.view(-1, 1, 1)
    mixed = at[..., None] * x[i] + (1 - at[..., None]) * x[j]
    of_clean, of_mixed = minmax(explain(model, x, y)[1]), minmax(explain(model, mixed, y[i])[1])
    terms = DRE(model, explain, explanation=2.0, sparsity=3.0, mixed=4.0)(data)
    expected = {
        "clean": F.cross_entropy(model(x), y),
        "explanation": 2 * (of_mixed - at * of_clean[i] - (1 - at) * of_clean[j]).abs().mean(),
        "sparsity": 3 * (of_clean.mean() + of_mixed.mean()) / 2,
        "mixed": 4 * F.cross_entropy(model(mixed), y[i]),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)


def test_dre_without_a_pair_says_so_and_trains_on_what_is_left() -> None:
    model, data = Smooth(), batch(3)
    method = DRE(model)
    with pytest.warns(UserWarning, match="No two of the 3 images"):
        terms = method(data)
    _, saliency = GradCAM()(model, data.images, data.labels)
    assert terms["explanation"] == 0
    assert terms["mixed"] == 0
    torch.testing.assert_close(terms["sparsity"], 0.5 * minmax(saliency).mean())
    sum_of(terms).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


# --- RRR -------------------------------------------------------------------------------------


def _log_p_slope(weights: Tensor, x: Tensor) -> Tensor:
    """d/dx sum_k log p_k of `Weighs`: sum_k w_k - K sum_j p_j w_j."""
    p = torch.einsum("bchw,kchw->bk", x, weights).softmax(1)
    return weights.sum(0) - len(weights) * torch.einsum("bk,kchw->bchw", p, weights)


def _weighs() -> nn.Module:
    return Weighs(wave(3, 3, 12, 12, phase=0.7).double())


def test_rrr_is_equation_1_over_the_batch() -> None:
    model, data = _weighs(), batch(dtype=torch.float64)
    x, y = data.images, data.labels
    gradient = _log_p_slope(model.weights, x)
    off = torch.ones_like(x)
    off[:, :, 3:8, 4:9] = 0
    annotated = torch.tensor([0, 2, 4])  # the others have no mask, A = 0
    penalty = sum((off[n] * gradient[n]).square().sum() for n in annotated)
    terms = RRR(model, reasons=0.5)(data)
    assert list(terms) == ["clean", "reasons"]
    torch.testing.assert_close(terms["clean"], F.cross_entropy(model(x), y))
    torch.testing.assert_close(terms["reasons"], 0.5 * penalty / 6)


def test_rrrs_default_weight_is_its_authors_1000_for_pixels_up_to_255() -> None:
    model, data = _weighs(), batch(dtype=torch.float64)

    class Bytes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return model(x / 255)

    of_bytes = replace(data, images=255 * data.images)
    theirs = RRR(Bytes(), reasons=1000)
    theirs.tried = True  # else images outside [0, 1] are refused
    torch.testing.assert_close(RRR(model)(data)["reasons"], theirs(of_bytes)["reasons"])


def test_rrr_leaves_empty_masks_out_and_asks_nothing_inside_full_ones() -> None:
    model, data = Smooth(), batch()
    method = RRR(model)
    every = replace(data, has_mask=torch.ones(6, dtype=torch.bool))
    assert every.masks is not None
    first = torch.arange(6).view(-1, 1, 1, 1) == 0
    empty = replace(every, masks=torch.where(first, 0, every.masks))
    unknown = replace(every, has_mask=torch.arange(6) > 0)
    full = replace(every, masks=torch.where(first, 1, every.masks))
    terms = [method(each)["reasons"] for each in (empty, unknown, full)]
    torch.testing.assert_close(terms[0], terms[1])
    torch.testing.assert_close(terms[0], terms[2])
    assert terms[0] < method(every)["reasons"]


def test_rrr_reads_the_object_where_the_background_says_as_much() -> None:
    y = torch.arange(8) % 2
    mask = torch.zeros(8, 1, 12, 12)
    mask[:, :, 3:8, 4:9] = 1
    lean = (0.2 * y - 0.1).view(-1, 1, 1, 1).expand(8, 3, 12, 12)  # each class has its brightness
    data = Batch(lean, y, masks=mask)
    reversed_background = torch.where(mask > 0, lean, -lean)

    def accuracy_when_reversed(reasons: float) -> float:
        model = Weighs(torch.zeros(2, 3, 12, 12))
        method = RRR(model, reasons=reasons)
        method.tried = True
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(50):
            optimizer.zero_grad()
            sum_of(method(data)).backward()
            optimizer.step()
        assert (model(data.images).argmax(1) == y).all()
        return (model(reversed_background).argmax(1) == y).float().mean().item()

    assert accuracy_when_reversed(0.0) == 0
    assert accuracy_when_reversed(10.0) == 1


@dataclass(frozen=True)
class Corner(Guide):
    """A coarse mask of the upper left corner for every image."""

    def __call__(self, batch: Batch, saliency: Tensor) -> Target:
        assert saliency.shape == (len(batch), *batch.images.shape[-2:])
        assert not saliency.requires_grad
        maps = torch.zeros(len(batch), 4, 4, dtype=saliency.dtype)
        maps[:, 0, 0] = 1
        return Target(maps, is_mask=True)


def test_rrr_takes_a_mask_of_any_size() -> None:
    model, data = _weighs(), batch(dtype=torch.float64)
    x = data.images
    mask = resize(Corner()(data, x[:, 0]).maps, x.shape[-2:])[:, None]
    wrong = ((1 - mask) * _log_p_slope(model.weights, x)).square().sum() / 6
    torch.testing.assert_close(RRR(model, Corner(), reasons=1.0)(data)["reasons"], wrong)


@pytest.mark.parametrize("guide", [CleanExplanation(), MixedExplanation()])
def test_rrr_wants_masks(guide: Guide) -> None:
    with pytest.raises(UserError, match=f"HumanMask or LearnedMask, got {type(guide).__name__}"):
        RRR(Smooth(), guide)(batch())


class Namesake(LearnedMask):
    """A guide whose own term has the name of one of the method's."""

    term = "clean"

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return {self.term: torch.zeros(())}


@pytest.mark.parametrize("method", [ALIGN, EGAT])
def test_nor_that_of_mixtures_the_place_of_one_of_the_guide(method: Callable[..., Method]) -> None:
    guide = Namesake(warm_up=0.0)
    guide.term = "mixup"
    with pytest.raises(UserError, match="Namesake adds a loss term named mixup"):
        method(Smooth(), guide=guide, mixup=1.0)(batch())


@pytest.mark.parametrize(
    "adding",
    [
        lambda model: ALIGN(model, Namesake(warm_up=0.0)),
        lambda model: EGAT(model, PGD(steps=1), guide=Namesake(warm_up=0.0)),
        lambda model: MaskAlignment(model, Namesake(warm_up=0.0)),
        lambda model: RRR(model, Namesake(warm_up=0.0)),
    ],
    ids=["align", "egat", "mask-alignment", "rrr"],
)
def test_no_term_of_a_guide_takes_the_place_of_one_of_the_method(
    adding: Callable[[nn.Module], Method],
) -> None:
    with pytest.raises(UserError, match="Namesake adds a loss term named clean"):
        adding(Smooth())(batch())


# --- Mask alignment --------------------------------------------------------------------------


def test_mask_alignment_is_the_mean_distance_of_masked_images() -> None:
    model, data = Smooth().double(), batch(dtype=torch.float64)
    assert data.masks is not None
    for distance in DISTANCES.values():
        method = MaskAlignment(model, None, InputGradient(), distance, guidance=2.0)
        logits, saliency = InputGradient()(model, data.images, data.labels)
        gaps = distance(saliency[::2], data.masks[::2, 0])
        terms = method(data)
        assert list(terms) == ["clean", "explanation"]
        torch.testing.assert_close(terms["clean"], F.cross_entropy(logits, data.labels))
        torch.testing.assert_close(terms["explanation"], 2 * gaps.mean())


def test_mask_alignment_takes_a_soft_mask_as_it_is() -> None:
    model, data = Smooth(), batch()
    assert data.masks is not None
    faint = replace(data, masks=0.25 * data.masks)
    _, saliency = GradCAM()(model, data.images, data.labels)
    mask = 0.25 * data.masks[::2, 0]
    gap = (minmax(resize(saliency[::2], mask.shape[-2:])) - mask).abs().mean()
    published = MaskAlignment(model, None, GradCAM(), L1())
    torch.testing.assert_close(published(faint)["explanation"], gap)
    term = MaskAlignment(model)(data)["explanation"]
    torch.testing.assert_close(MaskAlignment(model)(faint)["explanation"], term)
    _, saliency = GradCAM(relu=False, centred=True)(model, data.images, data.labels)
    wanted = (mask - mask.mean((1, 2), keepdim=True)).flatten(1)
    angle = F.cosine_similarity(resize(saliency[::2], mask.shape[-2:]).flatten(1), wanted)
    torch.testing.assert_close(term, 1 - angle.mean())


def test_mask_alignment_leaves_out_images_without_a_mask_or_with_an_empty_one() -> None:
    model, data = Smooth(), batch()
    method = MaskAlignment(model)
    term = method(data)["explanation"]
    assert data.masks is not None
    known = torch.arange(6).view(-1, 1, 1, 1) % 2 == 0
    empty = replace(data, masks=torch.where(known, data.masks, 0), has_mask=None)
    noise = replace(data, masks=torch.where(known, data.masks, torch.rand_like(data.masks)))
    torch.testing.assert_close(method(empty)["explanation"], term)
    torch.testing.assert_close(method(noise)["explanation"], term)
    assert not torch.allclose(method(replace(data, has_mask=None))["explanation"], term)


def test_mask_alignment_mixes_where_its_guide_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup, "Beta", Lambdas)
    model, data = Smooth(), batch()
    x, y = data.images, data.labels
    lam = torch.tensor([0.3, 0.9, 0.55]).view(-1, 1, 1)
    maps = minmax(GradCAM()(model, x, y)[1])
    mixed = lam[..., None] * x[:3] + (1 - lam[..., None]) * x[3:]
    target = lam * maps[:3] + (1 - lam) * maps[3:]
    gap = (minmax(GradCAM()(model, mixed, y[:3])[1]) - target).abs().mean()
    terms = MaskAlignment(model, MixedExplanation(), GradCAM(), L1())(data)
    torch.testing.assert_close(terms["explanation"], gap)
    torch.testing.assert_close(terms["clean"], F.cross_entropy(model(x), y))


def test_mask_alignment_without_a_pair_to_mix_says_so() -> None:
    model, data = Smooth(), batch(3)
    with pytest.warns(UserWarning, match="No two of the 3 images"):
        terms = MaskAlignment(model, MixedExplanation())(data)
    assert terms["explanation"] == 0
    sum_of(terms).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_mask_alignment_has_nothing_to_do_with_the_clean_explanation() -> None:
    with pytest.raises(UserError, match="train by EGAT"):
        MaskAlignment(Smooth(), CleanExplanation())


# --- Both that are guided --------------------------------------------------------------------

GUIDED: dict[str, Callable[[nn.Module, Guide], Method]] = {
    "rrr": RRR,
    "mask-alignment": MaskAlignment,
}
guided = pytest.mark.parametrize("make", GUIDED.values(), ids=GUIDED)


UNFIT = {
    "rrr": {"clean", "clean-detached", "mixed", "mean-teacher"},
    "mask-alignment": {"clean", "clean-detached", "mean-teacher"},  # which is the model at first
}


@pytest.mark.parametrize(
    ("name", "guide"),
    [(name, guide) for name in GUIDED for guide in GUIDES if guide not in UNFIT[name]],
)
def test_any_guide_moves_the_classifier(name: str, guide: str) -> None:
    model = Smooth()
    terms = GUIDED[name](model, GUIDES[guide]())(batch())
    (term,) = (term for name, term in terms.items() if name not in ("clean", "masker"))
    (moved,) = torch.autograd.grad(term, model.first.weight)
    assert term > 0
    assert moved.isfinite().all()
    assert moved.abs().sum() > 0


@guided
def test_data_without_masks_is_an_error(make: Callable[..., Method]) -> None:
    with pytest.raises(UserError, match="HumanMask needs data with masks"):
        make(Smooth())(replace(batch(), masks=None, has_mask=None))


@guided
def test_a_batch_without_a_mask_is_said_and_is_plain_training(make: Callable[..., Method]) -> None:
    model, data = Smooth(), batch()
    assert data.masks is not None
    blank = replace(data, masks=torch.zeros_like(data.masks))
    for each in (replace(data, has_mask=torch.zeros(6, dtype=torch.bool)), blank):
        with pytest.warns(
            UserWarning, match="None of the 6 images of a batch has a non-empty mask"
        ):
            terms = make(model)(each)
        torch.testing.assert_close(sum_of(terms), F.cross_entropy(model(each.images), each.labels))
        model.zero_grad()
        sum_of(terms).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@guided
def test_a_learned_mask_is_followed_and_trained_after_its_warm_up(
    make: Callable[..., Method],
) -> None:
    model, guide, data = Smooth(), learned_mask(), batch()
    method = make(model, guide)
    assert method.warm_up == guide.warm_up
    method.progress = guide.warm_up - 0.01
    plain = method(data)
    assert list(plain) == ["clean"]
    torch.testing.assert_close(plain["clean"], F.cross_entropy(model(data.images), data.labels))
    method.progress = guide.warm_up
    terms = method(data)
    assert "masker" in terms
    torch.testing.assert_close(terms["masker"], guide.losses(model, data)["masker"])
    own = replace(data, masks=guide.masks(data.images).detach(), has_mask=None)
    by_hand = make(model, HumanMask())(own)
    name = next(name for name in terms if name not in ("clean", "masker"))
    torch.testing.assert_close(terms[name], by_hand[name])


# --- Mistakes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGT(Tiny(), share=0.0), "between 0 and 1; got 0.0"),
        (lambda: SGT(Tiny(), share=1.0), "between 0 and 1; got 1.0"),
        (lambda: SGT(Tiny(), similarity=-1.0), "'similarity'"),
        (lambda: SGT(Tiny(), fill="black"), "'random' or 'mean', got 'black'"),
        (lambda: DRE(Tiny(), sparsity_of="rows"), "'map' or 'columns', got 'rows'"),
        (lambda: DRE(Tiny(), concentration=0.0), "concentration must be above 0"),
        (lambda: DRE(Tiny(), mixed=-0.1), "'mixed'"),
        (lambda: DRE(Tiny(), sparsity=math.nan), "'sparsity'"),
        (lambda: RRR(Tiny(), reasons=-1.0), "'reasons'"),
        (lambda: MaskAlignment(Tiny(), guidance=-1.0), "'guidance'"),
        (lambda: MaskAlignment(Tiny(), LearnedMask(warm_up=1.0)), r"in \[0, 1\)"),
    ],
)
def test_arguments_out_of_range_are_refused(make: Callable[[], Method], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


@pytest.mark.parametrize("where", ["first", "last"])
@pytest.mark.parametrize("make", [SGT, RRR])
def test_a_network_that_passes_no_gradient_to_the_pixels_is_one_clear_error(
    make: Callable[[nn.Module], Method], where: str
) -> None:
    said = f"{make.__name__} needs the gradient of the logits by the pixels.*no_grad, detach"
    with pytest.raises(UserError, match=said):
        make(Blocked(where))(batch())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_random_masks_are_of_the_images_type_and_cover_their_share(dtype: torch.dtype) -> None:
    maps = RandomMask(share=0.25)(batch(dtype=dtype), torch.zeros(0)).maps
    assert maps.dtype == dtype
    assert (maps.double().mean((1, 2)) - 0.25).abs().max() < 0.01
