"""Carlini and Wagner's L2 attack: the smallest perturbation that it can find."""

from dataclasses import dataclass, field, fields
from math import inf

import torch
from torch import Generator, Tensor, nn

from lookright.attacks.borrowed import Predict, as_float32
from lookright.attacks.gradient import Attack, check_input, gradient_of
from lookright.attacks.norms import L2, Norm
from lookright.attacks.objectives import logits_for, logits_of
from lookright.errors import UserError
from lookright.metrics import correct
from lookright.modes import frozen, ordinary

_BETAS, _TINY = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class CarliniWagner(Attack):
    """CW-L2 (Carlini & Wagner, S&P 2017, section VI.A): the shortest perturbation it can find.

    It minimises ||x' - x||^2 + c * max(margin of the label + confidence, 0) by Adam over w, where
    x' = (tanh(w) + 1) / 2, and searches c for each image: c grows tenfold until the model is wrong,
    then by bisection. The descent for an image stops early once its objective no longer decreases.
    The result is the shortest perturbation found that makes the model wrong, if it is no longer
    than eps; otherwise the image is returned unchanged, so accuracy under the attack is accuracy at
    radius eps. Nothing is random.

    Args:
        eps: largest Euclidean length, in pixel units, of a perturbation that counts; inf accepts
            any length. 0.5 is customary for images of 32 x 32 pixels (Croce et al., RobustBench,
            2021).
        steps: steps of Adam for each c; the authors' code takes 10000 and stops early, as here.
        searches: number of values of c to try; 9 in the authors' code.
        step_size: Adam's learning rate for w; 0.01 in the authors' code.
        constant: the first c; 0.001 in the authors' code.
        confidence: by how much the best other logit must exceed the label's.

    Raises:
        UserError: an argument out of range; images outside [0, 1]; labels outside the classes.
    """

    eps: float = 0.5
    steps: int = 1000
    searches: int = 9
    step_size: float = 0.01
    constant: float = 0.001
    confidence: float = 0.0
    norm: Norm = field(default=L2(), init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise UserError(
                f"eps is a Euclidean length in pixel units, 0 or more or inf, but got {self.eps:g}."
            )
        if self.steps < 1 or self.searches < 1:
            raise UserError(
                f"CarliniWagner needs at least 1 step and 1 search, got steps={self.steps}, "
                f"searches={self.searches}."
            )
        for name in ("step_size", "constant"):
            if not 0 < getattr(self, name) < inf:
                raise UserError(f"{name} must be above 0 and finite, got {getattr(self, name):g}.")
        if not 0 <= self.confidence < inf:
            raise UserError(f"confidence must be 0 or more and finite, got {self.confidence:g}.")

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
                right = correct(logits_for(model, y)(x), y)
            if not right.any():
                return found
            half = torch.finfo(x.dtype).bits < 32  # its smallest numbers are larger than _TINY
            judge = as_float32(model, x.dtype) if half else model
            start = x[right].float() if half else x[right]
            shortest, length = self._search(judge, start, y[right])
            near = (length <= self.eps)[:, None, None, None]
            found[right] = torch.where(near, shortest, start).to(x.dtype)
        return found

    def _search(self, model: Predict, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest misclassified images (B, C, H, W) and their distances (B,), inf if none."""
        shortest, length = x.clone(), torch.full_like(x[:, 0, 0, 0], inf)
        c = torch.full_like(length, self.constant)
        low, high = torch.zeros_like(c), torch.full_like(c, inf)
        for _ in range(self.searches):
            z, reached = self._minimise(model, x, y, c)
            shorter = reached < length
            shortest[shorter], length[shorter] = z[shorter], reached[shorter]
            fell = reached.isfinite()
            low, high = torch.where(fell, low, c), torch.where(fell, c, high)
            c = torch.where(high.isinf(), 10 * c, (low + high) / 2)
        return shortest, length

    def _minimise(self, model: Predict, x: Tensor, y: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """As `_search`, with one given c per image, (B,)."""
        shortest, length = x.clone(), torch.full_like(c, inf)
        zero = torch.zeros_like(x)
        w = torch.atanh((2 * x - 1) * (1 - 1e-6))
        rows = _Rows(torch.arange(len(x), device=x.device), x, y, c, w, zero, zero, c + inf)
        every = max(self.steps // 10, 1)
        for step in range(1, self.steps + 1):
            w = rows.w.requires_grad_()
            z = (torch.tanh(w) + 1) / 2
            logits = logits_of(model, z)
            label = rows.y[:, None]
            others = logits.scatter(1, label, -inf).amax(1)
            behind = logits.gather(1, label)[:, 0] - others + self.confidence
            squared = (z - rows.x).square().flatten(1).sum(1)
            cost = squared + rows.c * behind.clamp_min(0)
            gradient = gradient_of(cost, w)
            rows.w = w.detach()
            fell = behind <= 0 if self.confidence > 0 else ~correct(logits, rows.y)
            reached = squared.detach().sqrt()
            shorter = fell & (reached < length[rows.at])
            at = rows.at[shorter]
            shortest[at], length[at] = z.detach()[shorter], reached[shorter]
            rows.descend(gradient, step, self.step_size)
            if step % every == 0:
                falling = cost.detach() <= 0.9999 * rows.cost
                rows.cost = cost.detach()
                rows.keep(falling)
                if len(rows.at) == 0:
                    break
        return shortest, length


@dataclass
class _Rows:
    """The images still being attacked; `at` is their index in the batch."""

    at: Tensor
    x: Tensor
    y: Tensor
    c: Tensor
    w: Tensor
    mean: Tensor
    square: Tensor
    cost: Tensor

    def descend(self, gradient: Tensor, step: int, size: float) -> None:
        """Adam (Kingma & Ba, ICLR 2015, algorithm 1); where its square is not finite, a gradient
        counts as zero, as the moments would never lose it."""
        first, second = _BETAS
        gradient = gradient.where(gradient.square().isfinite(), 0)
        self.mean = first * self.mean + (1 - first) * gradient
        self.square = second * self.square + (1 - second) * gradient.square()
        scale = (self.square / (1 - second**step)).sqrt() + _TINY
        self.w = self.w - size / (1 - first**step) * self.mean / scale

    def keep(self, which: Tensor) -> None:
        for name in (each.name for each in fields(self)):
            setattr(self, name, getattr(self, name)[which])
