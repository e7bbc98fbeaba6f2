"""Claims about one model, or about two and their difference, according to a plan."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lookright.claims.evaluated import Evaluated
from lookright.claims.file import ClaimsFile
from lookright.claims.lemmas import Inequality, Outputs, compare_lemma, measure_lemmas
from lookright.claims.plan import Draw, Plan, draw
from lookright.claims.statement import Claim, DifferenceClaim
from lookright.claims.trial import lemma_outputs, try_batches
from lookright.claims.values import claim_values, compare_values, share_of_delta
from lookright.data import ImageData, InMemory, Seen, as_data
from lookright.devices import best_device, borrowed
from lookright.errors import UserError
from lookright.files import as_path
from lookright.locks import locked
from lookright.models import fingerprint, giving_logits, known_of
from lookright.perturbations import Attacked
from lookright.progress import progress_bar


@dataclass(frozen=True)
class Claims:
    """The claims about one model, or about the first of two and the difference between them.

    lemmas: by the model's name, where they were asked for; "both" is about the two.
    """

    claims: tuple[Claim, ...]
    comparisons: tuple[DifferenceClaim, ...] = ()
    lemmas: Mapping[str, tuple[Inequality, ...]] = field(default_factory=dict)

    @property
    def evaluated(self) -> bool:
        """Whether they rest on an earlier evaluation, so that only right predictions count as
        kept."""
        return all(claim.right for claim in self.claims)

    def describe(self) -> dict[str, Any]:
        """As JSON, each claim with its sentence."""

        def plain(claims: Sequence[Claim | DifferenceClaim | Inequality]) -> list[dict[str, Any]]:
            return [asdict(claim) | {"sentence": claim.sentence} for claim in claims]

        return {
            "claims": plain(self.claims),
            "comparisons": plain(self.comparisons),
            "lemmas": {name: plain(claims) for name, claims in self.lemmas.items()},
        }


def claim(
    model: nn.Module | Mapping[str, nn.Module],
    data: Any = None,
    plan: Plan | None = None,
    *,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    masks: Tensor | None = None,
    has_mask: Tensor | None = None,
    save: Path | str | None = None,
    train_domains: Sequence[str] = (),
    seen: Seen | None = None,
    evaluated: Mapping[str, Evaluated] | None = None,
    lemmas: bool = False,
    distribution: str | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Claims:
    """Claims that hold for all images of a distribution, from a draw of n of them.

    With `save`, the plan, the values of each image and the claims are kept in save/claims.json. An
    interrupted call continues where it stopped, and a plan whose images have all been tried is not
    tried again; only lemmas, which need no attack, are measured again.

    Args:
        model: maps images (B, 3, H, W) in [0, 1] to logits of the data's classes (B, K). Give two
            models by name to compare the first with the second.
        data: where the images are drawn from: an `ImageData`, a DataLoader or a Dataset of (images,
            labels[, masks]), a tuple of such tensors, or the path of a folder.
        images, labels, masks, has_mask: tensors in place of `data`; images (N, 3, S, S) in [0, 1],
            or uint8, labels (N,), masks (N, 1, S, S), has_mask (N,) bool.
        plan: all choices, fixed before any image is looked at; `Plan()` by default.
        save: folder of claims.json; None keeps nothing, and then you have to remember every plan
            that was tried on these images.
        train_domains: the names of the domains that any of the models was trained on.
        seen: the images of the models' trainings (`Run.seen`), which are not drawn; by default
            those of `train_domains` outside their test parts.
        evaluated: values from an evaluation under the plan's attack, for each model by its name.
            They replace a new attack if they cover all images drawn, for all models, and this plan
            has not tried any of the images yet.
        lemmas: measure ALIGN's lemmas too, with the plan's perturbation as the shift of domain.
        distribution: what the images are drawn from, in words, for the sentences; by default the
            name of the domain, or "this distribution" for data without a name.
        batch_size: images at once.
        device: the first accelerator by default; afterwards the models are moved back to their own
            device.
        progress: show a bar on stderr.

    Raises:
        UserError: data that are none of these; models of other classes or more than two; a plan
            that the data cannot fulfil, or that holds a function without a name; a damaged file.
    """
    models = {"model": model} if isinstance(model, nn.Module) else dict(model)
    plan = Plan() if plan is None else plan
    data = as_data(
        data,
        images=images,
        labels=labels,
        masks=masks,
        has_mask=has_mask,
        **known_of(next(iter(models.values()))),
    )
    _check(models, data, plan, lemmas)
    bar = progress and sys.stderr.isatty()
    data.read([plan.domain_of(data, train_domains)], bar)
    drawn = draw(data, plan, train_domains, lemmas, seen)
    path = None if save is None else as_path(save) / "claims.json"
    weights = {name: fingerprint(each) for name, each in models.items()}
    with nullcontext() if path is None else locked(path.parent):
        record = ClaimsFile.opened(path, weights, data, plan, drawn)
        _take_over(record, evaluated or {})
        known = all(len(trial.kept) >= plan.n for trial in record.trials.values())
        if lemmas or not known:
            models = {
                name: giving_logits(each, name, data.image_size, data.classes)
                for name, each in models.items()
            }
        with borrowed(*models.values(), device=best_device(device)):
            if not known:
                record.write({})  # the plan, before an image is looked at
                _try(models, data, plan, drawn, record, batch_size, progress)
            outputs = {
                name: lemma_outputs(each, data, plan, drawn, batch_size)
                for name, each in (models if lemmas else {}).items()
            }
        values = {name: trial.tensors() for name, trial in record.trials.items()}
        if distribution is None and not isinstance(data, InMemory):
            distribution = f"{data.name}'s domain {drawn.domain}"
        found = claims_from(
            values,
            plan,
            distribution=distribution or "this distribution",
            right=record.evaluated,
            outputs=outputs,
        )
        record.write(found.describe() | ({} if lemmas else {"lemmas": record.lemmas}))
        return found


def claims_from(
    values: Mapping[str, tuple[Tensor, Tensor]],
    plan: Plan,
    *,
    distribution: str = "this distribution",
    right: bool = False,
    outputs: Mapping[str, Outputs] | None = None,
) -> Claims:
    """The claims of a plan, from the values of the images that it draws.

    Args:
        values: of one model or two, by name: whether the prediction was kept, (n,) bool, and the
            similarity of the explanations, (n,), image by image in one order.
        plan: all choices, fixed before these images were looked at.
        distribution: what they are drawn from, in words.
        right: an image counts as kept only where the clean prediction was right.
        outputs: the logits on which the lemmas are measured, by the model's name.

    Raises:
        UserError: values that do not fit together; fewer bounds in the family than there are here.
    """
    names, measured = tuple(values), dict[str, tuple[Inequality, ...]]()
    for name, each in (outputs or {}).items():
        measured[name] = measure_lemmas(each)
    of: dict[str, Any] = {
        "perturbation": plan.perturbation.words,
        "delta": plan.delta,
        "tau": plan.tau,
        "similarity_name": f"{plan.similarity} of {type(plan.explainer).__name__}",
        "family": _family(plan, len(names)),
        "distribution": distribution,
        "right": right,
    }
    claims = claim_values(*values[names[0]], **of)
    if len(names) == 1:
        return Claims(claims, (), measured)
    first, second = names
    compared = compare_values(values[first], values[second], names=(first, second), **of)
    if outputs:
        both = compare_lemma(outputs[first], outputs[second], (first, second))
        measured["both"] = (both,)
    return Claims(claims, compared, measured)


def _check(models: Mapping[str, nn.Module], data: ImageData, plan: Plan, lemmas: bool) -> None:
    if not 1 <= len(models) <= 2:
        raise UserError(
            f"A claim is about one model, or about two that are compared; got {len(models)}."
        )
    for name, model in models.items():
        classes = tuple(getattr(model, "classes", data.classes))
        if classes != tuple(data.classes):
            raise UserError(
                f"The classes of {name} are {', '.join(classes)}, those of {data.name} "
                f"{', '.join(data.classes)}: give it images of its own classes."
            )
    share_of_delta(plan.delta, _family(plan, len(models)), 3 * len(models))
    if lemmas and isinstance(plan.perturbation, Attacked):
        raise UserError(
            "ALIGN's lemmas are about a shift of the domain, which an attack is not: choose "
            "--perturbation SwappedBackground, OtherDomain or Corrupted."
        )


def _family(plan: Plan, models: int) -> int:
    """The number of bounds that hold together: three for a model, and three for a comparison."""
    return 3 * models if plan.family is None else plan.family


def _take_over(record: ClaimsFile, evaluated: Mapping[str, Evaluated]) -> None:
    """Take over the values of an evaluation, for all models or for none."""
    if any(trial.kept for trial in record.trials.values()) or not record.trials.keys() <= set(
        evaluated
    ):
        return
    found = {name: evaluated[name].trial(record.images) for name in record.trials}
    known = {name: trial for name, trial in found.items() if trial is not None}
    if known.keys() == record.trials.keys():
        record.trials, record.evaluated = known, True


def _try(
    models: Mapping[str, nn.Module],
    data: ImageData,
    plan: Plan,
    drawn: Draw,
    record: ClaimsFile,
    batch_size: int,
    progress: bool,
) -> None:
    """Perturb the images that are left, and keep the values after each batch."""
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar()) if progress else None
        task = bar.add_task("images tried", total=len(models) * plan.n, note="") if bar else None
        for number, (name, model) in enumerate(models.items()):
            for done in try_batches(model, data, plan, drawn, record.trials[name], batch_size):
                record.write({})
                if bar and task is not None:
                    bar.update(task, completed=number * plan.n + done, note=name)
