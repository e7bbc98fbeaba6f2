"""All checks, on the images that count as robust."""

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
    """Checks whether accuracy under PGD may be too high because the attack fails.

    The accuracy can only be too high by images that count as robust but are not. The checks
    therefore use the images that are classified correctly before and after the attack, and whose
    logits depend on their own pixels only. Randomness and coupling within the batch are checked on
    all images; if either is found, the other checks are skipped.

    The signs are those of Athalye et al. (ICML 2018, section 3.1), Carlini et al. (arXiv
    1902.06705) and Pintor et al. (NeurIPS 2022). "fine" is no proof: it means that no sign was
    found.

    Args:
        ball, steps: those of the attack to check, PGD on the cross-entropy.
        queries: queries per image of the black-box attack, Square.
        share: share of the images that withstand the attack to check, drawn at random but the same
            in every run; a few hundred images in all are enough.

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
            raise UserError(
                f"share is a share of the images, above 0 and at most 1, got {self.share:g}."
            )

    def see(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        attacked: Tensor | None = None,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        """The values that `verdicts` needs, one per image: float32 (B,) on x's device, by name.

        x (B, 3, H, W) in [0, 1], y (B,); attacked: the attacked images; None runs the attack.
        Values are NaN for images that were not checked. The model is not changed.
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
        """The names of the values."""
        names = (*inference.NAMES, *(name for group in self._groups for name in group.names))
        return tuple(_PREFIX + name for name in names)

    def verdicts(
        self,
        values: Mapping[str, Tensor],
        model: nn.Module | None = None,
        curve: Mapping[float, Tensor] = MappingProxyType({}),
    ) -> list[Diagnostic]:
        """The verdicts, one for each check, always in the same order.

        values: the values of `see`, concatenated over all batches. model: if given, layers that
        take statistics from the batch are named. curve: by radius, (n,) bool, whether the
        prediction is correct under the attack of that radius only.
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
