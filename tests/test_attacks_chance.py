"""An image's attack is its own: the same alone, in a batch of seven and in one of ten."""

import pytest
import torch
from torch import Generator, Tensor

from cases import NORMS
from lookright.attacks import (
    APGD,
    PGD,
    Attack,
    Ball,
    ExplanationAttack,
    KLDivergence,
    MassCentre,
    TopK,
    WorstCase,
)
from lookright.chance import ImageGenerator
from lookright.diagnostics import Diagnosis
from lookright.explainers import InputGradient
from models_for_tests import Smooth, fragile


def attacks() -> dict[str, Attack]:
    table: dict[str, Attack] = {}
    for row, (norm, eps) in NORMS.items():
        pgd, apgd = PGD(eps, 3, norm=norm, restarts=3), APGD(eps, 6, 3, norm)
        small = PGD(eps / 40, 2, norm=norm, restarts=2)
        table |= {
            f"pgd-{row}": pgd,
            f"pgd-kl-{row}": PGD(eps, 3, norm=norm, objective=KLDivergence()),
            f"apgd-{row}": apgd,
            f"apgd-small-{row}": APGD(eps / 8, 4, 2, norm),
            f"worst-case-{row}": WorstCase((small, APGD(eps / 40, 4, 2, norm), small)),
            f"explanation-{row}": ExplanationAttack(
                TopK(), eps, 4, norm=norm, explainer=InputGradient()
            ),
            f"search-{row}": ExplanationAttack(MassCentre(), eps, 12, norm=norm, search=True),
        }
    return table


ATTACKS = attacks()
every_attack = pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)


def in_batches(attack: Attack, model, x: Tensor, y: Tensor, size: int) -> Tensor:
    parts = []
    for at in torch.arange(len(x)).split(size):
        generator = ImageGenerator(5, batch_seed=int(at[0]))
        parts.append(attack(model, x[at], y[at], generator))
    return torch.cat(parts)


@every_attack
@pytest.mark.parametrize("size", [1, 7])
def test_an_image_is_attacked_alike_in_any_batch(attack: Attack, size: int) -> None:
    model = Smooth().double()
    x = torch.rand(20, 3, 12, 12, generator=Generator().manual_seed(2), dtype=torch.float64)
    y = model(x).argmax(1)
    whole = in_batches(attack, model, x, y, 10)
    assert (whole != x).any()
    torch.testing.assert_close(in_batches(attack, model, x, y, size), whole, atol=1e-9, rtol=0)


def test_an_image_without_a_gradient_is_searched_beside_others_that_have_one() -> None:
    model = Smooth().double()
    x = torch.rand(6, 3, 12, 12, generator=Generator().manual_seed(2), dtype=torch.float64)
    y = model(x).argmax(1)

    def red(x: Tensor) -> Tensor:
        return x[:, 0, 0, 0] > x[:, 1, 0, 0]

    class Half(InputGradient):
        """None on the images whose first pixel is more red than green."""

        def __call__(self, model, x, y=None):  # type: ignore[no-untyped-def]
            logits, saliency = super().__call__(model, x, y)
            return logits, torch.where(red(x)[:, None, None], saliency.detach(), saliency)

    still = red(x)
    assert 0 < still.sum() < 6
    attack = ExplanationAttack(MassCentre(), 0.1, 30, explainer=Half())
    z = in_batches(attack, model, x, y, 6)
    assert (z != x).flatten(1).any(1)[still].all()
    torch.testing.assert_close(in_batches(attack, model, x, y, 1), z, atol=1e-9, rtol=0)


def test_the_checks_of_a_figure_draw_alike_in_any_batch() -> None:
    model, x, y = fragile()
    diagnosis = Diagnosis(Ball(eps=0.005), steps=4, queries=1)

    def seen(size: int) -> dict[str, Tensor]:
        parts = [
            diagnosis.see(model, x[at], y[at], None, ImageGenerator(5))
            for at in torch.arange(30).split(size)
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    whole, alone = seen(30), seen(1)
    drawn = [name for name in whole if name.startswith(("check loss", "check gradient"))]
    assert not whole[drawn[0]].isnan().all()
    for name in drawn:
        torch.testing.assert_close(alone[name], whole[name], rtol=1e-3, atol=1e-4, equal_nan=True)
