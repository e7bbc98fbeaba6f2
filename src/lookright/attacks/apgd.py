"""APGD: projected gradient descent that chooses its own step sizes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.gradient import Attack, check_input, gradient_of
from lookright.attacks.norms import LInf, Norm
from lookright.attacks.objectives import logits_for, logits_of
from lookright.errors import UserError
from lookright.metrics import correct
from lookright.modes import frozen, ordinary

LossName = Literal["ce", "margin", "dlr", "dlr-targeted"]

_TARGETS = 9
_MOMENTUM, _RISING = 0.75, 0.75


@dataclass(frozen=True)
class APGD(Attack):
    """Auto-PGD (Croce & Hein, ICML 2020, algorithm 1): PGD with momentum and adaptive steps.

    A run starts at a random point with a step size of 2 eps. At checkpoints, the first after 22% of
    the steps and the following ones at shrinking intervals, the step size of an image is halved and
    the image returns to its best point if its loss rose in at most three of four steps, or if its
    best loss has not grown.

    An image is dropped from the run at the first point where the model is wrong, so the cost is
    that of the images that withstand the attack. An image that is misclassified without any attack
    is returned unchanged; one that withstands all runs is returned at the point of its largest
    loss.

    Args:
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        steps: gradient steps of a run; 100 in AutoAttack.
        restarts: independent runs, each on the images that withstood the earlier ones.
        norm: `LInf()` or `L2()`.
        loss: the loss that is maximised. "ce": the cross-entropy; "margin": the best other logit
            minus the label's; "dlr": the margin divided by the largest logit minus the third (eq.
            6), which does not depend on the scale of the logits; "dlr-targeted" (eq. 7): one run
            for each of the 9 most likely other classes, or for all of them if there are fewer.

    Raises:
        UserError: eps, steps or restarts out of range; an unknown loss; too few classes for the
            loss (dlr needs 3, dlr-targeted 4); images outside [0, 1]; labels outside the classes.
    """

    eps: float = 8 / 255
    steps: int = 100
    restarts: int = 1
    norm: Norm = field(default_factory=LInf)
    loss: LossName = "ce"

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        if self.steps < 1 or self.restarts < 1:
            raise UserError(
                f"APGD needs at least 1 step and 1 restart, got steps={self.steps}, "
                f"restarts={self.restarts}."
            )
        if self.loss not in get_args(LossName):
            raise UserError(
                f"loss must be one of {', '.join(get_args(LossName))}, got {self.loss}."
            )

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        with frozen(model):
            x, y = ordinary(x), ordinary(y)
            found = x.clone()
            if len(x) == 0:
                return found
            with torch.no_grad():
                logits = logits_for(model, y)(x)
            left = correct(logits, y).nonzero()[:, 0]
            reached = torch.full_like(x[:, 0, 0, 0], -inf)
            for target in self._targets(logits, y) * self.restarts:
                if len(left) == 0:
                    break
                z, value, fallen = self._run(model, x[left], y[left], target[left], generator)
                better = fallen | (value > reached[left])
                found[left[better]], reached[left[better]] = z[better], value[better]
                left = left[~fallen]
        return found

    def _targets(self, logits: Tensor, y: Tensor) -> list[Tensor]:
        """The target classes (B,) of each run; y itself for a loss without a target."""
        classes = logits.shape[1]
        needed = {"dlr": 3, "dlr-targeted": 4}.get(self.loss, 2)
        if classes < needed:
            raise UserError(
                f"The loss {self.loss} needs {needed} classes or more, and this model has "
                f"{classes}: use loss=margin."
            )
        if self.loss != "dlr-targeted":
            return [y]
        others = logits.scatter(1, y[:, None], -inf).topk(min(_TARGETS, classes - 1)).indices
        return list(others.unbind(1))

    def _run(
        self, model: nn.Module, x: Tensor, y: Tensor, target: Tensor, generator: Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The image reached (B, C, H, W), its loss (B,) and whether the attack succeeded (B,)."""
        ball = Ball(self.norm, self.eps)
        start = ball.start(x, generator)
        rows = _Rows.starting(x, y, target, start, 2 * self.eps)
        found, reached = start.clone(), torch.zeros_like(rows.value)
        fallen = torch.zeros_like(rows.halved)
        period = max(int(0.22 * self.steps), 1)
        checkpoint = period
        for step in range(self.steps + 1):
            if step > 0:
                _move(rows, ball, 1.0 if step == 1 else _MOMENTUM)
            with torch.set_grad_enabled(step < self.steps):
                z = rows.z.detach().requires_grad_(step < self.steps)
                logits = logits_of(model, z).to(z.dtype)
                value = _LOSSES[self.loss](logits, rows.y, rows.target)
                gradient = gradient_of(value, z)
            rows.arrive(value.detach(), gradient)
            wrong = ~correct(logits, rows.y)
            if wrong.any():
                at = rows.at[wrong]
                found[at], reached[at], fallen[at] = rows.z[wrong], rows.value[wrong], True
                rows.keep(~wrong)
                if len(rows.at) == 0:
                    return found, reached, fallen
            if step == checkpoint:
                rows.check(period)
                period = max(period - max(int(0.03 * self.steps), 1), int(0.06 * self.steps), 1)
                checkpoint += period
        found[rows.at], reached[rows.at] = rows.best, rows.best_value
        return found, reached, fallen


