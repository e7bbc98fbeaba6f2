"""The stage of attacks on explanations: how far can the map be pushed, the answer being kept."""

import torch

from lookright.attacks import GOALS, ExplanationAttack
from lookright.evaluation.previews import heat, pixels
from lookright.evaluation.seen import Seen


def pushed(seen: Seen) -> None:
    """One attack for each goal of the protocol."""
    p = seen.protocol
    images, saliency, predicted = [], [], []
    for name in p.goals:
        goal = GOALS[name]
        attack = ExplanationAttack(goal, p.eps, norm=p.norm, explainer=p.explainer)
        generator = seen.generator(f"push {name}")
        z = attack(seen.model, seen.batch.images, seen.predicted, generator)
        logits, after = seen.explain(z)
        seen.values[f"pushed_{name}"] = goal.pushed(seen.saliency, after)
        images.append(pixels(z))
        saliency.append(heat(after))
        predicted.append(logits.argmax(1))
    seen.shown["pushed"] = torch.stack(images, 1)
    seen.shown["saliency_pushed"] = torch.stack(saliency, 1)
    seen.shown["predicted_pushed"] = torch.stack(predicted, 1)
