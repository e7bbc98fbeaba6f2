"""Chance that belongs to an image: its own, new at each draw, the same in whatever batch it is."""

import pytest
import torch
from scipy import stats
from torch import Generator, Tensor

from lookright.attacks import L2, LInf
from lookright.chance import ImageGenerator, image_chance, normal_, uniform_


def images(n: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(n, 3, 8, 8, generator=Generator().manual_seed(1), dtype=dtype)


def drawn(x: Tensor, generator: Generator, normal: bool = False) -> Tensor:
    values = torch.empty_like(x)
    return normal_(values, x, generator) if normal else uniform_(values, x, 0, 1, generator)


@pytest.mark.parametrize("normal", [False, True], ids=["uniform", "normal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_numbers_are_an_images_own_in_any_batch_and_order(normal, dtype) -> None:
    x = images(dtype=dtype)
    whole = drawn(x, ImageGenerator(3), normal)
    assert whole.dtype == dtype
    order = torch.randperm(64, generator=Generator().manual_seed(0))
    for size in (1, 7, 10):
        for at in order.split(size):
            assert torch.equal(drawn(x[at], ImageGenerator(3), normal), whole[at])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_reaches_neither_1_nor_infinity(dtype) -> None:
    x = images(200).to(dtype)
    assert float(drawn(x, ImageGenerator(3)).max()) < 1
    assert float(image_chance(x, 5000, 0).max()) < 1
    normal = drawn(x, ImageGenerator(3), normal=True)
    assert normal.isfinite().all()
    assert 3 < float(normal.abs().max()) < 8


def test_another_draw_seed_or_image_has_other_numbers() -> None:
    x, generator = images(), ImageGenerator(3)
    first, second = drawn(x, generator), drawn(x, generator)
    for other in (second, drawn(x, ImageGenerator(4)), first.roll(1, 0)):
        assert (
            abs(float(torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1])) < 0.04
        )


def test_what_others_draw_for_does_not_count() -> None:
    x, generator = images(), ImageGenerator(3)
    drawn(x[:32], generator)
    drawn(x[:16], generator)
    third = drawn(x, generator)
    for part, before in ((slice(16), 2), (slice(16, 32), 1), (slice(32, 64), 0)):
        again = ImageGenerator(3)
        for _ in range(before):
            drawn(x[part], again)
        assert torch.equal(drawn(x[part], again), third[part])


@pytest.mark.parametrize("black", [False, True])
def test_the_numbers_are_uniform_and_normal(black) -> None:
    x = torch.zeros(1, 3, 100, 100) if black else images(200)
    assert stats.kstest(drawn(x, ImageGenerator(5)).flatten(), "uniform").pvalue > 0.01
    assert stats.kstest(drawn(x, ImageGenerator(5), True).flatten(), "norm").pvalue > 0.01


def test_neighbours_are_independent() -> None:
    values = drawn(images(400), ImageGenerator(7)).flatten(1)
    for lag in (1, 8, 64):
        pairs = torch.stack([values[:, lag:].flatten(), values[:, :-lag].flatten()])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 0.015


def test_for_other_code_it_is_a_generator_of_torch() -> None:
    plain = Generator().manual_seed(9)
    assert torch.equal(
        torch.rand(5, generator=ImageGenerator(3, batch_seed=9)), torch.rand(5, generator=plain)
    )
    x = images()
    one, other = (drawn(x, Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(one, torch.empty_like(x).uniform_(generator=Generator().manual_seed(3)))


@pytest.mark.parametrize("norm", [LInf(), L2()])
def test_random_perturbations_fill_the_ball(norm) -> None:
    x, eps = images(500), 0.3
    delta = norm.random(x, eps, ImageGenerator(1))
    if isinstance(norm, L2):
        share = (delta.flatten(1).norm(dim=1) / eps) ** x[0].numel()
        assert stats.kstest(share, "uniform").pvalue > 0.01
    else:
        assert stats.kstest(delta.flatten() / eps, "uniform", (-1, 2)).pvalue > 0.01
    assert delta.mean().abs() < 0.01 * eps


@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_every_purpose_has_numbers_of_its_own_whatever_the_image(level) -> None:
    plain = torch.full((1, 3, 8, 8), level / 255)
    purposes = (*range(40), 70, 7301, 2**31, 2**32 - 1)
    numbers = torch.cat([image_chance(plain, 1000, purpose) for purpose in purposes])
    assert (numbers[:, None] == numbers).float().mean((0, 1)).max() < 0.03
    assert torch.corrcoef(numbers).fill_diagonal_(0).abs().max() < 0.15
    assert stats.kstest(numbers.flatten(), "uniform").pvalue > 0.01


def test_a_shifted_image_of_the_next_purpose_is_another() -> None:
    x = torch.zeros(1, 1, 1, 9)
    x[..., 3] = 1
    one, other = image_chance(x, 50, 1), image_chance(x.roll(1, -1), 50, 0)
    assert not torch.isclose(one, other).all()
