"""Square: a random search that needs no gradient."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from pyautoattack.square import SquareAttack
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.borrowed import as_float32, inside, norm_name, seeded
from lookright.attacks.gradient import Attack, check_input
from lookright.attacks.norms import LInf, Norm
from lookright.errors import UserError
from lookright.modes import frozen, ordinary


@dataclass(frozen=True)
class Square(Attack):
    """Square Attack (Andriushchenko et al., ECCV 2020, algorithms 1 to 3), by pyautoattack.

    It sees the logits alone: random squares of colour that lower the margin stay. So it works where
    gradients are masked or missing. An image that does not fall comes back as it was.

    Args:
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        queries: forward passes for each image at most; 5000 in AutoAttack. The squares, of 80% of
            the image at first, shrink as the queries go by, in the proportions of section 5.
        norm: `LInf()` or `L2()`.

    Raises:
        UserError: eps or queries out of range; images outside [0, 1]; labels outside the classes.
    """

    eps: float = 8 / 255
    queries: int = 5000
    norm: Norm = field(default_factory=LInf)

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        norm_name(self.norm)
        if self.queries < 1:
            raise UserError(f"Square needs at least 1 query, got queries={self.queries}.")

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        with frozen(model), seeded(generator) as seed, torch.no_grad():
            x, y = ordinary(x).contiguous(), ordinary(y)  # as the library takes for granted
            if len(x) == 0 or self.eps == 0:
                return x.clone()
            theirs = SquareAttack(
                as_float32(model, x.dtype),
                norm_name(self.norm),
                self.queries,
                self.eps,
                seed=seed,
                device=x.device,
            )
            return inside(Ball(self.norm, self.eps), searched(theirs, x.float(), y), x)


def searched(theirs: SquareAttack, x: Tensor, y: Tensor) -> Tensor:
    """What pyautoattack's search finds, of images of any size and of tied logits too.

    For L2 it begins with tiles of a fifth of the height, which at some sizes, such as 24, do not
    fit. Images of those sizes are widened to a multiple of five; the model does not see the margin.
    And it takes a tie for a success, and is lost where all images are tied.
    """
    height, width = x.shape[-2:]
    side = -(-max(height, width) // 5) * 5
    tile, start = height // 5, height % 5 // 2
    fits = tile and all(start + each // tile * tile <= each for each in (height, width))
    right, bottom = (0, 0) if fits or theirs.norm == "Linf" else (side - width, side - height)
    predict, asked = theirs.predict, theirs.margin_and_loss

    def untied(z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        margin, loss = asked(z, y)
        return margin.masked_fill(margin == 0, torch.finfo(margin.dtype).tiny), loss

    theirs.predict = lambda z: predict(z[..., :height, :width])
    theirs.margin_and_loss = untied
    return theirs.perturb(F.pad(x, (0, right, 0, bottom)), y)[..., :height, :width]
