"""ALIGN and its masker: losses by hand, the schedule, and a mask that finds a planted object."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import batch
from lookright.batch import Batch
from lookright.distances import BCE, L1, Contrast, Correlation, Cosine
from lookright.errors import UserError
from lookright.explainers import GradCAM, InputGradient
from lookright.guides import ConvMasker, LearnedMask, mixup
from lookright.guides.mixup import mixed_explanation_gap
from lookright.methods import ALIGN
from lookright.metrics import mask_mass
from lookright.metrics.fills import black, blur
from models_for_tests import Smooth
from test_methods import Even


class Left(nn.Module):
    """Masks of 2 x 2: the left half, more at its top; one parameter moves all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor(0.8, dtype=torch.float64))

    def forward(self, images: Tensor) -> Tensor:
        half = torch.tensor([[1.0, 0.25], [0.5, 0.0]], dtype=torch.float64)
        return (self.level * half).expand(len(images), 1, 2, 2)


@pytest.mark.parametrize("fill", ["blur", "black"])
def test_the_maskers_loss_is_its_formula(fill: str) -> None:
    model, data = Smooth().double(), batch(dtype=torch.float64)
    guide = LearnedMask(Left(), sparsity=2.0, smoothness=0.5, fill=fill)
    x, y = data.images, data.labels
    coarse = torch.tensor([[0.8, 0.2], [0.4, 0.0]], dtype=torch.float64)
    mask = F.interpolate(coarse[None, None], x.shape[-2:], mode="bilinear")
    rest = {"blur": blur, "black": black}[fill](x)
    rows = torch.arange(len(y))
    p_kept = model(mask * x + (1 - mask) * rest).softmax(1)[rows, y]
    p_removed = model((1 - mask) * x + mask * rest).softmax(1)[rows, y]
    rough = (0.4 + 0.2) / 2 + (0.6 + 0.4) / 2
    expected = (p_kept - p_removed - 1).square().mean() + 2 * coarse.mean() + 0.5 * rough
    torch.testing.assert_close(guide.losses(model, data)["masker"], expected)


def test_the_target_is_the_mask_as_it_is_and_carries_no_gradient() -> None:
    data = batch(dtype=torch.float64)
    guide = LearnedMask(Left())
    target = guide(data, data.images[:, 0])
    assert target.is_mask
    assert not target.maps.requires_grad
    torch.testing.assert_close(target.maps, guide.masks(data.images)[:, 0].detach())


def test_align_is_its_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixup, "Beta", Even)
    model, data = Smooth().double(), batch(dtype=torch.float64)
    x, y = data.images, data.labels
    guide = LearnedMask(Left())
    terms = ALIGN(model, guide, guidance=0.3, mixup=0.7)(data)
    assert list(terms) == ["clean", "explanation", "masker", "mixup"]
    _, saliency = GradCAM()(model, x, y)
    mixed = mixup.mix_same_class(y)
    _, of_mixed = GradCAM()(model, mixed.of(x), mixed.labels)
    gap = BCE(mask_target=True)(saliency, guide.masks(x)[:, 0]).mean()
    torch.testing.assert_close(terms["clean"], F.cross_entropy(model(x), y))
    torch.testing.assert_close(terms["explanation"], 0.3 * gap)
    torch.testing.assert_close(terms["masker"], guide.losses(model, data)["masker"])
    torch.testing.assert_close(
        terms["mixup"], 0.7 * mixed_explanation_gap(mixed, of_mixed, saliency, L1())
    )
    lawful = GradCAM(relu=False), Contrast(), 0.3, 0.7, Correlation()
    terms = ALIGN(model, guide, *lawful)(data)
    _, saliency = GradCAM(relu=False)(model, x, y)
    _, of_mixed = GradCAM(relu=False)(model, mixed.of(x), mixed.labels)
    gap = Contrast()(saliency, guide.masks(x)[:, 0]).mean()
    torch.testing.assert_close(terms["explanation"], 0.3 * gap)
    torch.testing.assert_close(
        terms["mixup"], 0.7 * mixed_explanation_gap(mixed, of_mixed, saliency, Correlation())
    )


def test_explainer_and_distance_are_the_ones_given() -> None:
    model, data = Smooth(), batch()
    guide = LearnedMask()
    terms = ALIGN(model, guide, InputGradient(), Cosine(), guidance=2.0)(data)
    _, saliency = InputGradient()(model, data.images, data.labels)
    expected = 2 * Cosine()(saliency, guide.masks(data.images)[:, 0]).mean()
    torch.testing.assert_close(terms["explanation"], expected)


