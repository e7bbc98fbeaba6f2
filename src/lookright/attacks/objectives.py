"""The objectives that an attack maximises.

An objective is called once with the clean images, where it may compute a reference. It returns a
function from the perturbed images to one value per image, (B,), to be maximised.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lookright.distances import L1, Correlation, Distance
from lookright.errors import UserError
from lookright.explainers.explainer import Explainer, check_signs
from lookright.modes import may_look
from lookright.seeds import same_noise

Ascended = Callable[[Tensor], Tensor]


def logits_of(model: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """The model's logits (B, K) for images z (B, C, H, W).

    Raises:
        UserError: the model gives something else, such as the single logit of two classes.
    """
    logits = model(z)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(
            f"An attack needs logits (B, K) of two classes or more, but the model gives {given}: "
            "put it into lookright.models.giving_logits, which makes them of one logit, of "
            "probabilities and of several outputs."
        )
    return logits


def logits_for(model: Callable[[Tensor], Tensor], y: Tensor) -> Callable[[Tensor], Tensor]:
    """`logits_of` as a function of images, whose first call checks the labels y (B,) as well."""
    unchecked = [y]

    def logits(z: Tensor) -> Tensor:
        found = logits_of(model, z)
        if unchecked:
            check_labels(unchecked.pop(), found.shape[1])
        return found

    return logits


def check_labels(y: Tensor, classes: int) -> None:
    """Raise UserError on labels outside the classes, where values may be looked at."""
    if len(y) == 0 or not may_look():
        return
    first, last = y.aminmax()
    if first < 0 or last >= classes:
        raise UserError(
            f"The model's {classes} classes have the labels 0 to {classes - 1}, got labels from "
            f"{first} to {last}."
        )


class Objective(ABC):
    """`objective(model, x, y)` returns a function from perturbed images to values (B,).

    flat: whether its gradient is zero at x itself, so that an attack has to start elsewhere.
    draws: whether its explainer may draw numbers from torch's global state, which the attack then
    seeds from its generator.
    """

    flat: ClassVar[bool] = False
    draws: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        """A function from perturbed images (B, C, H, W) to values (B,)."""


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Cross-entropy of the label (Madry et al., ICLR 2018, eq. 2.1)."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        logits = logits_for(model, y)
        return lambda z: F.cross_entropy(logits(z), y, reduction="none")


@dataclass(frozen=True)
class KLDivergence(Objective):
    """KL(f(x) || f(x')), f(x) being the clean output (TRADES, Zhang et al., ICML 2019, eq. 5).

    Its gradient is zero at x itself, so the attack needs a random start.
    """

    flat = True

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        with torch.no_grad():
            clean = logits_of(model, x).log_softmax(1)
        return lambda z: F.kl_div(
            logits_of(model, z).log_softmax(1), clean, log_target=True, reduction="none"
        ).sum(1)


@dataclass(frozen=True)
class Margin(Objective):
    """The best other logit minus the label's (Carlini & Wagner, S&P 2017, f_6 unfloored)."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        answer = logits_for(model, y)

        def margin(z: Tensor) -> Tensor:
            logits = answer(z)
            label = y[:, None]
            return logits.scatter(1, label, -torch.inf).amax(1) - logits.gather(1, label)[:, 0]

        return margin


@dataclass(frozen=True)
class ExplanationChange(Objective):
    """How far the explanation of class y has moved from the clean one (Ghorbani et al., AAAI 2019).

    The distance is least at x itself, so the attack needs a random start.
    """

    flat = True
    draws = True

    explainer: Explainer
    distance: Distance = field(default_factory=L1)

    def __post_init__(self) -> None:
        check_signs(self.explainer, self.distance)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        again = same_noise(x.device)
        with torch.no_grad():
            clean = self.explainer(model, x, y)[1]

        def change(z: Tensor) -> Tensor:
            with again():
                return self.distance(self.explainer(model, z, y)[1], clean)

        return change


@dataclass(frozen=True)
class CrossEntropyAndExplanation(Objective):
    """CE(f(x'), y) + weight d(Phi_y(x'), Phi_y(x)): x' is wrong, and explained in another way.

    The attack inside of interpretability-aware training (Boopathy et al., ICML 2020) and of robust
    attribution regularisation (Chen et al., NeurIPS 2019), whose losses have both terms too; in
    EGAT it makes the training a saddle point of one loss. Logits and saliency are from one pass.

    Raises:
        UserError: a negative weight; a distance that does not take the explainer's signed maps.
    """

    draws = True

    explainer: Explainer
    distance: Distance = field(default_factory=Correlation)
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UserError(f"The weight of the explanation must be 0 or more, got {self.weight}.")
        check_signs(self.explainer, self.distance)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor) -> Ascended:
        again = same_noise(x.device)
        with torch.no_grad():
            clean = self.explainer(model, x, y)[1]

        def value(z: Tensor) -> Tensor:
            with again():
                logits, saliency = self.explainer(model, z, y)
            wrong = F.cross_entropy(logits, y, reduction="none")
            return wrong + self.weight * self.distance(saliency, clean)

        return value
