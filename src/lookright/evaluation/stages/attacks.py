"""The stage of attacks: is the answer still right, and by how much of a change is it not."""

from collections.abc import Callable

from torch import Tensor

from lookright import metrics
from lookright.attacks import FGSM, PGD
from lookright.evaluation.previews import grey, heat, pixels
from lookright.evaluation.view import View

_CURVE_STEPS = 10
_STABILITY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stability_cosine": metrics.stability_cosine,
    "stability_spearman": metrics.stability_spearman,
    "stability_topk": metrics.stability_topk,
}


def under_attack(view: View) -> None:
    """Accuracy under each attack, the worst of all, the curve, and the explanation's stability."""
    p, model, values = view.protocol, view.model, view.values
    x, y = view.batch.images, view.batch.labels
    view.attacked = p.attack(model, x, y, view.generator("PGD"))
    logits, saliency = view.explain(view.attacked)
    values["accuracy"] = metrics.correct(view.logits, y)
    values["accuracy_fgsm"] = view.right(FGSM(p.eps, p.norm)(model, x, y))
    values["accuracy_pgd"] = metrics.correct(logits, y)
    # The attack aims at the label, so an image that is wrong at first was not tried: not kept.
    values["kept_pgd"] = values["accuracy"] & values["accuracy_pgd"]
    under = [values["accuracy_fgsm"], values["accuracy_pgd"]]
    names = [attack_name(attack) for attack in p.attacks]
    for number, (name, attack) in enumerate(zip(names, p.attacks, strict=True)):
        before = names[:number].count(name)  # the same attack again has a start of its own
        generator = view.generator(f"{name} {before}" if before else name)
        under.append(view.right(attack(model, x, y, generator)))
        values[name] = values.get(name, under[-1]) & under[-1]
    at = {0.0: values["accuracy"], p.eps: metrics.correct_under_all(under)}
    for eps in p.radii:
        if eps not in at:
            attack = PGD(eps, _CURVE_STEPS, norm=p.norm)
            at[eps] = view.right(attack(model, x, y, view.generator(f"curve {eps:.6f}")))
    # Right at a radius is right at every smaller one: the larger ball holds the smaller.
    robust = at[0.0]
    for eps in p.radii:
        robust = robust & at[eps]
        values[f"curve {eps}"], values[f"raw {eps}"] = robust, at[eps]
    values["accuracy_adversarial"] = values[f"curve {p.eps}"]
    for key, measure in _STABILITY.items():
        values |= view.compared(key, measure, view.attacked, saliency)
    _show(view, logits, saliency)


def diagnosed(view: View) -> None:
    """What the checks of the robust figures need."""
    diagnosis = view.protocol.diagnosis(view.total)
    x, y = view.batch.images, view.batch.labels
    view.values |= diagnosis.see(view.model, x, y, view.attacked, view.generator("diagnosis"))


def attack_name(attack: object) -> str:
    """The measure of an attack on its own, such as accuracy_autoattack."""
    return f"accuracy_{type(attack).__name__.lower()}"


def _show(view: View, logits: Tensor, saliency: Tensor) -> None:
    probability, predicted = view.logits.softmax(1).max(1)
    probability_attacked, predicted_attacked = logits.softmax(1).max(1)
    view.shown |= {
        "images": pixels(view.batch.images),
        "attacked": pixels(view.attacked),
        "saliency": heat(view.saliency),
        "saliency_attacked": heat(saliency),
        "labels": view.batch.labels,
        "predicted": predicted,
        "probability": probability,
        "predicted_attacked": predicted_attacked,
        "probability_attacked": probability_attacked,
    }
    if view.batch.masks is not None:
        view.shown["masks"] = grey(view.batch.masks)
