"""One domain: from its batches to a value per image of every measure, and to figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from lookright import metrics
from lookright.attacks import FGSM, PGD
from lookright.batch import Batch
from lookright.errors import UserError
from lookright.evaluation.protocol import Protocol
from lookright.guides.masker import masks_of
from lookright.result import CurvePoint, DomainResult, Examples
from lookright.seeds import derived_seed

_CURVE_STEPS = 10


@dataclass
class Judge:
    """Sees a domain's batches and keeps one value per image of every measure."""

    model: nn.Module
    protocol: Protocol
    domain: str
    masker: nn.Module | None = None
    values: dict[str, list[Tensor]] = field(default_factory=dict)
    logits: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    shown: list[dict[str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        p = self.protocol
        self.radii = sorted({0.0, p.eps, *p.curve_eps})
        self.generators: dict[str, torch.Generator] = {}

    def see(self, batch: Batch) -> None:
        p, model, x, y = self.protocol, self.model, batch.images, batch.labels
        with torch.no_grad():
            logits, saliency = p.explainer(model, x)
        predicted = logits.argmax(1)
        if logits.shape[1] <= int(y.max()):
            raise UserError(
                f"The model has {logits.shape[1]} classes, the data a label {int(y.max())}: "
                "evaluate it on data of its own classes."
            )
        fgsm = FGSM(p.eps, p.norm)(model, x, y)
        self._keep("unmoved", (fgsm == x).flatten(1).all(1))
        attacked = self._pgd(p.eps, p.pgd_steps, p.restarts, x, y)
        with torch.no_grad():
            logits_fgsm = model(fgsm)
            logits_attacked, saliency_attacked = p.explainer(model, attacked, predicted)
        at = {
            0.0: predicted == y,
            p.eps: (logits_fgsm.argmax(1) == y) & (logits_attacked.argmax(1) == y),
        }
        for eps in self.radii:
            if eps not in at:
                z = self._pgd(eps, _CURVE_STEPS, 1, x, y)
                with torch.no_grad():
                    at[eps] = model(z).argmax(1) == y
        self._curve(at)
        self._keep("accuracy", predicted == y)
        self._keep("accuracy_fgsm", logits_fgsm.argmax(1) == y)
        self._keep("accuracy_pgd", logits_attacked.argmax(1) == y)
        self._explanations(batch, predicted, saliency, saliency_attacked)
        self.logits.append(logits.cpu())
        self.labels.append(y.cpu())
        learned = None if self.masker is None else _learned(self.masker, x)
        self._places(batch, saliency, learned)
        self._show(batch, logits, saliency, attacked, logits_attacked, saliency_attacked, learned)

    def _pgd(self, eps: float, steps: int, restarts: int, x: Tensor, y: Tensor) -> Tensor:
        """PGD with random numbers of its own, so that one more radius moves no other figure."""
        name = f"{self.domain} {eps:.6f} {steps}"
        if name not in self.generators:
            seed = derived_seed(self.protocol.seed, name)
            self.generators[name] = torch.Generator(x.device).manual_seed(seed)
        attack = PGD(eps, steps, norm=self.protocol.norm, restarts=restarts)
        return attack(self.model, x, y, self.generators[name])

    def _curve(self, right: Mapping[float, Tensor]) -> None:
        """Right at a radius is right at every smaller one too: the larger ball holds the smaller.

        The raw figures are kept beside, for the checks.
        """
        robust = right[0.0]
        for eps in self.radii:
            robust = robust & right[eps]
            self._keep(f"curve {eps}", robust)
            self._keep(f"raw {eps}", right[eps])
            if eps == self.protocol.eps:
                self._keep("accuracy_adversarial", robust)

    def _explanations(
        self, batch: Batch, predicted: Tensor, saliency: Tensor, attacked: Tensor
    ) -> None:
        p = self.protocol
        for name in p.fills:
            fill = metrics.fill_named(name)
            faithful = metrics.faithfulness(
                self.model, batch.images, saliency, fill, target=predicted, max_images=p.batch_size
            )
            self._keep(f"comprehensiveness_{name}", faithful.comprehensiveness)
            self._keep(f"sufficiency_{name}", faithful.sufficiency)
        self._keep("stability_cosine", metrics.stability_cosine(saliency, attacked))
        self._keep("stability_spearman", metrics.stability_spearman(saliency, attacked))
        self._keep("stability_topk", metrics.stability_topk(saliency, attacked))
        self._keep("degenerate_maps", metrics.degenerate(saliency))

    def _places(self, batch: Batch, saliency: Tensor, learned: Tensor | None) -> None:
        """What lies on the object, of images whose object is known."""
        if learned is not None:
            self._keep("mask_coverage", metrics.mask_area(learned))
        if batch.masks is None or batch.has_mask is None or not batch.has_mask.any():
            return
        saliency, masks = saliency[batch.has_mask], batch.masks[batch.has_mask]
        self._keep("localisation_mass", metrics.localisation_mass(saliency, masks))
        self._keep("localisation_iou", metrics.localisation_iou(saliency, masks))
        self._keep("pointing_game", metrics.pointing_game(saliency, masks))
        self._keep("mask_area", metrics.mask_area(masks))
        if learned is not None:
            learned = learned[batch.has_mask]
            self._keep("mask_mass", metrics.mask_mass(learned, masks))
            self._keep("mask_iou", metrics.mask_iou(learned, masks))

    def _keep(self, name: str, values: Tensor) -> None:
        self.values.setdefault(name, []).append(values.detach().cpu())

    def _show(
        self,
        batch: Batch,
        logits: Tensor,
        saliency: Tensor,
        attacked: Tensor,
        logits_attacked: Tensor,
        saliency_attacked: Tensor,
        learned: Tensor | None,
    ) -> None:
        wanted = self.protocol.examples - sum(len(shown["labels"]) for shown in self.shown)
        if wanted <= 0:
            return
        probability, predicted = logits.softmax(1).max(1)
        probability_attacked, predicted_attacked = logits_attacked.softmax(1).max(1)
        shown = {
            "images": _pixels(batch.images),
            "attacked": _pixels(attacked),
            "saliency": _map(saliency),
            "saliency_attacked": _map(saliency_attacked),
            "labels": batch.labels,
            "predicted": predicted,
            "probability": probability,
            "predicted_attacked": predicted_attacked,
            "probability_attacked": probability_attacked,
        }
        if batch.masks is not None:
            shown["masks"] = _grey(batch.masks)
        if learned is not None:
            shown["learned"] = _grey(learned)
        self.shown.append({name: value[:wanted].cpu() for name, value in shown.items()})

    def examples(self) -> Examples:
        fields = Examples.__dataclass_fields__
        joined: dict[str, Any] = {
            name: torch.cat([shown[name] for shown in self.shown]).numpy()
            for name in fields
            if all(name in shown for shown in self.shown)
        }
        return Examples(**joined)

    def result(self) -> DomainResult:
        joined = {name: torch.cat(values) for name, values in self.values.items()}
        measures = {
            measure.key: (metrics.rate if measure.unit == "rate" else metrics.mean)(joined[key])
            for measure in metrics.MEASURES
            if (key := measure.key) in joined
        }
        auc = metrics.macro_auc(torch.cat(self.logits), torch.cat(self.labels))
        if auc is not None:
            measures["auc"] = auc
        curve = [CurvePoint(eps, metrics.rate(joined[f"curve {eps}"])) for eps in self.radii]
        return DomainResult(
            n=len(joined["accuracy"]),
            in_distribution=False,
            measures=measures,
            curve=tuple(curve),
            warnings=tuple(self._suspicions(joined)),
        )

    def _suspicions(self, joined: Mapping[str, Tensor]) -> Iterator[str]:
        """Signs of gradient masking: robust figures that a working attack would not give."""
        share = {name: float(values.double().mean()) for name, values in joined.items()}
        n = len(joined["accuracy"])
        noise = 2 * (0.25 / n) ** 0.5
        if share["accuracy_pgd"] > share["accuracy_fgsm"] + noise:
            yield (
                f"suspect: accuracy under PGD ({share['accuracy_pgd']:.1%}) is above that under "
                f"FGSM ({share['accuracy_fgsm']:.1%}); the gradients may be masked."
            )
        if self.protocol.eps > 0 and share["unmoved"] > 0.1:
            yield (
                f"suspect: the gradient is exactly zero at {share['unmoved']:.0%} of the images, "
                "so that attacks by gradient fail there."
            )
        raw = [share[f"raw {eps}"] for eps in self.radii]
        if any(later > earlier + noise for earlier, later in pairwise(raw)):
            yield "suspect: accuracy rises with eps; the gradients may be masked."
        if share["degenerate_maps"] > 0.1:
            yield f"{share['degenerate_maps']:.0%} of the explanations are empty or constant."


def _pixels(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] as (B, H, W, 3) uint8; a preview, never measured."""
    return (images.permute(0, 2, 3, 1) * 255).round().byte()


def _grey(masks: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1] as (B, H, W) uint8."""
    return (masks[:, 0] * 255).round().byte()


def _learned(masker: nn.Module, images: Tensor) -> Tensor:
    """(B, 1, H, W) in [0, 1]; another range, but for rounding, is refused."""
    with torch.no_grad():
        masks = masks_of(masker, images)
    if not ((masks - 0.5).abs() < 0.5001).all():
        low, high = masks.aminmax()
        raise UserError(
            f"A mask is from 0 to 1, but {type(masker).__name__} gave values from {low:.3g} to "
            f"{high:.3g}: end the masker in a sigmoid."
        )
    return masks.clamp(0, 1)


def _map(saliency: Tensor) -> Tensor:
    """(B, h, w) scaled to its own peak, uint8."""
    peak = saliency.amax((1, 2), keepdim=True).clamp_min(torch.finfo(saliency.dtype).tiny)
    return (saliency / peak * 255).round().byte()
