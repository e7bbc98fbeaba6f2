"""How a model is judged."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

from lookright.attacks import GOALS, PGD, Attack, AutoAttack, Ball, LInf, Norm
from lookright.claims.values import check_tau
from lookright.corruptions import CORRUPTIONS, corruption_named
from lookright.corruptions.corruption import check_severity
from lookright.diagnostics import Diagnosis
from lookright.errors import UserError, did_you_mean
from lookright.explainers import Explainer, GradCAM
from lookright.metrics import Scorecard
from lookright.statistics.bounds import check_delta
from lookright.versions import described


@dataclass(frozen=True)
class Protocol:
    """How a model is judged.

    Args:
        eps, norm: the ball of the attacks, in pixel units.
        pgd_steps, restarts: of the main attack; its step is 2.5 * eps / steps.
        curve_eps: further radii of the robustness curve, PGD with 10 steps each; 0 and eps are
            always on it.
        attacks: more attacks in the same ball, such as AutoAttack; each has an accuracy of its own,
            several of one name that of the worst of them, and its share in the worst of all.
        diagnosed: of a domain's images, about how many the checks of its robust figures look at.
        explainer: whose explanations are judged, always of the class predicted on the clean image.
        fills: what takes the place of removed pixels, each in turn: blur, mean or black. The fill
            decides these figures (a blur keeps colours, black makes edges), so there are two.
        removal_steps: points of the deletion and insertion curves after the first.
        corruptions, severities: each corruption, by its name in ImageNet-C, at each severity from 1
            to 5.
        goals: where attacks on the explanation manipulate it: topk, centre, target.
        tau, delta: an explanation counts as kept from a cosine of tau on, and the claims of a
            domain hold together with probability 1 - delta.
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
    diagnosed: int = 256
    explainer: Explainer = field(default_factory=GradCAM)
    fills: tuple[str, ...] = ("blur", "mean")
    removal_steps: int = 16
    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    goals: tuple[str, ...] = ()
    tau: float = 0.8
    delta: float = 0.05
    batch_size: int = 128
    limit: int | None = None
    examples: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        _ = self.scorecard
        check_tau(self.tau)
        check_delta(self.delta)
        for name in self.corruptions:
            corruption_named(name)
        for severity in self.severities:
            check_severity(severity)
        for goal in self.goals:
            if goal not in GOALS:
                raise UserError(
                    f"Unknown goal '{goal}' of an attack on the explanation; expected one of "
                    f"{', '.join(GOALS)}.{did_you_mean(goal, GOALS)}"
                )
        for name in ("batch_size", "examples", "diagnosed"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be 1 or more, got {getattr(self, name)}.")
        if self.limit is not None and self.limit < 1:
            raise UserError(f"limit must be 1 or more images, or none; got {self.limit}.")
        for eps in (self.eps, *self.curve_eps):
            PGD(eps, self.pgd_steps, norm=self.norm, restarts=self.restarts)
        for attack in self.attacks:
            if attack.ball not in (None, self._ball):
                raise UserError(
                    f"The attacks of a protocol share its ball, {self._ball.words}, but "
                    f"{type(attack).__name__} has {attack.ball.words}: give it the same norm and "
                    "eps."
                )

    def thorough(self) -> Self:
        """This protocol with AutoAttack, all corruptions and all attacks on the explanation."""
        return replace(
            self,
            attacks=(*self.attacks, AutoAttack(self.eps, self.norm)),
            corruptions=tuple(CORRUPTIONS),
            goals=tuple(GOALS),
        )

    @property
    def attack(self) -> PGD:
        """The main attack."""
        return PGD(self.eps, self.pgd_steps, norm=self.norm, restarts=self.restarts)

    @property
    def _ball(self) -> Ball:
        return Ball(self.norm, self.eps)

    def diagnosis(self, total: int) -> Diagnosis:
        """The checks of the robust figures of a domain of so many images."""
        share = min(1.0, self.diagnosed / total)
        return Diagnosis(self._ball, self.pgd_steps, share=share)

    @property
    def scorecard(self) -> Scorecard:
        """What measures the explanations."""
        return Scorecard(self.explainer, self.fills, self.removal_steps)

    @property
    def corrupted(self) -> list[tuple[str, int]]:
        """Every corruption with every severity."""
        return [(name, severity) for name in self.corruptions for severity in self.severities]

    @property
    def radii(self) -> tuple[float, ...]:
        """Those of the robustness curve, ascending from 0."""
        return tuple(sorted({0.0, self.eps, *self.curve_eps}))

    def describe(self) -> dict[str, Any]:
        """The settings as JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain |= {"norm": type(self.norm).__name__, "curve_eps": list(self.curve_eps)}
        plain |= {"attacks": [described(attack) for attack in self.attacks]}
        plain |= {
            name: list(getattr(self, name))
            for name in ("fills", "corruptions", "severities", "goals")
        }
        return plain | {"explainer": described(self.explainer)}