def _move(rows: "_Rows", ball: Ball, share: float) -> None:
    """Algorithm 1, lines 7 and 8: `share` times a projected step, plus momentum."""
    ahead = ball.project(rows.z + rows.step * ball.norm.direction(rows.gradient), rows.x)
    drift = share * (ahead - rows.z) + (1 - share) * (rows.z - rows.before)
    rows.before, rows.z = rows.z, ball.project(rows.z + drift, rows.x)


@dataclass
class _Rows:
    """The images of a run that are still classified correctly; `at` is their index in the batch.

    step: step size (b, 1, 1, 1); rises: how often the loss has risen since the last checkpoint;
    checked: the best loss at that checkpoint; halved: whether the step was halved there.
    """

    at: Tensor
    x: Tensor
    y: Tensor
    target: Tensor
    z: Tensor
    before: Tensor
    gradient: Tensor
    best: Tensor
    best_gradient: Tensor
    value: Tensor
    best_value: Tensor
    checked: Tensor
    step: Tensor
    rises: Tensor
    halved: Tensor

    @staticmethod
    def starting(x: Tensor, y: Tensor, target: Tensor, z: Tensor, step: float) -> "_Rows":
        each = torch.zeros_like(x[:, 0, 0, 0])
        return _Rows(
            at=torch.arange(len(x), device=x.device),
            x=x,
            y=y,
            target=target,
            z=z,
            before=z,
            gradient=z,
            best=z,
            best_gradient=z,
            value=each + inf,
            best_value=each - inf,
            checked=each,
            step=torch.full_like(x[:, :1, :1, :1], step),
            rises=each,
            halved=torch.ones_like(each, dtype=torch.bool),
        )

    def keep(self, which: Tensor) -> None:
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name)[which])

    def arrive(self, value: Tensor, gradient: Tensor) -> None:
        self.rises = self.rises + (value > self.value)
        self.value, self.gradient = value, gradient
        self._take(value > self.best_value, best=self.z, best_gradient=gradient, best_value=value)

    def check(self, period: int) -> None:
        """Algorithm 1, lines 11 to 15: the two conditions of section 3.2."""
        still = ~self.halved & (self.best_value <= self.checked)
        self.halved = still | (self.rises <= _RISING * period)
        self.checked, self.rises = self.best_value, torch.zeros_like(self.rises)
        self._take(self.halved, z=self.best, gradient=self.best_gradient, step=self.step / 2)

    def _take(self, which: Tensor, **others: Tensor) -> None:
        for name, other in others.items():
            mine = getattr(self, name)
            where = which.view(-1, *[1] * (mine.ndim - 1))
            setattr(self, name, torch.where(where, other, mine))


def _margin(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    label = y[:, None]
    return logits.scatter(1, label, -inf).amax(1) - logits.gather(1, label)[:, 0]


def _dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    first, _, third = logits.topk(3, dim=1).values.unbind(1)
    return _margin(logits, y, target) / (first - third + _TINY)


def _dlr_targeted(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    first, _, third, fourth = logits.topk(4, dim=1).values.unbind(1)
    ahead = logits.gather(1, target[:, None]) - logits.gather(1, y[:, None])
    return ahead[:, 0] / (first - (third + fourth) / 2 + _TINY)


_TINY = 1e-12
_LOSSES: Mapping[LossName, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "ce": lambda logits, y, target: F.cross_entropy(logits, y, reduction="none"),
    "margin": _margin,
    "dlr": _dlr,
    "dlr-targeted": _dlr_targeted,
}
