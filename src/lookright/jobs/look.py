"""A picture of where a model looks at one image, and where it looks under attack."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lookright.attacks import Attack
from lookright.explainers import Explainer
from lookright.guides.masker import masks_of
from lookright.models import Classifier
from lookright.modes import frozen
from lookright.report import explanation_figure
from lookright.seeds import derived_seed, own_noise


def look(
    target: Path,
    model: Classifier,
    image: Tensor,
    explainer: Explainer,
    attack: Attack,
    *,
    masker: nn.Module | None = None,
    label: int | None = None,
    seed: int = 0,
    title: str = "",
) -> tuple[str, str]:
    """Write the PNG `target`, and return the classes predicted on the image and under attack.

    image: (3, H, W) in [0, 1], on the model's device; label: its class, where known, which the
    attack is then on; seed: of the attack's random start and the explainer's noise. The class that
    is explained is the one predicted on the clean image.
    """
    with frozen(model):
        seen = _seen(model, masker, image[None], explainer, attack, label, seed)
    explanation_figure(target, **seen, classes=model.classes, label=label, title=title)
    clean, moved = (
        model.classes[int(seen[name].argmax())]
        for name in ("probabilities", "probabilities_attacked")
    )
    return clean, moved


def _seen(
    model: Classifier,
    masker: nn.Module | None,
    x: Tensor,
    explainer: Explainer,
    attack: Attack,
    truth: int | None,
    seed: int,
) -> dict[str, Tensor]:
    """The image, its explanation, its mask and its probabilities, clean and under attack."""

    def explained(images: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
        # The same noise for both, so that a random explainer does not count as a change.
        with own_noise(x.device, derived_seed(seed, "noise")), torch.no_grad():
            return explainer(model, images, target)

    logits, saliency = explained(x, None)
    predicted = logits.argmax(1)
    y = predicted if truth is None else torch.tensor([truth], device=x.device)
    attacked = attack(model, x, y, torch.Generator(x.device).manual_seed(seed))
    logits_attacked, saliency_attacked = explained(attacked, predicted)
    found = {
        "image": x,
        "attacked": attacked,
        "saliency": saliency,
        "saliency_attacked": saliency_attacked,
        "probabilities": logits.softmax(1),
        "probabilities_attacked": logits_attacked.softmax(1),
    }
    if masker is not None:
        with torch.no_grad():
            found |= {
                "learned": masks_of(masker, x),
                "learned_attacked": masks_of(masker, attacked),
            }
    return {name: values[0].detach().cpu() for name, values in found.items()}
