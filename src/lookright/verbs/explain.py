"""`lookright explain`: where a model looks, and where it looks under attack."""

from pathlib import Path

import torch

from lookright.attacks import PGD, Attack
from lookright.data import load_image
from lookright.errors import UserError, did_you_mean
from lookright.explainers import Explainer, GradCAM
from lookright.guides.masker import masks_of
from lookright.loading import ModelOptions, load_model, some
from lookright.report import explanation_figure


def explain(
    model: str,
    images: list[Path],
    explainer: Explainer = GradCAM(),  # noqa: B008
    attack: Attack = PGD(),  # noqa: B008
    label: str | None = None,
    options: ModelOptions = ModelOptions(),  # noqa: B008
    output: Path = Path("."),
    seed: int = 0,
) -> None:
    """Show where a model looks, and where it looks under attack: one PNG for each image.

    Args:
        model: folder of a run, a classifier (.safetensors), a TorchScript (.pt, .ts) or exported
            program (.pt2), a timm name, torchvision/<name>, or package.module:function.
        images: photos.
        explainer: whose explanation is shown, of the class predicted on the clean image.
        attack: against the label where it is given, against the prediction where it is not.
        label: the true class of the images, where it is known.
        options: what is to be said of the model beside its name.
        output: folder of the PNGs, named <image>-explained.png.
        seed: of the attack's random start.
    """
    judged, found = load_model(model, options)
    if label is not None and label not in judged.classes:
        raise UserError(
            f"The model has no class '{label}', but {some(judged.classes)}."
            f"{did_you_mean(label, judged.classes)}"
        )
    judged.eval()
    if found is not None:
        found.eval()
    for path in images:
        x = load_image(path, judged.image_size)[None]
        with torch.no_grad():
            logits, saliency = explainer(judged, x)
            predicted = logits.argmax(1)
            truth = None if label is None else judged.classes.index(label)
            y = predicted if truth is None else torch.tensor([truth])
            attacked = attack(judged, x, y, torch.Generator().manual_seed(seed))
            logits_attacked, saliency_attacked = explainer(judged, attacked, predicted)
            masks = [None if found is None else masks_of(found, z)[0] for z in (x, attacked)]
        target = output / f"{path.stem}-explained.png"
        explanation_figure(
            target,
            image=x[0],
            attacked=attacked[0],
            saliency=saliency[0],
            saliency_attacked=saliency_attacked[0],
            learned=masks[0],
            learned_attacked=masks[1],
            classes=judged.classes,
            probabilities=logits[0].softmax(0),
            probabilities_attacked=logits_attacked[0].softmax(0),
            label=truth,
            title=path.name,
        )
        clean, moved = (judged.classes[int(each.argmax())] for each in (logits, logits_attacked))
        print(f"{path.name}: {clean}, under attack {moved}: {target}")
