"""All checks, on the images that a robust figure counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Generator, Tensor, nn

from lookright.attacks import PGD, Ball
from lookright.chance import image_chance
from lookright.diagnostics import inference
from lookright.diagnostics.diagnostic import Diagnostic
from lookright.diagnostics.others import Others
from lookright.diagnostics.trajectory import Trajectory
from lookright.errors import UserError
from lookright.metrics import correct
from lookright.modes import frozen, ordinary

_PREFIX, _DRAWN = "check ", 7301


@dataclass(frozen=True)
class Diagnosis:
    """Can accuracy under PGD be what a working attack would give?

    A figure is too high only by images that it counts as robust and are not. So the checks look at
    those: right at first, because of their own pixels, and right after the attack. Randomness and
    coupling are asked of all, and where they are found nothing else is.

    Signs as in Athalye et al. (ICML 2018, section 3.1), Carlini et al. (arXiv 1902.06705) and
    Pintor et al. (NeurIPS 2022); "fine" is no proof, it means that no sign was seen.

    Args:
        ball, steps: of the attack in doubt, PGD on the cross-entropy.
        queries: of the black-box attack, Square, for each image.
        share: of the images that withstand, those looked at, by their own chance; a few hundred
            in all are enough.

    Raises:
        UserError: a value out of range.
    """

    ball: Ball = field(default_factory=Ball)
    steps: int = 20
    queries: int = 100
    share: float = 1.0

    def __post_init__(self) -> None:
        PGD(steps=self.steps)
        if self.queries < 1:
            raise UserError(f"A diagnosis needs at least 1 query, got queries={self.queries}.")
        if not 0 < self.share <= 1:
            raise UserError(f"share is of the images, above 0 and at most 1, got {self.share:g}.")

    def see(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        attacked: Tensor | None = None,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        """What `verdicts` needs of each image, as float32 (B,) on x's device.

        x (B, 3, H, W) in [0, 1], y (B,); attacked: x as the attack left it, which is run where it
        is None. NaN where nothing was asked. The model comes back as it was.
        """
        x, y = ordinary(x), ordinary(y)
        if attacked is None:
            attacked = PGD(steps=self.steps).within(self.ball)(model, x, y, generator)
        with frozen(model):
            with torch.no_grad():
                logits = model(x)
                withstood = correct(model(attacked), y)
            found = inference.see(model, x, logits)
            withstood |= ~attacked.isfinite().flatten(1).all(1)
            drawn = image_chance(x, 1, _DRAWN)[:, 0] < self.share
            right = correct(logits, y) & inference.lone(found)
            chosen = right & withstood & drawn & (self.ball.eps > 0)
            for group in self._groups:
                found |= {name: torch.full_like(found["repeat"], torch.nan) for name in group.names}
                if chosen.any():
                    for name, of in group.see(model, x[chosen], y[chosen], generator).items():
                        found[name][chosen] = of.float()
        return {_PREFIX + name: of.float() for name, of in found.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the values."""
        names = (*inference.NAMES, *(name for group in self._groups for name in group.names))
        return tuple(_PREFIX + name for name in names)

    def verdicts(
        self,
        values: Mapping[str, Tensor],
        model: nn.Module | None = None,
        curve: Mapping[float, Tensor] = MappingProxyType({}),
    ) -> list[Diagnostic]:
        """One for each check, always in the same order.

        values: those of `see`, of all batches joined. model: where it is given, the layers that
        take statistics from the batch are named. curve: by radius, (n,) bool, whether the answer is
        right under the attack of that radius alone.
        """
        mine = {name.removeprefix(_PREFIX): of for name, of in values.items()}
        trajectory, others = self._groups
        return [
            *trajectory.verdicts(mine),
            *others.verdicts(mine, curve),
            *inference.verdicts(mine, model),
        ]

    @property
    def _groups(self) -> tuple[Trajectory, Others]:
        return Trajectory(self.ball, self.steps), Others(self.ball, self.queries)
