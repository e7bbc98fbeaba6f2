"""The worst case over several attacks, image by image."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.gradient import Attack, check_input, check_untargeted
from lookright.attacks.objectives import logits_for
from lookright.attacks.parts import check_parts
from lookright.errors import UserError
from lookright.metrics import correct
from lookright.modes import frozen, ordinary

Run = Callable[[Tensor, Tensor], Tensor]
"""An attack that knows its model: images and labels to perturbed images."""


@dataclass(frozen=True)
class WorstCase(Attack):
    """Several attacks one after another, each on the images that withstood the earlier ones.

    An image that is misclassified without any attack is returned unchanged. Otherwise the result is
    that of the first attack that made the model wrong, or, if the image withstands all of them, the
    one with the smallest margin. Whether an attack succeeded is always checked with the model.

    Args:
        attacks: the attacks, the quickest first, since most images need no other; the same attack
            twice is a restart. All share one ball; an attack without a ball is used as it is.

    Raises:
        UserError: no attacks, a targeted one, or attacks in different balls or in one that follows
            masks; images outside [0, 1]; labels outside the classes.
    """

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        check_parts("attacks", self.attacks, "PGD()", Attack)
        if not self.attacks:
            raise UserError("WorstCase needs at least one attack, got none.")
        for each in self.attacks:
            check_untargeted(each)
        if shaped := [type(each).__name__ for each in self.attacks if each.needs_masks]:
            raise UserError(
                f"The attacks of a worst case share one ball, but that of {shaped[0]} follows the "
                "masks: train with it alone, or leave it out."
            )
        if len(self._balls) > 1:
            balls = " and ".join(ball.words for ball in self._balls)
            raise UserError(
                f"The attacks of a worst case share one ball, but these have {balls}: give all of "
                "them the same norm and eps."
            )

    @property
    def _balls(self) -> list[Ball]:
        return [*dict.fromkeys(each.ball for each in self.attacks if each.ball is not None)]

    @property
    def ball(self) -> Ball | None:
        """The ball of its attacks; None if none of them has one."""
        return next(iter(self._balls), None)

    def within(self, ball: Ball) -> Self:
        """A copy with each of its attacks in another ball."""
        return replace(self, attacks=tuple(each.within(ball) for each in self.attacks))

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)

        def run(attack: Attack) -> Run:
            return lambda x, y: attack(model, x, y, generator)

        with frozen(model):
            return one_after_another(model, ordinary(x), ordinary(y), map(run, self.attacks))


def one_after_another(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attacks: Iterable[Run],
) -> Tensor:
    """The result of `WorstCase` for attacks that already hold their model."""
    found = x.clone()
    if len(x) == 0:
        return found
    right, least = _asked(model, x, y)
    left = right.nonzero()[:, 0]
    for attack in attacks:
        if len(left) == 0:
            break
        z = attack(x[left], y[left])
        right, margin = _asked(model, z, y[left])
        closer = ~right | (margin < least[left])
        found[left[closer]], least[left[closer]] = z[closer], margin[closer]
        left = left[right]
    return found


def _asked(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) whether the model is right, and (B,) the label's logit minus the best other."""
    with torch.no_grad():
        logits = logits_for(model, y)(x)
    label = y[:, None]
    margin = logits.gather(1, label)[:, 0] - logits.scatter(1, label, -torch.inf).amax(1)
    return correct(logits, y), margin
