"""The stage of attacks on explanations: how far can the map be pushed, the answer being kept."""

from functools import partial

import torch

from lookright import metrics
from lookright.attacks import GOALS, ExplanationAttack
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.seen import Seen

_STEPS, _SEARCHED = 50, 150
"""Of gradient, and of random search where the explainer has none, which needs more of them."""


def pushed(seen: Seen) -> None:
    """One attack for each goal of the protocol."""
    p = seen.protocol
    steps = _STEPS if p.explainer.differentiable else _SEARCHED
    images, saliency, predicted = [], [], []
    for name in p.goals:
        goal = GOALS[name]
        attack = ExplanationAttack(goal, p.eps, steps, norm=p.norm, explainer=p.explainer)
        generator = seen.generator(f"push {name}")
        z = attack(seen.model, seen.batch.images, seen.predicted, generator)
        logits, after = seen.explain(z)
        answer = logits.argmax(1)
        seen.values |= seen.compared(f"pushed_{name}", goal.pushed, z, after)
        if name == "topk":
            turned = partial(metrics.pushed_kept, kept=metrics.correct(logits, seen.predicted))
            seen.values |= seen.compared("pushed_kept", turned, z, after)
        images.append(pixels(z))
        saliency.append(heat(after))
        predicted.append(answer)
    seen.shown["pushed"] = torch.stack(images, 1)
    seen.shown["saliency_pushed"] = torch.stack(saliency, 1)
    seen.shown["predicted_pushed"] = torch.stack(predicted, 1)
