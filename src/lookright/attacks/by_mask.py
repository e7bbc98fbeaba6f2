"""An attack whose radius depends on the mask: small on the object, large beside it."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball, check_radius
from lookright.attacks.gradient import FGSM, PGD, Attack, check_untargeted
from lookright.attacks.norms import LInf, Norm
from lookright.batch import Batch
from lookright.distances import resize
from lookright.errors import UserError
from lookright.guides.guide import Guide
from lookright.guides.human import HumanMask


@dataclass(frozen=True)
class ByMask(Attack):
    """In training, the attack within its eps on the object and within `beside` off it, in L-inf.

        |x' - x| <= eps M(x) + beside (1 - M(x)), M(x) the mask in [0, 1]

    M is the mask of the method's guide, such as `LearnedMask`, from the guide's warm-up on; the
    annotated one for methods that have no guide, or one that gives explanations.

    A background that an attacker may paint over is worth nothing to the model, which is what the
    first lemma of ALIGN (arXiv 2511.06944) asks for; this attack is this project's own. Images
    without a mask, pixels that the masks leave open, and images outside of training are attacked
    within eps alone.

    Args:
        attack: the attack on the object, `PGD` or `FGSM` in L-inf; its step is scaled likewise.
        beside: the radius off the object, in pixel units.
        growth: the share of training over which the radius off the object grows from eps, from the
            guide's warm-up on.

    Raises:
        UserError: an attack of another kind or norm, or a targeted one; eps 0; beside or growth out
            of range; images without masks in training.
    """

    needs_masks: ClassVar[bool] = True

    attack: Attack = field(default_factory=PGD)
    beside: float = 20 / 255
    growth: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.attack, FGSM | PGD) or self.attack.norm != LInf():
            norm = getattr(self.attack, "norm", LInf()).words
            raise UserError(
                f"ByMask shapes the ball of PGD or FGSM in L-inf, got {type(self.attack).__name__} "
                f"in {norm}: choose one of these."
            )
        check_untargeted(self.attack)
        if self.attack.eps == 0:
            raise UserError(
                "ByMask scales the radius on the object: its attack needs an eps above 0."
            )
        check_radius("beside", self.beside)
        if not 0 <= self.growth < inf:
            raise UserError(f"growth is a share of training, 0 or more, got {self.growth}.")

    @property
    def ball(self) -> Ball | None:
        """That of the attack on the object, in which a model is also validated."""
        return self.attack.ball

    def within(self, ball: Ball) -> Self:
        """A copy with another radius on the object."""
        return replace(self, attack=self.attack.within(ball))

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return self.attack(model, x, y, generator)

    def on(self, batch: Batch, progress: float = 1.0, guide: Guide | None = None) -> Attack:
        assert isinstance(self.attack, FGSM | PGD)
        if guide is None or guide.of_model:
            guide = HumanMask()
            if batch.masks is None:
                raise UserError(
                    "ByMask needs images with masks, got a batch without: give them "
                    "(Batch(masks=...), --masks), or attack by PGD alone."
                )
        begun = progress - guide.warm_up
        if begun < 0:
            return self.attack
        grown = min(1.0, begun / self.growth) if self.growth else 1.0
        with torch.no_grad():
            target = guide(batch, batch.images[:, 0])
        off = 1 - target.maps.to(batch.images)
        if target.known is not None:
            off = off * target.known[:, None, None]
        if target.ignored is not None:
            off = off.masked_fill(target.ignored, 0)
        off = resize(off, batch.images.shape[-2:])[:, None]
        wider = self.beside / self.attack.eps - 1
        return replace(self.attack, norm=_Weighted(1 + off * (grown * wider)))


@dataclass(frozen=True, eq=False)
class _Weighted(Norm):
    """Every pixel value moves by at most eps times its weight.

    weights: (B, 1, H, W) or of the images' shape, 0 or more. Two such norms are equal only if they
    are one object.
    """

    weights: Tensor

    @property
    def words(self) -> str:
        return "weighted L-inf"

    def random(self, like: Tensor, eps: float, generator: Generator | None) -> Tensor:
        return self.weights * LInf().random(like, eps, generator)

    def direction(self, gradient: Tensor) -> Tensor:
        return self.weights * gradient.sign()

    def project(self, delta: Tensor, eps: float) -> Tensor:
        return delta.clamp(-eps * self.weights, eps * self.weights)
