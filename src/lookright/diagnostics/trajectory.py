"""Does the attack have a gradient, does its loss rise, and has it converged?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from lookright.attacks import PGD, Ball, Margin
from lookright.diagnostics.diagnostic import (
    Diagnostic,
    asked,
    clearly,
    fine,
    nothing_to_doubt,
    suspect,
)
from lookright.metrics import correct

_MARGIN_STEPS = 10
_BLIND, _BETTER, _STUCK, _LATE = 0.1, 0.05, 0.1, 0.5


@dataclass(frozen=True)
class Trajectory:
    """One run of the attack, recorded step by step, on images that withstood it before.

    ball, steps: those of the attack, PGD on the cross-entropy.
    """

    ball: Ball
    steps: int

    @property
    def points(self) -> tuple[int, ...]:
        """The steps at which the loss is recorded; 0 is the random start."""
        return tuple(sorted({0, 1, self.steps // 4, self.steps // 2, self.steps}))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the values."""
        losses = (f"loss {at}" for at in self.points)
        return (*losses, "gradient", "sure", "margin gradient", "margin fooled")

    def see(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None
    ) -> dict[str, Tensor]:
        """For each image (B,), the loss at the points and the largest gradient of all steps.

        loss: the log-odds against the label, log((1 - p_y) / p_y), which rise with the
        cross-entropy but do not saturate. gradient: the largest absolute gradient of a pixel,
        infinite if any is not finite. sure: whether p_y is 1 in float32 at the image, so that the
        cross-entropy is saturated. For these images the margin is maximised too, which gives
        `margin gradient` and `margin fooled`; for the others these are NaN.
        """
        watching = Watching(model, y)
        watching(PGD(steps=self.steps).within(self.ball)(watching, x, y, generator))
        values = {f"loss {at}": watching.odds[at] for at in self.points}
        values["gradient"] = watching.gradient(len(x))
        with torch.no_grad():
            sure = model(x).softmax(1).gather(1, y[:, None])[:, 0] == 1
        flat = sure | (values["gradient"] < torch.finfo(torch.float32).tiny)
        values["sure"] = sure
        values["margin gradient"] = torch.full_like(values["gradient"], torch.nan)
        values["margin fooled"] = torch.full_like(values["gradient"], torch.nan)
        if flat.any():
            watching = Watching(model, y[flat])
            attack = PGD(steps=_MARGIN_STEPS, objective=Margin()).within(self.ball)
            z = attack(watching, x[flat], y[flat], generator)
            values["margin gradient"][flat] = watching.gradient(len(z))
            with torch.no_grad():
                values["margin fooled"][flat] = (~correct(model(z), y[flat])).float()
        return values

    def verdicts(self, values: Mapping[str, Tensor]) -> Iterator[Diagnostic]:
        """Verdicts: missing gradients, a saturated loss, and a loss that does not rise."""
        yield _gradients(values)
        yield _saturation(values)
        yield self._steps(values)

    def _steps(self, values: Mapping[str, Tensor]) -> Diagnostic:
        loss = {at: asked(values, f"loss {at}") for at in self.points}
        n = len(loss[0])
        if n == 0:
            return nothing_to_doubt("steps")
        means = ", ".join(f"{float(of.mean()):.3g}" for of in loss.values())
        course = (
            f"the mean log-odds against the label are {means} after {_listed(self.points)} steps"
        )
        rise = loss[self.steps] - loss[0]
        stuck = int((rise <= 0).sum())
        if clearly(stuck, n, _STUCK):
            return suspect(
                "steps",
                f"More steps do not raise the loss of {stuck} of {n} images that withstand the "
                f"attack ({course}): the gradient does not point uphill, so use Square or "
                "AutoAttack.",
            )
        late = int((loss[self.steps] - loss[self.steps // 2] > _LATE * rise).sum())
        if self.steps > 1 and clearly(late, n, 0.5):
            return suspect(
                "steps",
                f"The attack has not converged: on {late} of {n} images that withstand it, most of "
                f"the rise of the loss is in the second half of the steps ({course}): use more "
                "steps.",
            )
        return fine("steps", f"The loss rises and levels off: {course}.")


class Watching(nn.Module):
    """Wraps a model without changing it, and records log-odds against y (B,) and gradients."""

    def __init__(self, model: nn.Module, y: Tensor) -> None:
        super().__init__()
        self.model, self.y = model, y
        self.odds: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def forward(self, z: Tensor) -> Tensor:
        logits = self.model(z)
        self.odds.append(log_odds(logits.detach(), self.y))
        if z.requires_grad:
            z.register_hook(self._keep)
        return logits

    def _keep(self, gradient: Tensor | None) -> None:
        if gradient is None:
            return
        largest = gradient.detach().abs().flatten(1).amax(1)
        self.gradients.append(largest.nan_to_num(nan=torch.inf).float())

    def gradient(self, n: int) -> Tensor:
        """(n,) the largest gradient over all steps; 0 if there was no gradient."""
        nothing = torch.zeros(n, device=self.y.device)
        return torch.stack([nothing, *self.gradients]).amax(0)


def log_odds(logits: Tensor, y: Tensor) -> Tensor:
    """log((1 - p_y) / p_y) from logits (B, K), as float32 (B,); infinite instead of NaN."""
    label = y[:, None]
    others = logits.float().scatter(1, label, -torch.inf)
    odds = others.logsumexp(1) - logits.float().gather(1, label)[:, 0]
    return odds.masked_fill(odds.isnan(), torch.inf)


def _gradients(values: Mapping[str, Tensor]) -> Diagnostic:
    gradient, margin = asked(values, "gradient"), values["margin gradient"].double()
    n, broken = len(gradient), int(gradient.isinf().sum())
    if n == 0:
        return nothing_to_doubt("gradients")
    if broken:
        return suspect(
            "gradients",
            f"The gradient is not finite at {broken} of {n} images, so PGD cannot continue there: "
            "look for a division, root or logarithm of zero in the model, or use Square.",
        )
    zero = int(((values["gradient"] == 0) & (margin == 0)).sum())
    if clearly(zero, n, _BLIND):
        return suspect(
            "gradients",
            f"The gradient is exactly zero at {zero} of {n} images that withstand the attack, at "
            "every step: a layer such as rounding blocks it, so use Square, or replace that layer "
            "by a smooth one.",
        )
    return fine("gradients", f"The gradient is finite, and zero at {zero} of {n} images.")


def _saturation(values: Mapping[str, Tensor]) -> Diagnostic:
    gradient, margin = values["gradient"].double(), values["margin gradient"].double()
    n = len(asked(values, "gradient"))
    if n == 0:
        return nothing_to_doubt("saturation")
    sure = int((asked(values, "sure") == 1).sum())
    said = f"p_y is 1 in float32 at {sure} of {n} images that withstand the attack"
    flat = int(((gradient < torch.finfo(torch.float32).tiny) & (margin > 0)).sum())
    if clearly(flat, n, _BLIND):
        return suspect(
            "saturation",
            f"{said}; the cross-entropy's gradient vanishes at {flat} where the margin's does not: "
            "the logits are saturated, so use APGD with loss=margin or dlr.",
        )
    alive = margin > 0
    fooled = int((values["margin fooled"].double()[alive] == 1).sum())
    if clearly(fooled, n, _BETTER):
        return suspect(
            "saturation",
            f"{said}, and maximising the margin instead of the cross-entropy fools the model on "
            f"{fooled}: use APGD with loss=margin or dlr.",
        )
    return fine("saturation", f"{said}; maximising the margin there fools the model on {fooled}.")


def _listed(points: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, points[:-1]))} and {points[-1]}"
