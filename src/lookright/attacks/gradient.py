"""Gradient attacks: one loop for every norm, objective and number of steps."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from math import inf
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.borrowed import seeded
from lookright.attacks.norms import LInf, Norm
from lookright.attacks.objectives import (
    Ascended,
    CrossEntropy,
    Objective,
    check_labels,
    logits_of,
)
from lookright.attacks.parts import check_part
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.explainers.explainer import gradient_or_zero
from lookright.guides.guide import Guide
from lookright.metrics import correct
from lookright.models import Classifier
from lookright.modes import frozen, may_look, ordinary


class Attack(ABC):
    """`attack(model, x, y)` gives x' (B, 3, H, W), in the eps-ball around x and in [0, 1].

    x is (B, 3, H, W) in [0, 1], y (B,) the labels (the target classes of a targeted attack). The
    model is not changed: its modes, buffers, `.grad` and `requires_grad` are restored. Random
    numbers come from `generator`, on x's device, or else from torch's global generator.

    An attack is a dataclass whose fields `eps` and `norm` define its ball; without a field `norm`
    the ball is in L-inf. needs_masks: whether in training it needs masks (`on`), of the method's
    guide or annotated ones.
    """

    needs_masks: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        """The perturbed images."""

    @property
    def ball(self) -> Ball | None:
        """The ball of its `eps` and `norm`; None if it has no eps, or an infinite one."""
        eps = getattr(self, "eps", inf)
        return None if eps == inf else Ball(getattr(self, "norm", LInf()), eps)

    def on(self, batch: Batch, progress: float = 1.0, guide: Guide | None = None) -> "Attack":
        """The attack on these images in training; itself unless its ball depends on their masks.

        progress: the share of training that is done, in [0, 1]; guide: that of the method.
        """
        return self

    def within(self, ball: Ball) -> Self:
        """A copy of this attack in another ball; the attack itself if it has no ball.

        Raises:
            UserError: its ball cannot be changed, or it does not support that norm.
        """
        name = type(self).__name__
        options = {each.name for each in fields(self) if each.init} if is_dataclass(self) else ()
        if "eps" not in options:
            if self.ball in (None, ball):
                return self
            raise UserError(
                f"{name} cannot be moved to another ball: make it a dataclass with a field eps, "
                "or give it a method within(ball)."
            )
        norm = getattr(self, "norm", LInf())
        if "norm" not in options and norm != ball.norm:
            raise UserError(
                f"{name} supports only the norm {norm.words}, but the ball is {ball.words}: choose "
                f"another attack, or a ball in {norm.words}."
            )
        there: Any = {"eps": ball.eps, "norm": ball.norm}
        return replace(self, **{option: there[option] for option in there if option in options})  # type: ignore[type-var]


@dataclass(frozen=True)
class PGD(Attack):
    """Projected gradient descent (Madry et al., ICLR 2018, section 2.1).

    Args:
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        steps: gradient steps.
        step_size: length of one step; None is 2.5 * eps / steps, from the paper's section 5.
        norm: `LInf()` or `L2()`.
        random_start: begin at a random point of the ball instead of at x.
        restarts: independent runs, of which the worst is kept for each image: a misclassified
            result if there is one, else the result with the largest objective.
        targeted: y are target classes to reach, and the objective is minimised.
        objective: the function of the perturbed images that is maximised.

    Raises:
        UserError: eps, steps, step_size or restarts out of range; an objective that is flat at x
            without a random start; images outside [0, 1]; labels outside the classes, which an
            objective of explanations refuses for a `Classifier`.
    """

    eps: float = 8 / 255
    steps: int = 10
    step_size: float | None = None
    norm: Norm = field(default_factory=LInf)
    random_start: bool = True
    restarts: int = 1
    targeted: bool = False
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        if self.steps < 1 or self.restarts < 1:
            raise UserError(
                f"PGD needs at least 1 step and 1 restart, got steps={self.steps}, "
                f"restarts={self.restarts}."
            )
        _check_objective(self.objective, self.random_start)
        if self.step_size is not None and not 0 < self.step_size < inf:
            raise UserError(f"step_size is a length above 0 in pixel units, got {self.step_size}.")

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        if len(x) == 0:
            return ordinary(x)
        step_size = 2.5 * self.eps / self.steps if self.step_size is None else self.step_size
        with frozen(model), _drawing(self.objective, generator):
            x, y = ordinary(x), ordinary(y)
            value = self.objective(model, x, y)
            worst = self._run(value, x, step_size, generator)
            if self.restarts > 1:
                fooled, reached = self._evaluate(model, value, worst, y)
                for _ in range(self.restarts - 1):
                    other = self._run(value, x, step_size, generator)
                    other_fooled, other_reached = self._evaluate(model, value, other, y)
                    better = (other_fooled & ~fooled) | (
                        (other_fooled == fooled) & (other_reached > reached)
                    )
                    worst = torch.where(better[:, None, None, None], other, worst)
                    fooled, reached = (
                        fooled | better & other_fooled,
                        torch.where(better, other_reached, reached),
                    )
        return worst

    def _run(
        self, value: Ascended, x: Tensor, step_size: float, generator: Generator | None
    ) -> Tensor:
        ball = Ball(self.norm, self.eps)
        z = ball.start(x, generator) if self.random_start else x.clone()
        length = -step_size if self.targeted else step_size
        for _ in range(self.steps):
            z.requires_grad_()
            gradient = gradient_of(value(z), z)
            with torch.no_grad():
                delta = (z - x).add_(self.norm.direction(gradient), alpha=length)
                z = ball.moved(x, delta)
        return z.detach()

    def _evaluate(
        self, model: nn.Module, value: Ascended, z: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            hit = correct(logits_of(model, z), y)
        # Objectives on explanations take gradients themselves, so gradients stay enabled.
        reached = value(z).detach()
        return (hit, -reached) if self.targeted else (~hit, reached)


@dataclass(frozen=True)
class FGSM(Attack):
    """Fast gradient sign method (Goodfellow et al., ICLR 2015, section 4): one step of length eps.

    Arguments and errors as `PGD`; in the L2 norm the step follows the normalised gradient.
    """

    eps: float = 8 / 255
    norm: Norm = field(default_factory=LInf)
    targeted: bool = False
    objective: Objective = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        _check_objective(self.objective, random_start=False)

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        return PGD(
            self.eps, 1, self.eps or 1.0, self.norm, False, 1, self.targeted, self.objective
        )(model, x, y, generator)


@contextmanager
def _drawing(objective: Objective, generator: Generator | None) -> Iterator[None]:
    """Numbers that an objective draws from torch's global state follow the generator, if any."""
    if generator is None or not objective.draws:
        yield
        return
    own = Generator(generator.device)  # the attack's own numbers are those that it has without
    own.set_state(generator.get_state())
    with seeded(own) as seed:
        torch.manual_seed(seed)
        yield


