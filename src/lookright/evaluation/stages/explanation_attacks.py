"""The stage of attacks on explanations: how far does the map move, the answer being kept?"""

from functools import partial

import torch

from lookright import metrics
from lookright.attacks import GOALS, ExplanationAttack
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.view import View

_STEPS, _SEARCHED = 50, 150
"""Of gradient, and of random search where the explainer has none, which needs more of them."""


def manipulated(view: View) -> None:
    """One attack for each goal of the protocol."""
    p = view.protocol
    steps = _STEPS if p.explainer.differentiable else _SEARCHED
    images, saliency, predicted = [], [], []
    for name in p.goals:
        goal = GOALS[name]
        attack = ExplanationAttack(goal, p.eps, steps, norm=p.norm, explainer=p.explainer)
        generator = view.generator(f"push {name}")
        z = attack(view.model, view.batch.images, view.predicted, generator)
        logits, after = view.explain(z)
        answer = logits.argmax(1)
        view.values |= view.compared(f"manipulated_{name}", goal.manipulated, z, after)
        if name == "topk":
            turned = partial(metrics.manipulated_kept, kept=metrics.correct(logits, view.predicted))
            view.values |= view.compared("manipulated_kept", turned, z, after)
        images.append(pixels(z))
        saliency.append(heat(after))
        predicted.append(answer)
    view.shown["manipulated"] = torch.stack(images, 1)
    view.shown["saliency_manipulated"] = torch.stack(saliency, 1)
    view.shown["predicted_manipulated"] = torch.stack(predicted, 1)
