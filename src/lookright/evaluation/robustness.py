"""The stage of attacks: is the answer still right, and by how much of a change is it not."""

from collections.abc import Callable

from torch import Tensor

from lookright import metrics
from lookright.attacks import FGSM, PGD
from lookright.evaluation.previews import grey, heat, pixels
from lookright.evaluation.seen import Seen

_CURVE_STEPS = 10
_STABILITY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stability_cosine": metrics.stability_cosine,
    "stability_spearman": metrics.stability_spearman,
    "stability_topk": metrics.stability_topk,
}


def under_attack(seen: Seen) -> None:
    """Accuracy under each attack, the worst of all, the curve, and the explanation's stability."""
    p, model, values = seen.protocol, seen.model, seen.values
    x, y = seen.batch.images, seen.batch.labels
    seen.attacked = p.attack(model, x, y, seen.generator("PGD"))
    logits, saliency = seen.explain(seen.attacked)
    values["accuracy"] = metrics.correct(seen.logits, y)
    values["accuracy_fgsm"] = seen.right(FGSM(p.eps, p.norm)(model, x, y))
    values["accuracy_pgd"] = metrics.correct(logits, y)
    # The attack aims at the label, so an image that is wrong at first was not tried: not kept.
    values["kept_pgd"] = values["accuracy"] & values["accuracy_pgd"]
    under = [values["accuracy_fgsm"], values["accuracy_pgd"]]
    names = [attack_name(attack) for attack in p.attacks]
    for number, (name, attack) in enumerate(zip(names, p.attacks, strict=True)):
        before = names[:number].count(name)  # the same attack again has a start of its own
        generator = seen.generator(f"{name} {before}" if before else name)
        under.append(seen.right(attack(model, x, y, generator)))
        values[name] = values.get(name, under[-1]) & under[-1]
    at = {0.0: values["accuracy"], p.eps: metrics.correct_under_all(under)}
    for eps in p.radii:
        if eps not in at:
            attack = PGD(eps, _CURVE_STEPS, norm=p.norm)
            at[eps] = seen.right(attack(model, x, y, seen.generator(f"curve {eps:.6f}")))
    # Right at a radius is right at every smaller one: the larger ball holds the smaller.
    robust = at[0.0]
    for eps in p.radii:
        robust = robust & at[eps]
        values[f"curve {eps}"], values[f"raw {eps}"] = robust, at[eps]
    values["accuracy_adversarial"] = values[f"curve {p.eps}"]
    for key, measure in _STABILITY.items():
        values |= seen.compared(key, measure, seen.attacked, saliency)
    _show(seen, logits, saliency)


def diagnosed(seen: Seen) -> None:
    """What the checks of the robust figures need."""
    diagnosis = seen.protocol.diagnosis(seen.total)
    x, y = seen.batch.images, seen.batch.labels
    seen.values |= diagnosis.see(seen.model, x, y, seen.attacked, seen.generator("diagnosis"))


def attack_name(attack: object) -> str:
    """The measure of an attack on its own, such as accuracy_autoattack."""
    return f"accuracy_{type(attack).__name__.lower()}"


def _show(seen: Seen, logits: Tensor, saliency: Tensor) -> None:
    probability, predicted = seen.logits.softmax(1).max(1)
    probability_attacked, predicted_attacked = logits.softmax(1).max(1)
    seen.shown |= {
        "images": pixels(seen.batch.images),
        "attacked": pixels(seen.attacked),
        "saliency": heat(seen.saliency),
        "saliency_attacked": heat(saliency),
        "labels": seen.batch.labels,
        "predicted": predicted,
        "probability": probability,
        "predicted_attacked": predicted_attacked,
        "probability_attacked": probability_attacked,
    }
    if seen.batch.masks is not None:
        seen.shown["masks"] = grey(seen.batch.masks)
