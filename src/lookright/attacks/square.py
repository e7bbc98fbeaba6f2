"""Square Attack: a random search that needs no gradient."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from pyautoattack.square import SquareAttack
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.borrowed import as_float32, inside, norm_name, seeded
from lookright.attacks.gradient import Attack, check_input
from lookright.attacks.norms import LInf, Norm
from lookright.attacks.objectives import logits_for
from lookright.errors import UserError
from lookright.modes import frozen, ordinary


@dataclass(frozen=True)
class Square(Attack):
    """Square Attack (Andriushchenko et al., ECCV 2020, algorithms 1 to 3), by pyautoattack.

    It uses the logits only: random squares of colour are kept if they lower the margin. It
    therefore works where gradients are masked or missing. An image on which it fails is returned
    unchanged.

    Args:
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        queries: maximum number of forward passes per image; 5000 in AutoAttack. The squares cover
            80% of the image at first and shrink with the number of queries, on the schedule of
            section 5.
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
            x, y = ordinary(x).contiguous(), ordinary(y)  # the library expects both
            if len(x) == 0 or self.eps == 0:
                return x.clone()
            theirs = SquareAttack(
                as_float32(logits_for(model, y), x.dtype),
                norm_name(self.norm),
                self.queries,
                self.eps,
                seed=seed,
                device=x.device,
            )
            return inside(Ball(self.norm, self.eps), searched(theirs, x.float(), y), x)


def searched(theirs: SquareAttack, x: Tensor, y: Tensor) -> Tensor:
    """The result of pyautoattack's search, for images of any size and for tied logits.

    For L2 the library starts with tiles of a fifth of the height, which do not fit some sizes, such
    as 24. Such images are padded to a multiple of five; the model does not see the padding. The
    library also counts a tie of two logits as a success, and fails if all images are tied.
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
