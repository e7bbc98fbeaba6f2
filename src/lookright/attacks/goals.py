"""Where an attack on an explanation wants the saliency to go."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from lookright.attacks.objectives import Ascended
from lookright.distances import Cosine, unit_mass
from lookright.errors import UserError, did_you_mean
from lookright.metrics.manipulation import (
    centre_of_mass,
    diagonals,
    manipulated_centre,
    manipulated_target,
    manipulated_topk,
    on_grid,
)
from lookright.metrics.ranking import top_places
from lookright.named import name_of

_BEHIND = 0.01


class Goal(ABC):
    """`goal(clean)` gives a function of maps to values, and `goal.manipulated` how far they went.

    The function is what a gradient attack ascends: of saliency (B, h, w), (B,), differentiable and
    with a gradient at the clean map itself. `manipulated` is the measure, 0 at the clean map.
    """

    @abstractmethod
    def __call__(self, clean: Tensor) -> Ascended:
        """From attacked maps (B, h, w) to values (B,), given the clean ones (B, h, w)."""

    @abstractmethod
    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """(B,): how far the maps went towards the goal, at most 1."""


@dataclass(frozen=True)
class TopK(Goal):
    """Drive the saliency off its most salient places (Ghorbani, Abid and Zou, AAAI 2019).

    share: of the places, that counts as the most salient; a tenth is that of `manipulated_topk`.
    What is ascended is the share of the mass that lies elsewhere.

    Raises:
        UserError: a share outside (0, 1].
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise UserError(f"TopK's share lies in (0, 1], got {self.share}; give 0.1 for 10%.")

    def __call__(self, clean: Tensor) -> Ascended:
        top = top_places(clean, self.share)
        return lambda saliency: (unit_mass(saliency) * ~top).sum((-2, -1))

    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """The share of the clean map's most salient places that are lost."""
        return manipulated_topk(clean, saliency, self.share)


@dataclass(frozen=True)
class MassCentre(Goal):
    """Move the saliency's centre of mass away (Ghorbani, Abid and Zou, AAAI 2019).

    The distance has no gradient at the clean centre, so it is taken from a point behind it, as seen
    from the farthest corner, by a hundredth of the way there.
    """

    def __call__(self, clean: Tensor) -> Ascended:
        centre = centre_of_mass(clean)
        corner = (centre < 0.5).to(centre.dtype)
        behind = centre - _BEHIND * (corner - centre)
        return lambda saliency: diagonals(centre_of_mass(saliency) - behind, clean)

    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """The centre's way as a share of the diagonal."""
        return manipulated_centre(clean, saliency)


@dataclass(frozen=True)
class TargetMap(Goal):
    """Reach a given map (Dombrowski et al., NeurIPS 2019).

    target: non-negative, one map (h, w) for all images or (B, h, w); resized to the saliency's
    grid. None is a disc in the corner that is farthest from the clean map's centre of mass
    (`metrics.manipulation.far_disc`). What is ascended is the cosine, blind to the maps' scale.
    """

    target: Tensor | None = field(default=None, compare=False)

    def __call__(self, clean: Tensor) -> Ascended:
        target = on_grid(self.target, clean)
        return lambda saliency: 1 - Cosine()(saliency, target)

    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """The cosine with the target that was gained."""
        return manipulated_target(clean, saliency, self.target)


GOALS: dict[str, Goal] = {"topk": TopK(), "centre": MassCentre(), "target": TargetMap()}
"""Each goal by the name of its measure, `manipulated_<name>`."""


def goal_of(goal: str | Goal) -> Goal:
    """The goal of that name, or the user's own; raises UserError with the nearest name."""
    if not isinstance(goal, str):
        return goal
    if goal not in GOALS:
        raise UserError(
            f"Unknown goal '{goal}' of an attack on the explanation; expected one of "
            f"{', '.join(GOALS)}.{did_you_mean(goal, GOALS)}"
        )
    return GOALS[goal]


def goal_name(goal: str | Goal) -> str:
    """What a result calls it: a known one by its name, any other by its class."""
    known = (name for name, each in GOALS.items() if goal in (name, each))
    return next(known, name_of(goal))
