"""How a model is judged."""

from dataclasses import dataclass, field
from typing import Any

from lookright.attacks import PGD, Attack, LInf, Norm
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM
from lookright.metrics import fill_named


@dataclass(frozen=True)
class Protocol:
    """How a model is judged.

    Args:
        eps, norm: the ball of the attacks, in pixel units.
        pgd_steps, restarts: of the main attack; its step is 2.5 * eps / steps.
        curve_eps: further radii of the robustness curve, PGD with 10 steps each; 0 and eps are
            always on it.
        attacks: more attacks in the same ball, such as AutoAttack; each has an accuracy of its own,
            and its share in the worst of all.
        explainer: whose explanations are judged, always of the class predicted on the clean image.
        fills: what takes the place of removed pixels, each in turn: blur, mean or black. The fill
            decides these figures (a blur keeps colours, black makes edges), so there are two.
        batch_size: images at once.
        limit: judge at most so many images of a domain, drawn by the seed; None is all.
        examples: images of a domain that are kept to be shown.
        seed: of the attacks' random starts and of the draw.
    """

    eps: float = 8 / 255
    norm: Norm = field(default_factory=LInf)
    pgd_steps: int = 20
    restarts: int = 2
    curve_eps: tuple[float, ...] = (1 / 255, 2 / 255, 4 / 255, 16 / 255)
    attacks: tuple[Attack, ...] = ()
    explainer: Explainer = field(default_factory=GradCAM)
    fills: tuple[str, ...] = ("blur", "mean")
    batch_size: int = 128
    limit: int | None = None
    examples: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        for fill in self.fills:
            fill_named(fill)
        for name in ("batch_size", "examples"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more images, or none; got {self.limit}.")
        for eps in (self.eps, *self.curve_eps):
            PGD(eps, self.pgd_steps, norm=self.norm, restarts=self.restarts)
        for attack in self.attacks:
            if attack.eps != self.eps:
                raise UserError(
                    f"The attacks of a protocol share its ball, eps {self.eps:g}, but "
                    f"{type(attack).__name__} has eps {attack.eps:g}: give it the same."
                )

    @property
    def radii(self) -> tuple[float, ...]:
        """Those of the robustness curve, ascending from 0."""
        return tuple(sorted({0.0, self.eps, *self.curve_eps}))

    def describe(self) -> dict[str, Any]:
        """The settings as JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {"norm": type(self.norm).__name__, "curve_eps": list(self.curve_eps)}
        plain |= {"fills": list(self.fills), "attacks": [repr(attack) for attack in self.attacks]}
        return plain | {"explainer": repr(self.explainer)}
