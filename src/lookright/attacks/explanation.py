"""Attacks on explanations: the saliency moves while the prediction stays the same."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from math import inf

import torch
from torch import Generator, Tensor, nn

from lookright.attacks.ball import Ball
from lookright.attacks.borrowed import seeded
from lookright.attacks.goals import Goal, TopK
from lookright.attacks.gradient import Attack, check_input, gradient_of
from lookright.attacks.norms import LInf, Norm
from lookright.attacks.parts import check_part
from lookright.attacks.softened import Softened
from lookright.chance import ImageGenerator, uniform_
from lookright.errors import UserError
from lookright.explainers import Explainer, GradCAM
from lookright.explainers.explainer import check_shown
from lookright.metrics.classification import correct
from lookright.modes import frozen, ordinary

_SURE = 1e-3
"""Lead in logits from which a prediction counts as kept: larger than any rounding error."""


@dataclass(frozen=True)
class ExplanationAttack(Attack):
    """Manipulate the explanation within the ball while the prediction stays the same (Ghorbani,
    Abid and Zou, AAAI 2019, algorithm 1; Dombrowski et al., NeurIPS 2019).

    y is the class predicted on the clean image; its explanation is attacked. Each step ascends the
    goal on the images that are still predicted as y, and the lead of y's logit over the other
    classes on the rest. For each image the attack returns the iterate whose saliency moved furthest
    among those that the original model (ReLU, not softplus) predicts as y with a lead of more than
    0.001 in logits. It returns x if there is none, or if y is not the prediction on x.

    Random search takes over if the explainer is not differentiable, and for each image on which its
    gradient is zero (its saliency is zero, ReLU is inside a TorchScript program, or the model
    blocks the gradient) or NaN: patches of random colours that shrink as in Square (Andriushchenko
    et al., ECCV 2020), each kept if the saliency moves further and the prediction stays. With an
    explainer that draws noise, iterates are compared under the same noise, and each gradient step
    draws new noise.

    Args:
        goal: `TopK()`, `MassCentre()` or `TargetMap()`.
        eps: radius of the ball in pixel units, images being in [0, 1]; for L-inf at most 1.
        steps: gradient steps, each costing two explanations and a backward pass; in random search,
            the number of patches, each costing one explanation (it needs more of them).
        step_size: length of a gradient step; None is 2.5 * eps / steps, as in `PGD`.
        norm: `LInf()` or `L2()`.
        explainer: the explainer whose saliency is attacked.
        beta: sharpness of the softplus that replaces ReLU in the gradient steps; None keeps ReLU.
        search: use random search even if the explainer is differentiable.

    Raises:
        UserError: eps, steps, step_size or beta out of range; images outside [0, 1]; labels outside
            the classes of a `Classifier`.
    """

    goal: Goal = field(default_factory=TopK)
    eps: float = 8 / 255
    steps: int = 50
    step_size: float | None = None
    norm: Norm = field(default_factory=LInf)
    explainer: Explainer = field(default_factory=GradCAM)
    beta: float | None = 30.0
    search: bool = False

    def __post_init__(self) -> None:
        Ball(self.norm, self.eps)
        check_part("goal", self.goal, "TopK()", Goal)
        check_part("explainer", self.explainer, "GradCAM()", Explainer)
        check_shown(self.explainer)
        if self.steps < 1:
            raise UserError(f"ExplanationAttack needs at least 1 step, got steps={self.steps}.")
        for name in ("step_size", "beta"):
            number = getattr(self, name)
            if number is not None and not 0 < number < inf:
                raise UserError(f"{name} is a number above 0, got {number}.")

    def __call__(
        self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator | None = None
    ) -> Tensor:
        check_input(model, x, y)
        if len(x) == 0:
            return ordinary(x)
        with frozen(model), seeded(generator) as seed:
            found = _Furthest(self, model, ordinary(x), ordinary(y), seed)
            if not isinstance(generator, ImageGenerator):
                generator = Generator(x.device).manual_seed(seed)
            if self.search or not self.explainer.differentiable:
                self._search(found, found.right, generator)
            else:
                self._ascend(found, generator)
        return found.image

    def _ascend(self, found: "_Furthest", generator: Generator) -> None:
        step_size = 2.5 * self.eps / self.steps if self.step_size is None else self.step_size
        ball = Ball(self.norm, self.eps)
        z, kept = found.clean, found.kept
        for step in range(1, self.steps + 1):
            gradient = found.gradient(z, kept, step)
            if step == 1:
                moving = gradient.flatten(1).any(1)
                if (blind := found.right & ~moving).any():
                    self._search(found, blind, generator)
                if not (found.right & moving).any():
                    return
            delta = (z - found.clean).add_(self.norm.direction(gradient), alpha=step_size)
            z = ball.moved(found.clean, delta)
            kept = found.update(z)

    def _search(self, found: "_Furthest", those: Tensor, generator: Generator) -> None:
        """Random search, only for the images where `those` (B,) is True."""
        ball = Ball(self.norm, self.eps)
        for step in range(self.steps):
            share = 0.3 * (1 - step / self.steps)
            patch = self.norm.direction(_patch(found.clean, share, generator))
            patch = patch * those[:, None, None, None]
            delta = (found.image - found.clean).add_(patch, alpha=2 * self.eps)
            found.update(ball.moved(found.clean, delta))


class _Furthest:
    """For each image, the iterate with the most manipulated saliency and the same prediction."""

    def __init__(
        self, attack: ExplanationAttack, model: nn.Module, x: Tensor, y: Tensor, seed: int
    ) -> None:
        self.attack, self.model, self.clean, self.y, self.seed = attack, model, x, y, seed
        self.image = x.clone()
        logits, self.saliency = self._explain(x)
        self.ascended = attack.goal(self.saliency)
        self.right = self.kept = correct(logits, y)
        self.reached = self._reached(self.saliency)

    def update(self, z: Tensor) -> Tensor:
        """(B,) whether z is predicted as y; records the images of z that improve on the best."""
        logits, saliency = self._explain(z)
        kept = self.right & (_lead(logits, self.y) > _SURE)
        reached = self._reached(saliency)
        (manipulated, value), (best, best_value) = reached, self.reached
        further = kept & ((manipulated > best) | (manipulated == best) & (value > best_value))
        self.image = torch.where(further[:, None, None, None], z, self.image)
        self.reached = (
            torch.where(further, manipulated, best),
            torch.where(further, value, best_value),
        )
        return kept

    def gradient(self, z: Tensor, kept: Tensor, step: int) -> Tensor:
        """(B, C, H, W): gradient of the goal where the prediction is kept, else of y's lead."""
        z = z.clone().requires_grad_()
        beta = self.attack.beta
        torch.manual_seed(self.seed + step)
        with nullcontext() if beta is None else Softened(beta):
            logits, saliency = self.attack.explainer(self.model, z, self.y)
        value = torch.where(kept, self.ascended(saliency), _lead(logits, self.y))
        return gradient_of(value, z)

    def _explain(self, z: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(self.seed)
        with torch.no_grad():
            return self.attack.explainer(self.model, z, self.y)

    def _reached(self, saliency: Tensor) -> tuple[Tensor, Tensor]:
        return self.attack.goal.manipulated(self.saliency, saliency), self.ascended(saliency)


def _lead(logits: Tensor, y: Tensor) -> Tensor:
    """(B,): the logit of y minus the best other logit."""
    label = y[:, None]
    return logits.gather(1, label)[:, 0] - logits.scatter(1, label, -torch.inf).amax(1)


def _patch(like: Tensor, share: float, generator: Generator) -> Tensor:
    """(B, C, H, W): random signs per channel on a random square covering `share` of the image."""
    count, channels, h, w = like.shape
    colour = uniform_(torch.empty(count, channels, 1, 1).to(like), like, -1, 1, generator)
    corner = uniform_(torch.empty(count, 2).to(like), like, 0, 1, generator)
    sides = [max(1, round(share**0.5 * size)) for size in (h, w)]
    inside = []
    for axis, (size, side) in enumerate(zip((h, w), sides, strict=True)):
        first = (corner[:, axis : axis + 1] * (size - side + 1)).floor()
        place = torch.arange(size, device=like.device)
        inside.append((place >= first) & (place < first + side))
    square = inside[0][:, :, None] & inside[1][:, None, :]
    return colour.sign() * square[:, None]
