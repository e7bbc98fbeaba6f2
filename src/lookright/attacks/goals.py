"""Goals of an attack on an explanation: in which way the saliency should change."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from torch import Tensor

from lookright.attacks.objectives import Ascended
from lookright.attacks.parts import check_part
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
    """`goal(clean)` gives the function to ascend; `goal.manipulated` measures the change.

    The function maps saliency (B, h, w) to values (B,). It is differentiable, and its gradient is
    not zero at the clean map. `manipulated` is the reported measure, 0 at the clean map.
    """

    @abstractmethod
    def __call__(self, clean: Tensor) -> Ascended:
        """A function from attacked maps (B, h, w) to values (B,), given the clean maps."""

    @abstractmethod
    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """(B,): how far the maps moved towards the goal, at most 1."""


@dataclass(frozen=True)
class TopK(Goal):
    """Move the saliency away from its most salient places (Ghorbani, Abid and Zou, AAAI 2019).

    share: the share of places that count as the most salient; `manipulated_topk` takes a tenth. The
    attack maximises the share of the mass that lies elsewhere.

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
        """The share of the clean map's most salient places that are no longer among them."""
        return manipulated_topk(clean, saliency, self.share)


@dataclass(frozen=True)
class MassCentre(Goal):
    """Move the saliency's centre of mass away (Ghorbani, Abid and Zou, AAAI 2019).

    The distance from the clean centre has no gradient at the clean centre itself. It is therefore
    measured from a point behind it, shifted away from the farthest corner by a hundredth of the
    distance to that corner.
    """

    def __call__(self, clean: Tensor) -> Ascended:
        centre = centre_of_mass(clean)
        corner = (centre < 0.5).to(centre.dtype)
        behind = centre - _BEHIND * (corner - centre)
        return lambda saliency: diagonals(centre_of_mass(saliency) - behind, clean)

    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """The shift of the centre of mass as a share of the diagonal."""
        return manipulated_centre(clean, saliency)


@dataclass(frozen=True)
class TargetMap(Goal):
    """Reach a given map (Dombrowski et al., NeurIPS 2019).

    target: non-negative, one map (h, w) for all images or (B, h, w); resized to the saliency's
    grid. None is a disc in the corner that is farthest from the clean map's centre of mass
    (`metrics.manipulation.far_disc`). The attack maximises the cosine, which does not depend on the
    scale of the maps.
    """

    target: Tensor | None = field(default=None, compare=False)

    def __call__(self, clean: Tensor) -> Ascended:
        target = on_grid(self.target, clean)
        return lambda saliency: 1 - Cosine()(saliency, target)

    def manipulated(self, clean: Tensor, saliency: Tensor) -> Tensor:
        """The gain in cosine similarity with the target."""
        return manipulated_target(clean, saliency, self.target)


GOALS: dict[str, Goal] = {"topk": TopK(), "centre": MassCentre(), "target": TargetMap()}
"""The goals by name; the measure of each is `manipulated_<name>`."""


def goal_of(goal: str | Goal) -> Goal:
    """The goal of that name, or the given goal.

    Raises:
        UserError: an unknown name, with the nearest one; what is no goal.
    """
    if not isinstance(goal, str):
        check_part("a goal", goal, "TopK()", Goal)
        return goal
    if goal not in GOALS:
        raise UserError(
            f"Unknown goal '{goal}' of an attack on the explanation; expected one of "
            f"{', '.join(GOALS)}.{did_you_mean(goal, GOALS)}"
        )
    return GOALS[goal]


def goal_name(goal: str | Goal) -> str:
    """The goal's name in a result: that of a built-in goal, or else the name of its class."""
    if isinstance(goal, TargetMap) and goal.target is not None:
        return name_of(goal)
    known = (name for name, each in GOALS.items() if goal in (name, each))
    return next(known, name_of(goal))