def test_the_warm_up_neither_trains_nor_follows_the_mask() -> None:
    data = batch()
    method = ALIGN(Smooth(), LearnedMask(warm_up=0.5))
    assert method.warm_up == 0.5
    method.progress = 0.49
    assert list(method(data)) == ["clean", "mixup"]
    method.progress = 0.5
    assert list(method(data)) == ["clean", "explanation", "masker", "mixup"]
    plain = ALIGN(Smooth(), LearnedMask(warm_up=0.5), mixup=0.0)
    plain.progress = 0.0
    assert list(plain(data)) == ["clean"]


def test_mixed_precision_gives_the_losses_of_full_precision_nearly() -> None:
    data = batch()
    method = ALIGN(Smooth(), mixup=0.0)
    exact = method(data)
    with torch.autocast("cpu", torch.bfloat16):
        rough = method(data)
    for name in exact:
        torch.testing.assert_close(rough[name].float(), exact[name], rtol=0.1, atol=0.05)


class Bright(nn.Module):
    """Says the class by which channel is bright, wherever that is."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (x - 0.55).relu().sum((2, 3))


def test_the_masker_finds_what_the_classifier_uses() -> None:
    generator = torch.Generator().manual_seed(0)
    n, side = 48, 24
    x = 0.5 * torch.rand(n, 3, side, side, generator=generator)
    y = torch.arange(n) % 3
    masks = torch.zeros(n, 1, side, side)
    corners = torch.randint(0, 16, (n, 2), generator=generator).tolist()
    for image, (down, across) in enumerate(corners):
        rows, columns = slice(down, down + 8), slice(across, across + 8)
        x[image, y[image], rows, columns] = 1.0
        masks[image, 0, rows, columns] = 1.0
    data = Batch(x, y, None, masks)
    torch.manual_seed(0)
    guide = LearnedMask(ConvMasker(grid=12, width=16), sparsity=0.5)
    optimizer = torch.optim.Adam(guide.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        guide.losses(Bright(), data)["masker"].backward()
        optimizer.step()
    with torch.no_grad():
        found = guide.masks(x)
    chance = masks.mean()
    assert mask_mass(found, masks).mean() > 4 * chance
    assert found.mean() < 3 * chance


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LearnedMask(warm_up=1.0), r"in \[0, 1\), got 1.0"),
        (lambda: LearnedMask(sparsity=-1.0), "0 or more, got sparsity=-1.0"),
        (lambda: LearnedMask(smoothness=float("nan")), "smoothness=nan"),
        (lambda: LearnedMask(masker_lr=0), "above 0, got 0"),
        (lambda: ConvMasker(width=24), "a multiple of 16, up to 4096, got grid=16, width=24"),
        (lambda: ConvMasker(grid=1), "grid=1"),
        (lambda: ALIGN(Smooth(), guidance=-0.1), "'guidance'"),
        (lambda: LearnedMask(nn.Identity()).losses(Smooth(), batch()), r"\(6, 3, 12, 12\)"),
    ],
)
def test_mistakes_are_said(make, said: str) -> None:
    with pytest.raises(UserError, match=said):
        make()


class _Halves(nn.Module):
    """The left half of the first images, and of the others nothing that is 0.5 or more."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first, self.level = first, nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        masks = torch.full_like(x[:, :1], 0.4)
        masks[: self.first, ..., : x.shape[-1] // 2] = 0.9
        return masks + 0 * self.level


def test_a_learned_mask_that_covers_nothing_is_no_target() -> None:
    """Its image is left out, as one without a human mask is, so no explanation follows it."""
    model, data = Smooth(), batch(4)

    def explanation(first: int, images: int) -> Tensor:
        method = ALIGN(model, LearnedMask(_Halves(first), warm_up=0.0), mixup=0.0)
        return method(data.select(slice(images)))["explanation"]

    known = LearnedMask(_Halves(1))(data, torch.zeros(4, 3, 3)).known
    assert known.tolist() == [True, False, False, False]
    assert explanation(1, 4).item() == pytest.approx(explanation(1, 1).item())
    assert explanation(1, 4) != explanation(4, 4)
    assert explanation(0, 4) == 0