def _check_objective(objective: Objective, random_start: bool) -> None:
    """Raise UserError on what is none, and without a random start on one whose gradient, at the
    clean images, is rounding noise."""
    check_part("objective", objective, "Margin()", Objective)
    if objective.flat and not random_start:
        raise UserError(
            f"{type(objective).__name__} has no gradient at the clean images, where this attack "
            "begins: use PGD with its random start, with one step for FGSM."
        )


def check_untargeted(attack: Attack) -> None:
    """Raise UserError on a targeted attack, where its targets would be the labels themselves."""
    if getattr(attack, "targeted", False):
        raise UserError(
            f"{type(attack).__name__} is targeted, and its targets would be the labels themselves, "
            "which the model is to answer: leave targeted out."
        )


def check_judge(attack: Attack) -> None:
    """Raise UserError on an attack that needs masks, for it is one of training and a model is
    judged within a ball, and on a targeted one."""
    check_untargeted(attack)
    if getattr(attack, "needs_masks", False):
        raise UserError(
            f"{type(attack).__name__} is for training, where its radius follows the masks: judge a "
            "model under an attack within one radius, such as PGD."
        )


def gradient_of(value: Tensor, z: Tensor) -> Tensor:
    """The gradient of values (B,) with respect to z; zero where it is NaN or blocked."""
    return gradient_or_zero(value.sum(), z, keep=False).nan_to_num(0, inf, -inf)


def check_input(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Raise UserError on images outside [0, 1] and on labels that do not fit images or model.

    Only a `Classifier` names its classes before it is asked; `logits_for` checks the others.
    """
    if x.ndim != 4 or not x.is_floating_point():
        raise UserError(
            f"An attack needs floating images (B, C, H, W) in [0, 1], got {x.dtype} of shape "
            f"{tuple(x.shape)}."
        )
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise UserError(
            f"An attack needs one label per image, as int64 labels (B,), got {len(y)} for {len(x)} "
            f"images, as {y.dtype} of shape {tuple(y.shape)}."
        )
    if len(x) == 0 or not may_look():
        return
    low, high = x.aminmax()
    if low.isnan():
        raise UserError("An attack needs images in [0, 1], got NaN; look for it in the data.")
    if low < 0 or high > 1:
        raise UserError(
            f"An attack needs images in [0, 1], got values in [{low:.3g}, {high:.3g}]; put the "
            "normalisation inside the model (lookright.models.Classifier)."
        )
    if isinstance(model, Classifier):
        check_labels(y, len(model.classes))
