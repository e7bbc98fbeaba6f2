"""The optimiser of a training, and its learning rate from step to step."""

from collections.abc import Callable
from math import cos, pi
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from lookright.errors import UserError
from lookright.guides import Guide
from lookright.methods.head import head_of
from lookright.methods.method import Method
from lookright.models.trial import trial_images
from lookright.training.settings import Settings


def optimizer_of(method: Method, settings: Settings) -> Optimizer:
    """The optimiser of all parameters that are trained, those of a learned masker among them.

    Raises:
        UserError: there are none; an optimiser of one's own, to which a rate of a guide is unknown.
    """
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    if not trained:
        raise UserError("The method has no parameter with requires_grad; nothing to train.")
    guides = [each for each in method.modules() if isinstance(each, Guide)]
    rates = [one for guide in guides for one in guide.rates.items()]
    if callable(settings.optimizer):
        if rates:
            raise UserError(
                "The masker has a learning rate of its own (masker_lr), which an optimizer of your "
                "own would not follow: leave masker_lr at 1, or name AdamW, Adam or SGD."
            )
        return settings.optimizer(trained)
    if settings.head_lr != 1:
        rates.append((_head(method), settings.head_lr))
    factors = {id(p): factor for module, factor in rates for p in module.parameters()}
    groups: list[dict[str, Any]] = []
    for factor in dict.fromkeys([1.0, *factors.values()]):
        part = [parameter for parameter in trained if factors.get(id(parameter), 1.0) == factor]
        own = {} if factor == 1 else {"lr": factor * settings.lr}
        groups.append({"params": [p for p in part if p.ndim > 1], **own})
        groups.append({"params": [p for p in part if p.ndim <= 1], "weight_decay": 0.0, **own})
    groups = [group for group in groups if group["params"]]
    lr, weight_decay = settings.lr, settings.weight_decay
    if settings.optimizer == "SGD":
        return SGD(groups, lr, settings.momentum, weight_decay=weight_decay)
    kind = Adam if settings.optimizer == "Adam" else AdamW
    return kind(groups, lr, weight_decay=weight_decay)


def _head(method: Method) -> nn.Module:
    model = method.model
    like = next(model.parameters())
    return head_of(model, trial_images(model.image_size)[:1].to(like))  # type: ignore[arg-type]


def rate(settings: Settings, steps: int) -> Callable[[int], float]:
    """The factor of the learning rate at each step, from 0, of `steps`.

    It rises evenly over the warm-up to 1. Then it falls along half a cosine to 0, stays, or is
    divided by 10 at half and at three quarters of all steps.
    """
    warm_up = max(1, round(settings.warm_up * steps))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        if settings.schedule == "constant":
            return 1.0
        if settings.schedule == "step":
            return 0.1 ** ((step >= steps / 2) + (step >= steps * 3 / 4))
        return 0.5 + 0.5 * cos(pi * (step - warm_up) / max(1, steps - warm_up))

    return factor
